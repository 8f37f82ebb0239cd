"""Files that a model package names by URL."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import platformdirs
import requests
from absl import logging
from filelock import FileLock
from tqdm import tqdm

from speciesnet.errors import ModelError

TIMEOUT = 30  # seconds to connect, and between two bytes
CHUNK_BYTES = 2**20


def cache_folder() -> Path:
    """Where downloads are kept for all environments of a user: ``SPECIESNET_CACHE``, if set."""
    folder = os.environ.get("SPECIESNET_CACHE")
    return Path(folder) if folder else Path(platformdirs.user_cache_dir("speciesnet", False))


def download_detector(url: str, folder: Path) -> Path:
    """The detector behind a URL: found in the package or in the cache, else downloaded into it.

    A file put into either place by hand, under the name that the URL ends with, is taken as it is.

    Args:
        url: http or https.
        folder: The model package.

    Raises:
        ModelError: The download failed, or what came is not a checkpoint.
    """
    name = Path(unquote(urlsplit(url).path)).name or "detector.pt"
    site = hashlib.sha256(url.encode()).hexdigest()[:12]  # other sites use the same names
    cached = cache_folder() / "detectors" / site / name
    for place in (folder / name, cached):
        if place.is_file():
            return place
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{cached}.lock"):
            if not cached.is_file():  # another process may have been first
                _download(url, cached)
    except (OSError, NotImplementedError, requests.RequestException) as error:
        raise ModelError(
            f"The detector cannot be downloaded from {url} ({error}); check the network, or download "
            f"it by hand to {cached}."
        ) from error
    return cached


def _download(url: str, target: Path) -> None:
    """Downloads to a temporary name first, so that a broken download is never taken for a model."""
    logging.info("Downloading %s to %s.", url, target)
    part = target.with_name(f"{target.name}.part")
    try:
        with requests.get(url, stream=True, timeout=TIMEOUT) as response:
            response.raise_for_status()
            length = response.headers.get("Content-Length", "")
            is_compressed = "Content-Encoding" in response.headers
            expected = int(length) if length.isdigit() and not is_compressed else 0
            with (
                part.open("wb") as file,
                tqdm(
                    total=expected or None,
                    desc=target.name,
                    unit="B",
                    unit_scale=True,
                    disable=None,
                ) as bar,
            ):
                for chunk in response.iter_content(CHUNK_BYTES):
                    file.write(chunk)
                    bar.update(len(chunk))
                file.flush()
                os.fsync(file.fileno())
        received = part.stat().st_size
        if expected and received != expected:
            raise OSError(f"{received} of {expected} bytes came")
        if not zipfile.is_zipfile(part):
            raise OSError("what came is not a PyTorch checkpoint")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
