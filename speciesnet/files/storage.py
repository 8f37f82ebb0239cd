"""From a path or URL to its bytes or text, and from a folder to what lies in it.

Local paths, buckets (``s3://``, ``gs://``, ``az://``) and the web (``http://``, ``https://``) are read
alike. What goes wrong is an ``OSError`` whose ``strerror`` says it in words, without the path; only
credentials that are refused end a run at once, as ``CredentialsError``.
"""

from __future__ import annotations

import hashlib
import io
import logging as standard_logging
import os
import random
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from absl import logging

from speciesnet.errors import SpeciesNetError
from speciesnet.files.clouds import (
    EXTRAS,
    BrokenBodyError,
    Cloud,
    ObjectChangedError,
    RemoteError,
    Version,
    cloud,
)

CLOUD_SCHEMES = EXTRAS
WEB_SCHEMES = ("http", "https")
ATTEMPTS = 3  # of a whole file, when the line breaks in the middle of it
IMAGE_SECONDS = 120.0  # for an image, with all attempts
MAX_IMAGE_BYTES = 256 * 2**20  # of an image that is not on this machine


def scheme_of(path: str | os.PathLike[str]) -> str | None:
    """``s3`` for ``s3://...`` and so on for clouds and the web; None for a local path."""
    path = os.fspath(path)
    scheme, is_address, _ = path.partition("://")
    scheme = scheme.lower() if is_address else ""
    return scheme if scheme in CLOUD_SCHEMES or scheme in WEB_SCHEMES else None


def is_cloud(path: str) -> bool:
    """Whether a path leads into a bucket."""
    return scheme_of(path) in CLOUD_SCHEMES


def open_image(path: str) -> IO[bytes]:
    """The bytes of an image as a file; of one that is not on this machine, in memory.

    Raises:
        OSError: It is not there, too large, or cannot be fetched within ``IMAGE_SECONDS``.
        CredentialsError: Those for its bucket have expired or are refused.
    """
    if scheme_of(path) is None:
        local = Path(path)
        if local.exists() and not local.is_file():  # opening a named pipe would wait for ever
            raise RemoteError("it is no file")
        return local.open("rb")
    content = io.BytesIO()
    _fetch(path, _Sink(content, MAX_IMAGE_BYTES, time.monotonic() + IMAGE_SECONDS))
    content.seek(0)
    return content


def read_text(path: str) -> str:
    """A text file in UTF-8.

    Raises:
        OSError: It cannot be read.
        UnicodeDecodeError: It is no UTF-8.
    """
    if scheme_of(path) is None:
        return Path(path).read_text(encoding="utf-8-sig")
    content = io.BytesIO()
    _fetch(path, _Sink(content))
    return io.TextIOWrapper(io.BytesIO(content.getvalue()), encoding="utf-8-sig").read()


@contextmanager
def local_file(path: str) -> Iterator[Path]:
    """A file on this machine with what a path or URL holds: itself, or a copy while it is needed.

    What is said of the copy in the meantime is said of the URL.
    """
    if scheme_of(path) is None:
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "file"
        fetch(path, copy)
        with said_of(path, copy):
            yield copy


@contextmanager
def said_of(path: str, copy: Path) -> Iterator[None]:
    """What errors and the log say of a copy in the meantime is said of the path or URL."""

    def rename(record: standard_logging.LogRecord) -> bool:
        record.msg, record.args = record.getMessage().replace(str(copy), path), None
        return True

    logger = logging.get_absl_logger()
    logger.addFilter(rename)
    try:
        yield
    except SpeciesNetError as error:
        error.args = (str(error).replace(str(copy), path),)
        raise
    finally:
        logger.removeFilter(rename)


def sha256(path: str) -> str:
    """Of a file's content; raises ``OSError``."""
    digest = hashlib.sha256()
    with local_file(path) as local, local.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def fetch(url: str, target: Path) -> Version | None:
    """Downloads a file; what was at the target stays if that fails.

    Returns:
        The version of an object in a bucket.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("w+b") as file:
            version = _fetch(url, _Sink(file))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return version


def list_folder(url: str) -> Iterator[str]:
    """The URLs of all objects under a folder in a bucket, at any depth.

    Raises:
        OSError: It cannot be listed.
        CredentialsError: Those for the bucket have expired or are refused.
    """
    client, bucket, key = _place(url)
    prefix = key.rstrip("/") + "/" if key.strip("/") else ""
    start = f"{scheme_of(url)}://{bucket}/"
    try:
        for name in client.keys(bucket, prefix):
            if not name.endswith("/"):  # consoles make such objects to show empty folders
                yield start + name
    except FileNotFoundError as error:
        raise RemoteError(f"there is no bucket {bucket}; check its name") from error


def is_object(url: str) -> bool:
    """Whether there is an object in a bucket."""
    client, bucket, key = _place(url)
    return bool(key) and client.version(bucket, key) is not None


def version_of(url: str) -> Version | None:
    """Of an object in a bucket; None where there is none."""
    client, bucket, key = _place(url)
    return client.version(bucket, key)


def upload(source: Path, url: str, replaces: str | None, note: str = "") -> Version:
    """Makes or replaces an object in a bucket, at once or not at all; see ``Cloud.write``."""
    client, bucket, key = _place(url)
    with source.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return client.write(bucket, key, file, size, replaces, note)


def replace(source: Path, url: str) -> None:
    """Makes or replaces an object in a bucket, at once or not at all; raises ``OSError``."""
    note = uuid.uuid4().hex
    there = version_of(url)
    try:
        upload(source, url, there.tag if there else None, note)
    except ObjectChangedError:
        # Or the answer to the first attempt was lost, and it is this one.
        there = version_of(url)
        if there is None or there.note != note:
            raise


def _place(url: str) -> tuple[Cloud, str, str]:
    """Client, bucket and key. Keys may hold ``?`` and ``#``, so this is no business of urlsplit."""
    bucket, _, key = url.partition("://")[2].partition("/")
    if not bucket:
        raise RemoteError("it names no bucket")
    return cloud(scheme_of(url) or ""), bucket, key


def _fetch(url: str, sink: _Sink) -> Version | None:
    for attempt in range(1, ATTEMPTS + 1):
        sink.restart()
        try:
            if scheme_of(url) in WEB_SCHEMES:
                from speciesnet.files import web

                web.read(url, sink, sink.until)
                return None
            client, bucket, key = _place(url)
            return client.read(bucket, key, sink)
        except BrokenBodyError:
            if attempt == ATTEMPTS or sink.is_late:
                raise
            time.sleep(random.uniform(0.5, 1.0) * attempt)  # noqa: S311 (readers spread out)
    raise AssertionError


class _Sink:
    """A file that takes only so much, and only until a moment; begun anew for each attempt."""

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
            raise RemoteError(f"it did not come within {IMAGE_SECONDS:.0f} seconds")
        return self._file.write(data)
