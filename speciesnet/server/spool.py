"""Files of requests on their way to a worker, on the disk until the request is answered."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from speciesnet.server.refusals import busy


class Spool:
    """A folder for the bodies of all requests together.

    Args:
        max_bytes: What they may take.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._folder = tempfile.TemporaryDirectory(
            prefix="speciesnet-server-", ignore_cleanup_errors=True
        )
        self.used = 0
        self._lock = threading.Lock()

    @contextmanager
    def request(self) -> Iterator[RequestFiles]:
        """A place for the files of one request, which are gone after it."""
        files = RequestFiles(self, Path(tempfile.mkdtemp(dir=self._folder.name)))
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

    def close(self) -> None:
        """Takes the folder away."""
        self._folder.cleanup()


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
