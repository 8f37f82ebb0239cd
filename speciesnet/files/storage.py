"""Reads and writes files by path or URL, and lists folders.

Local paths, buckets (``s3://``, ``gs://``, ``az://``) and the web (``http://``, ``https://``) are
read in the same way. Failures raise an ``OSError`` whose ``strerror`` is a reason in plain words,
without the path; only refused credentials end a run, as ``CredentialsError``.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import random
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, TypeVar

from absl import logging

from speciesnet.errors import (
    BrokenBodyError,
    BrokenConnectionError,
    ObjectChangedError,
    OutputError,
    RemoteError,
    SpeciesNetError,
)
from speciesnet.files.atomic import write_atomically
from speciesnet.files.clouds import MODULES, Cloud, Version, cloud

CLOUD_SCHEMES = tuple(MODULES)
WEB_SCHEMES = ("http", "https")
ATTEMPTS = 3  # to read a whole file, if the connection breaks in the middle
IMAGE_SECONDS = 120.0  # for an image, with all attempts
MAX_IMAGE_BYTES = 256 * 2**20  # of an image that is not on this machine

_display_names: dict[str, str] = {}  # for temporary copies


_T = TypeVar("_T")


def scheme_of(path: str | os.PathLike[str]) -> str | None:
    """``s3`` for ``s3://...`` and so on for clouds and the web; None for a local path."""
    path = os.fspath(path)
    scheme, is_address, _ = path.partition("://")
    scheme = scheme.lower() if is_address else ""
    return scheme if scheme in CLOUD_SCHEMES or scheme in WEB_SCHEMES else None


def is_cloud(path: str) -> bool:
    """Whether a path points into a bucket."""
    return scheme_of(path) in CLOUD_SCHEMES


def goes_to_bucket(path: str, what: str = "") -> bool:
    """Whether an output goes into a bucket; False for a path on a disk.

    Args:
        path: Path or URL of the output.
        what: The name of the output for the message, such as "--output ".

    Raises:
        OutputError: The URL has a scheme that cannot be written.
    """
    if scheme_of(path) in WEB_SCHEMES:
        raise OutputError(
            f"{what}{path} is on the web, where nothing can be written. Use a path on a disk or in a "
            "bucket."
        )
    if "://" in path and not is_cloud(path):
        raise OutputError(
            f"{what}{path} must start with s3://, gs:// or az://, or be a local path."
        )
    return is_cloud(path)


def open_image(path: str) -> IO[bytes]:
    """Opens an image; one that is not on this machine is read into memory.

    Raises:
        OSError: The image is missing or too large, or cannot be fetched within ``IMAGE_SECONDS``.
        CredentialsError: The credentials for its bucket have expired or are refused.
    """
    if scheme_of(path) is None:
        local = Path(path)
        if local.exists() and not local.is_file():  # opening a named pipe would wait forever
            raise RemoteError("it is not a regular file")
        return local.open("rb")
    return _content(path, MAX_IMAGE_BYTES, time.monotonic() + IMAGE_SECONDS)


def read_text(path: str) -> str:
    """Reads a text file in UTF-8.

    Raises:
        OSError: The file cannot be read.
        UnicodeDecodeError: The file is not in UTF-8.
    """
    if scheme_of(path) is None:
        return Path(path).read_text(encoding="utf-8-sig")
    return io.TextIOWrapper(_content(path), encoding="utf-8-sig").read()


@contextmanager
def local_file(path: str) -> Iterator[Path]:
    """Yields a local file with the content of a path or URL: the file itself, or a temporary copy.

    Messages name the URL instead of the copy; see ``displayed_as``.

    Raises:
        OSError: The file cannot be fetched.
        CredentialsError: The credentials for its bucket have expired or are refused.
    """
    if scheme_of(path) is None:
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "file"
        fetch(path, copy)
        with displayed_as(path, copy):
            yield copy


@contextmanager
def displayed_as(name: str, copy: Path) -> Iterator[None]:
    """Gives a temporary copy the name of the original in ``display_name`` and in errors."""
    _display_names[str(copy)] = name
    try:
        yield
    except SpeciesNetError as error:
        error.args = (str(error).replace(str(copy), name),)
        raise
    finally:
        _display_names.pop(str(copy), None)


def display_name(path: str | os.PathLike[str]) -> str:
    """The name of a file for messages: its path, or the URL that it is a temporary copy of."""
    return _display_names.get(os.fspath(path), os.fspath(path))


def sha256(path: str) -> str:
    """The SHA-256 of a file's content, in hexadecimal; raises ``OSError``."""
    digest = hashlib.sha256()
    with local_file(path) as local, local.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def fetch(url: str, target: Path) -> Version | None:
    """Downloads a file; if that fails, the target stays unchanged.

    Returns:
        The version of an object in a bucket; None for a file on the web.
    """
    with write_atomically(target, fsync=False, unique=False) as part, part.open("w+b") as file:
        return _fetch(url, _Sink(file))


