"""Files that are written atomically, and by one process at a time."""

from __future__ import annotations

import itertools
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
def write_atomically(
    path: str | os.PathLike[str],
    *,
    fsync: bool = True,
    unique: bool = True,
    keep_dates: bool = False,
) -> Iterator[Path]:
    """Yields the path of a temporary file that replaces ``path`` once the block ends.

    If the block raises or the process dies, ``path`` stays unchanged. A symbolic link remains a link:
    its target is replaced. A device or a pipe is written directly. An existing file keeps its
    permissions.

    Args:
        path: The file to write.
        fsync: Whether the content must be on the disk before it replaces the old file. False is
            enough for a cache, which can be created again.
        unique: Whether other threads or processes may write the same file. False calls the temporary
            file ``NAME.part``, so that the next writer overwrites what a killed writer left.
        keep_dates: Whether the new file keeps the dates of the old one.

    Raises:
        OSError: The file cannot be written.

    Examples:
        >>> target = Path("notes.txt")
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
    name = f".speciesnet-{uuid.uuid4().hex}" if unique else target.name
    part = target.with_name(f"{name}.part")
    try:
        yield part
        if fsync:  # before the permissions, which may not allow writing
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        if keep_dates:
            shutil.copystat(target, part)
        elif target.exists() and target.stat().st_mode != part.stat().st_mode:
            shutil.copymode(target, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def write_all(file: BinaryIO, data: bytes) -> None:
    """Writes all bytes to an unbuffered file, which may accept only some of them at a time."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def numbered_names(name: str) -> Iterator[str]:
    """``NAME``, ``NAME2``, ``NAME3`` and so on."""
    yield name
    yield from (f"{name}{number}" for number in itertools.count(2))


def backup_name(path: Path, ending: str = ".bak") -> Path:
    """The first unused name among ``NAME.bak``, ``NAME.bak2``, ``NAME.bak3`` and so on."""
    names = map(Path, numbered_names(f"{path}{ending}"))
    return next(name for name in names if not name.exists())


def keep_backup(path: Path) -> None:
    """Copies a file to the first unused name among ``NAME.bak``, ``NAME.bak2`` and so on."""
    backup = backup_name(path)
    shutil.copy2(path, backup)
    logging.info("%s is kept as %s.", path, backup)


class ExclusiveLock:
    """Keeps other processes from writing a file, for as long as the context lasts.

    The lock is a file next to it, ``NAME.lock``.

    Args:
        path: The file.
        writer: Who else may be writing it, for the error message: "another run".
        advice: What the user can do instead of waiting: "pass a different file".
        required: Whether a disk that cannot lock files, such as some network drives, is an error instead
            of a warning.
        display_name: The name of the file in messages; its path by default.

    Raises:
        OutputError: Another process is writing it, or the lock cannot be created.
    """

    def __init__(
        self,
        path: Path,
        writer: str,
        advice: str,
        *,
        required: bool = False,
        display_name: str | None = None,
    ) -> None:
        self._name = display_name or str(path)
        self._writer, self._advice, self._required = writer, advice, required
        self._lock_path = path.with_name(f"{path.name}.lock")
        self._lock = FileLock(self._lock_path, timeout=0)

    def __enter__(self) -> ExclusiveLock:
        try:
            self._lock.acquire()
        except Timeout as error:
            raise OutputError(
                f"{self._name} is being written by {self._writer}. Wait for it, or {self._advice}."
            ) from error
        except NotImplementedError as error:
            if self._required:
                raise OutputError(
                    f"{self._name} cannot be locked ({error}). Use a file on a different disk."
                ) from error
            logging.warning("%s cannot be locked: do not start a second run on it.", self._name)
        except OSError as error:
            raise OutputError(
                f"{self._name} cannot be written ({error.strerror or error}). Fix the cause and run the "
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
