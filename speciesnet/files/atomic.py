"""Files that are written whole or not at all, and by one process at a time."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from absl import logging
from filelock import FileLock, Timeout

from speciesnet.errors import OutputError


@contextmanager
def write_atomically(path: str | os.PathLike[str], *, fsync: bool = True) -> Iterator[Path]:
    """Yields the path of a temporary file that replaces ``path`` once the block ends.

    If the block raises, or the process dies, ``path`` stays as it was. A symbolic link stays a link: its
    target is replaced. A device or a pipe is written directly.

    Args:
        path: The file to write.
        fsync: Whether the content must be on the disk before it replaces the old file. False is
            enough for a cache, which can be made again.

    Raises:
        OSError: The file cannot be written.

    Example:
        >>> target = getfixture("tmp_path") / "notes.txt"
        >>> with write_atomically(target) as part:
        ...     _ = part.write_text("fox")
        >>> target.read_text()
        'fox'
    """
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        yield path
        return
    target = Path(os.path.realpath(path))
    part = target.with_name(f".speciesnet-{uuid.uuid4().hex}.part")
    try:
        yield part
        if fsync:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, part)  # last: it may forbid writing
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def write_all(file: BinaryIO, data: bytes) -> None:
    """Writes all bytes to an unbuffered file, which may take them in pieces.

    Raises:
        OSError: The file cannot be written; some of the bytes may have been.
    """
    view = memoryview(data)
    while view:  # a disk that is nearly full takes the first part
        view = view[file.write(view) or 0 :]


def backup_name(path: Path) -> Path:
    """The first unused name of ``NAME.bak``, ``NAME.bak2``, ``NAME.bak3`` and so on."""
    names = (path.with_name(f"{path.name}.bak{number or ''}") for number in (0, *range(2, 10_000)))
    return next(name for name in names if not name.exists())


class ExclusiveLock:
    """Keeps other processes from writing a file, for as long as the context lasts.

    The lock is a file next to it, ``NAME.lock``.

    Args:
        path: The file.
        writer: Who else may be writing it, for the error message: "another run".
        advice: What the user can do instead of waiting: "pass another file".

    Raises:
        OutputError: Another process is writing it, or the lock cannot be created.
    """

    def __init__(self, path: Path, writer: str, advice: str) -> None:
        self._path, self._writer, self._advice = path, writer, advice
        self._lock_path = path.with_name(f"{path.name}.lock")
        self._lock = FileLock(self._lock_path, timeout=0)

    def __enter__(self) -> ExclusiveLock:
        try:
            self._lock.acquire()
        except Timeout as error:
            raise OutputError(
                f"{self._path} is being written by {self._writer}. Wait for it, or {self._advice}."
            ) from error
        except NotImplementedError:  # some network drives
            logging.warning("%s cannot be locked: do not start a second run on it.", self._path)
        except OSError as error:
            raise OutputError(
                f"{self._path} cannot be written ({error.strerror or error}). Fix the cause and run the "
                "same command again."
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Lets other processes write the file."""
        if os.name != "nt":  # where a file in use cannot be removed
            self._lock_path.unlink(missing_ok=True)
        self._lock.release()