def list_folder(url: str) -> Iterator[str]:
    """The URLs of all objects under a folder in a bucket, at any depth.

    Raises:
        OSError: The bucket cannot be listed.
        CredentialsError: The credentials for the bucket have expired or are refused.
    """
    client, bucket, key = _split(url)
    prefix = key.rstrip("/") + "/" if key.strip("/") else ""
    start = f"{scheme_of(url)}://{bucket}/"
    try:
        for name in client.keys(bucket, prefix):
            if not name.endswith("/"):  # consoles create such objects to show empty folders
                yield start + name
    except FileNotFoundError as error:
        raise RemoteError(f"there is no bucket {bucket}; check its name") from error


def is_object(url: str) -> bool:
    """Whether an object exists in a bucket."""
    return bool(_split(url)[2]) and version_of(url) is not None


def version_of(url: str) -> Version | None:
    """The version of an object in a bucket; None if there is no such object."""
    client, bucket, key = _split(url)
    return client.version(bucket, key)


def upload(source: Path, url: str, replaces: str | None) -> Version:
    """Atomically creates or replaces an object in a bucket.

    Args:
        source: The file to upload.
        url: The object.
        replaces: The tag that the object must have beforehand; None if it must not exist yet.

    Raises:
        ObjectChangedError: The object has a different tag.
        OSError: The object cannot be written.
    """
    note = uuid.uuid4().hex
    client, bucket, key = _split(url)
    try:
        with source.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return client.write(bucket, key, file, size, replaces, note)
    except ObjectChangedError:
        # The response to the first attempt may be lost; then the object is this upload's own.
        found = client.version(bucket, key)
        if found is None or found.note != note:
            raise
        return found


def replace(source: Path, url: str) -> None:
    """Atomically creates or replaces an object in a bucket; raises ``OSError``."""
    found = version_of(url)
    upload(source, url, found.tag if found else None)


def retry(
    action: Callable[[], _T],
    pauses: Iterable[float],
    on: type[BrokenConnectionError] = BrokenConnectionError,
    name: str | None = None,
) -> _T:
    """Calls a function until it succeeds or no pauses are left.

    Args:
        action: The function.
        pauses: Seconds to wait after each failure; the last failure is raised.
        on: Errors after which the function is called again; all others are raised.
        name: The file to name in a warning about each failure; None logs nothing.
    """
    remaining = iter(pauses)
    while True:
        try:
            return action()
        except on as error:
            pause = next(remaining, None)
            if pause is None:
                raise
            if name is not None:
                logging.warning("%s: %s. Trying again.", name, error.reason)
        time.sleep(pause)


def pauses_for(seconds: float, pause: float) -> Iterator[float]:
    """The same pause, repeated until a number of seconds have passed."""
    until = time.monotonic() + seconds
    return itertools.takewhile(lambda _: time.monotonic() < until, itertools.repeat(pause))


def _split(url: str) -> tuple[Cloud, str, str]:
    """Client, bucket and key; not by urlsplit, as keys may contain ``?`` and ``#``."""
    bucket, _, key = url.partition("://")[2].partition("/")
    if not bucket:
        raise RemoteError("it names no bucket")
    return cloud(scheme_of(url) or ""), bucket, key


def _content(url: str, max_bytes: int | None = None, until: float | None = None) -> IO[bytes]:
    content = io.BytesIO()
    _fetch(url, _Sink(content, max_bytes, until))
    content.seek(0)
    return content


def _fetch(url: str, sink: _Sink) -> Version | None:
    def read() -> Version | None:
        sink.restart()
        if scheme_of(url) in WEB_SCHEMES:
            from speciesnet.files import web

            web.read(url, sink, sink.until)
            return None
        client, bucket, key = _split(url)
        return client.read(bucket, key, sink)

    # Random, so that many readers do not come back at the same moment.
    pauses = (random.uniform(0.5, 1.0) * attempt for attempt in range(1, ATTEMPTS))  # noqa: S311
    return retry(read, itertools.takewhile(lambda _: not sink.is_late, pauses), BrokenBodyError)


class _Sink:
    """A file that accepts a limited number of bytes, until a deadline; emptied for each attempt."""

    def __init__(
        self, file: BinaryIO, max_bytes: int | None = None, until: float | None = None
    ) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self.until = until

    @property
    def is_late(self) -> bool:
        return self.until is not None and time.monotonic() > self.until

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()

    def write(self, data: bytes) -> int:
        if self._max_bytes is not None and self._file.tell() + len(data) > self._max_bytes:
            raise RemoteError(f"it is larger than {self._max_bytes // 2**20} MiB")
        if self.is_late:
            raise RemoteError(f"it did not arrive within {IMAGE_SECONDS:.0f} seconds")
        return self._file.write(data)
