"""Downloads detectors that a package names by URL, and verifies model files."""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import platformdirs
from absl import logging
from filelock import FileLock
from tqdm import tqdm

from speciesnet.errors import ModelError, file_errors
from speciesnet.files.atomic import write_atomically

TIMEOUT = 30  # seconds to connect, and between two bytes received
CHUNK_BYTES = 2**20

# The MD5 of MegaDetector's files, as published by its makers: table ``known_models`` in
# megadetector/detection/run_detector.py of their package megadetector 10.0.28 (MIT), which has no
# SHA-256. An MD5 detects damaged files, but not files forged to have the same one.
_MEGADETECTOR = "https://github.com/agentmorris/MegaDetector/releases/download/v5.0"
KNOWN_MD5 = {
    f"{_MEGADETECTOR}/md_v5a.0.0.pt": "ec1d7603ec8cf642d6e0cd008ba2be8c",
    f"{_MEGADETECTOR}/md_v5b.0.0.pt": "bc235e73f53c5c95e66ea0d1b2cbf542",
    f"{_MEGADETECTOR}/md_v5a.0.1.pt": "60f8e7ec1308554df258ed1f4040bc4f",
    f"{_MEGADETECTOR}/md_v5b.0.1.pt": "f17ed6fedfac2e403606a08c89984905",
}
_DIGITS = {"md5": 32, "sha256": 64}  # hexadecimal


@dataclass(frozen=True)
class Digest:
    """The expected hash of a file.

    Attributes:
        algorithm: ``md5`` or ``sha256``.
        value: Lower-case hexadecimal digits.
        source: Publisher of the hash, for error messages.
    """

    algorithm: str
    value: str
    source: str

    @property
    def name(self) -> str:
        """The usual spelling of the algorithm."""
        return {"md5": "MD5", "sha256": "SHA-256"}[self.algorithm]

    def of(self, path: Path) -> str:
        """Computes the hash of a file; raises ``OSError``."""
        digest = hashlib.new(self.algorithm, usedforsecurity=False)
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest()

    def check(self, path: Path) -> None:
        """Verifies a file, unless the same file has been verified before.

        Raises:
            ModelError: The file is damaged, or is a different file.
        """
        mark = self._mark(path)
        if mark.exists():
            return
        with file_errors(ModelError, path, fix="Fix the cause and run again."):
            found = self.of(path)
        if found != self.value:
            raise ModelError(
                f"{path} is damaged, or is not the file that its name suggests: its {self.name} is "
                f"{found}, but {self.source} gives {self.value}; delete it, and it will be "
                "downloaded again."
            )
        self.remember(path)

    def remember(self, path: Path) -> None:
        """Remembers that a file has been verified, if the cache can be written."""
        mark = self._mark(path)
        try:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        except OSError as error:
            logging.info("The verification of %s cannot be stored: %s.", path, error)

    def _mark(self, path: Path) -> Path:
        """An empty file whose name identifies this hash and this state of the file."""
        facts = path.stat()
        text = f"{path.resolve()} {facts.st_size} {facts.st_mtime_ns} {self.algorithm} {self.value}"
        return cache_folder() / "checked" / hashlib.sha256(os.fsencode(text)).hexdigest()[:32]


def published_digest(url: str) -> Digest | None:
    """The expected hash of a detector: from its URL (``#sha256=...``), or as published by its makers.

    Raises:
        ModelError: The hash in the URL is malformed.
    """
    address, fragment = urldefrag(url)
    if found := re.fullmatch(r"(sha256|md5)=(.*)", fragment):
        algorithm, value = found[1], found[2].lower()
        if not re.fullmatch(rf"[0-9a-f]{{{_DIGITS[algorithm]}}}", value):
            raise ModelError(
                f"The detector's address {url} ends in {fragment!r}; after {algorithm}= there must be "
                f"{_DIGITS[algorithm]} hexadecimal digits, as {algorithm}sum prints them."
            )
        return Digest(algorithm, value, "the model package")
    if value := KNOWN_MD5.get(address):
        return Digest("md5", value, "MegaDetector's own package")
    return None


def cache_folder() -> Path:
    """The folder of downloads, shared by all environments of a user: ``SPECIESNET_CACHE``, if set."""
    folder = os.environ.get("SPECIESNET_CACHE")
    return Path(folder) if folder else Path(platformdirs.user_cache_dir("speciesnet", False))


