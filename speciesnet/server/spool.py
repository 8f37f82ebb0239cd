"""Files of requests on their way to a worker, on the disk until the request is answered."""

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

from speciesnet.server.errors import busy

PREFIX = "speciesnet-server-"
LOCK = "in-use"  # in each folder, held by its process as long as that lives
TOO_YOUNG = 60  # seconds, in which the process that made a folder may not have locked it yet


class Spool:
    """A folder for the bodies of all requests together.

    Args:
        max_bytes: What they may take.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        remove_leftovers()
        self._folder, self._held = _locked_folder()
        self.used = 0
        self._lock = threading.Lock()

    @contextmanager
    def request(self) -> Iterator[RequestFiles]:
        """A place for the files of one request, which are gone after it."""
        files = RequestFiles(self, self._new_folder())
        try:
            yield files
        finally:
            with self._lock:
                self.used -= files.used
            shutil.rmtree(files.folder, ignore_errors=True)

    def take(self, size: int) -> None:
        """Counts bytes; raises ``RefusedError`` when there is no room for them now."""
        with self._lock:
            if self.used + size > self._max_bytes:
                raise busy("Too much is being sent to this server at once; come back later.")
            self.used += size

    def _new_folder(self) -> Path:
        try:
            return Path(tempfile.mkdtemp(dir=self._folder))
        except FileNotFoundError:  # systems tidy up folders of temporary files that rest for days
            with self._lock:
                if not self._folder.is_dir():
                    self._held.release()
                    self._folder, self._held = _locked_folder()
            return Path(tempfile.mkdtemp(dir=self._folder))

    def close(self) -> None:
        """Takes the folder away."""
        self._held.release()
        shutil.rmtree(self._folder, ignore_errors=True)


def _locked_folder() -> tuple[Path, FileLock]:
    """A folder that only this user can look into, and the lock that tells others it is in use."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = FileLock(folder / LOCK, timeout=0, thread_local=False)
    with suppress(OSError, NotImplementedError):  # no disk has to know locks
        lock.acquire()
    return folder, lock


def remove_leftovers() -> None:
    """Takes away what servers left behind that were killed.

    Only folders of this user that no process holds the lock of, which ends with the process however
    that ends; a folder without one is left alone.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if _is_own(folder) and time.time() - (folder / LOCK).lstat().st_mtime > TOO_YOUNG:
                with FileLock(folder / LOCK, timeout=0):
                    pass  # nobody holds it
                shutil.rmtree(folder, ignore_errors=True)
        except (OSError, NotImplementedError):  # in use, or without a lock
            continue


def _is_own(folder: Path) -> bool:
    """Whether it is a real folder of this user: in a shared place, anyone can put a link."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and (os.name == "nt" or found.st_uid == os.getuid())


class RequestFiles:
    """The files of one request.

    Attributes:
        folder: Where they are.
        used: Bytes that are counted for it.
    """

    def __init__(self, spool: Spool, folder: Path) -> None:
        self.folder = folder
        self.used = 0
        self._spool = spool
        self._count = 0

    def take(self, size: int) -> None:
        """As ``Spool.take``, until the request is over."""
        self._spool.take(size)
        self.used += size

    def new(self) -> Path:
        """The path of a file that does not exist yet."""
        self._count += 1
        return self.folder / f"image{self._count}"
