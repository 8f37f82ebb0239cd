"""Files of requests, stored on the disk until the request is answered."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from speciesnet.server.errors import RejectedError

PREFIX = "speciesnet-server-"
LOCK = "in-use"  # a file in each folder, locked as long as the process that made the folder runs
MIN_AGE = 60  # seconds; the process that made a younger folder may not have locked it yet


class Spool:
    """A temporary folder for the files of all requests.

    Args:
        max_bytes: The largest total size of the files.

    Attributes:
        used: The number of bytes reserved.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        remove_leftovers()
        self._folder, self._folder_lock = _locked_folder()
        self.used = 0
        self._lock = threading.Lock()

    @contextmanager
    def request(self) -> Iterator[RequestFiles]:
        """A folder for the files of one request, deleted at the end of the context."""
        files = RequestFiles(self, self._new_folder())
        try:
            yield files
        finally:
            with self._lock:
                self.used -= files.used
            shutil.rmtree(files.folder, ignore_errors=True)

    def reserve(self, size: int) -> None:
        """Reserves bytes; raises ``RejectedError`` if there is no room for them now."""
        with self._lock:
            if self.used + size > self._max_bytes:
                raise RejectedError(503, "The server is receiving too much data. Try again later.")
            self.used += size

    def _new_folder(self) -> Path:
        try:
            return Path(tempfile.mkdtemp(dir=self._folder))
        except FileNotFoundError:  # systems delete temporary folders that are unused for days
            with self._lock:
                if not self._folder.is_dir():
                    self._folder_lock.release()
                    self._folder, self._folder_lock = _locked_folder()
            return Path(tempfile.mkdtemp(dir=self._folder))

    def close(self) -> None:
        """Deletes the folder."""
        self._folder_lock.release()
        shutil.rmtree(self._folder, ignore_errors=True)


def _locked_folder() -> tuple[Path, FileLock]:
    """A folder that only this user can read, and the lock that marks it as in use."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = FileLock(folder / LOCK, timeout=0, thread_local=False)
    with suppress(OSError, NotImplementedError):  # some disks have no locks
        lock.acquire()
    return folder, lock


def remove_leftovers() -> None:
    """Deletes the folders of servers that were killed.

    A lock is released whenever its process ends. A folder is deleted only if this user owns it and no
    process holds its lock; a folder without a lock file is kept.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if _is_own(folder) and time.time() - (folder / LOCK).lstat().st_mtime > MIN_AGE:
                with FileLock(folder / LOCK, timeout=0):
                    pass  # the lock is free
                shutil.rmtree(folder, ignore_errors=True)
        except (OSError, NotImplementedError):  # in use, or without a lock
            continue


def _is_own(folder: Path) -> bool:
    """Whether this is the user's own folder, not a link created by someone else."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and (os.name == "nt" or found.st_uid == os.getuid())


class RequestFiles:
    """The files of one request.

    Attributes:
        folder: The folder of the files.
        used: The number of bytes reserved.
    """

    def __init__(self, spool: Spool, folder: Path) -> None:
        self.folder = folder
        self.used = 0
        self._spool = spool
        self._count = 0

    def reserve(self, size: int) -> None:
        """Reserves bytes until the end of the request; see ``Spool.reserve``."""
        self._spool.reserve(size)
        self.used += size

    def new_path(self) -> Path:
        """The path of a new file."""
        self._count += 1
        return self.folder / f"image{self._count}"