def find_detector(url: str, folder: Path) -> Path | None:
    """Finds the detector of a URL in the package or in the cache; None if it is in neither.

    A file that the user put there under the URL's file name is also used. If its hash is known, the
    file is verified once.

    Args:
        url: http or https; it may end in ``#sha256=`` and 64 hexadecimal digits.
        folder: The model package.

    Raises:
        ModelError: The file is not the detector.
    """
    digest, cached = published_digest(url), _cached(url)
    for place in (folder / cached.name, cached):
        if place.is_file():
            if digest:
                digest.check(place)
            return place
    return None


def _cached(url: str) -> Path:
    name = Path(unquote(urlsplit(url).path)).name or "detector.pt"
    site = hashlib.sha256(url.encode()).hexdigest()[:12]  # file names are not unique across sites
    return cache_folder() / "detectors" / site / name


def download_detector(url: str, folder: Path) -> Path:
    """Finds the detector of a URL as ``find_detector`` does, otherwise downloads it to the cache.

    Raises:
        ModelError: The download failed, or the file is not the detector.
    """
    if found := find_detector(url, folder):
        return found
    digest, cached = published_digest(url), _cached(url)
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{cached}.lock"):
            if not cached.is_file():  # another process may have been first
                _download(url, cached, digest)
    except (OSError, NotImplementedError) as error:  # among them those of requests
        raise ModelError(
            f"The detector cannot be downloaded from {url} ({error}); check the network, or download "
            f"it manually to {cached}."
        ) from error
    return cached


def _download(url: str, target: Path, digest: Digest | None) -> None:
    """Downloads and verifies a file before it gets its name, so that the target is always complete.

    What had arrived before the connection broke is kept, if the server can send the rest of the same
    file: it names the file's version (RFC 9110, section 8.8.3), and the next download asks for the rest
    of this version.
    """
    logging.info("Downloading %s to %s.", url, target)
    part = target.with_name(f"{target.name}.part")
    version = part.with_name(f"{part.name}.etag")
    try:
        expected = _receive(url, part, version, target.name)
        received = part.stat().st_size
        if expected and received != expected:
            raise OSError(f"{received} of {expected} bytes arrived")
    except BaseException:
        if not version.exists():
            part.unlink(missing_ok=True)
        raise
    version.unlink(missing_ok=True)
    with write_atomically(target, unique=False):  # the finished part becomes the file
        if not zipfile.is_zipfile(part):
            raise OSError("the download is not a PyTorch checkpoint")
        if digest and (found := digest.of(part)) != digest.value:
            raise OSError(
                f"the download is damaged, or is a different file: its {digest.name} is {found}, "
                f"but {digest.source} gives {digest.value}"
            )
    if digest:
        digest.remember(target)


def _receive(url: str, part: Path, version: Path, name: str) -> int:
    """Appends the rest of a file to what has arrived of it.

    Args:
        url: The file.
        part: What has arrived.
        version: The file that contains the ETag of the part; it is written if the server can resume.
        name: The name in the progress bar.

    Returns:
        The size of the whole file, or 0 if the server does not give it.
    """
    import requests  # takes longer to import than a window may take to open

    is_kept = version.exists() and part.exists() and part.stat().st_size > 0
    before = part.stat().st_size if is_kept else 0
    headers = {"Accept-Encoding": "identity"}
    if before:
        etag = version.read_text(encoding="latin-1")
        headers |= {"Range": f"bytes={before}-", "If-Range": etag}
    with requests.get(url, stream=True, timeout=TIMEOUT, headers=headers) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            version.unlink()
            return _receive(url, part, version, name)
        response.raise_for_status()
        if response.headers.get("Content-Range", "").startswith(f"bytes {before}-"):
            logging.info("%d bytes of %s have already been downloaded.", before, name)
        else:
            before = 0  # the server sends the whole file, or a different version
        length = response.headers.get("Content-Length", "")
        is_compressed = "Content-Encoding" in response.headers
        expected = before + int(length) if length.isdigit() and not is_compressed else 0
        etag = response.headers.get("ETag", "")
        if expected and etag.startswith('"') and response.headers.get("Accept-Ranges") == "bytes":
            version.write_text(etag, encoding="latin-1")
        elif not before:
            version.unlink(missing_ok=True)
        with (
            part.open("ab" if before else "wb") as file,
            tqdm(
                total=expected or None,
                initial=before,
                desc=name,
                unit="B",
                unit_scale=True,
                disable=None,
            ) as bar,
        ):
            for chunk in response.iter_content(CHUNK_BYTES):
                file.write(chunk)
                bar.update(len(chunk))
    return expected
