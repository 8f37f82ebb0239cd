"""Appends records to a predictions file, which stays valid JSON."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterable
from pathlib import Path

from absl import logging

from speciesnet.files.atomic import write_all
from speciesnet.predictions.layout import FOOTER, SEPARATOR, cannot_write

FLUSH_SECONDS = 2.0  # how much work a crash may cost
BUFFER_BYTES = 2**20


class Appender:
    """Appends lines to a predictions file, and flushes them to the disk from a thread.

    Args:
        path: The file, in our own layout.
        end: The offset after its last complete record, or after the header.
        start: The offset after the header.
    """

    def __init__(self, path: Path, end: int, start: int) -> None:
        self._path = path
        self._start = start
        self._end = self._next = end  # the end of the file, and that with the buffer
        self._buffer: list[bytes] = []
        self._error: OSError | None = None
        self._mutex = threading.Lock()
        self._closing = threading.Event()
        self._file = path.open("r+b", buffering=0)
        self._restore_brackets()
        self._flusher = threading.Thread(target=self._flush_now_and_then, daemon=True)
        self._flusher.start()

    def append(self, lines: Iterable[bytes]) -> list[int]:
        """Appends lines, and returns their offsets; raises ``OutputError``."""
        offsets = []
        with self._mutex:
            for line in lines:
                if self._next > self._start:
                    self._buffer.append(SEPARATOR)
                    self._next += len(SEPARATOR)
                offsets.append(self._next)
                self._buffer.append(line)
                self._next += len(line)
            if self._next - self._end > BUFFER_BYTES:
                self._flush()
            if self._error:
                raise cannot_write(self._path, self._error)
        return offsets

    def flush(self) -> None:
        """Writes all appended lines to the disk."""
        with self._mutex:
            self._flush()

    def copy_to(self, target: Path) -> None:
        """Copies the file in its current state; raises ``OSError``."""
        with self._mutex:
            self._flush()
            end = self._end
        with self._path.open("rb") as file, target.open("wb") as copy:
            while end and (piece := file.read(min(end, BUFFER_BYTES))):  # records never change
                copy.write(piece)
                end -= len(piece)
            copy.write(FOOTER)

    def close(self) -> OSError | None:
        """Flushes and closes the file; returns the error that kept lines from being written."""
        self.flush()  # before anything else: an impatient user presses Ctrl-C again
        self.stop()
        self._flusher.join()
        self._file.close()
        return self._error

    def stop(self) -> None:
        """Keeps the thread from writing into a file that a later run may have started."""
        self._closing.set()

    def _flush_now_and_then(self) -> None:
        while not self._closing.wait(FLUSH_SECONDS):
            self.flush()

    def _flush(self) -> None:
        """Overwrites the closing brackets with the buffer and new brackets, in one write."""
        if self._error:
            return
        try:
            if not self._path.exists():  # Unix would write to the deleted file without an error
                raise FileNotFoundError(errno.ENOENT, "it, or its folder, was moved or deleted")
            if not self._buffer:
                return
            self._file.seek(self._end)
            write_all(self._file, b"".join(self._buffer) + FOOTER)
            os.fsync(self._file.fileno())
        except OSError as error:
            self._error = error
            try:
                self._restore_brackets()  # their space on the disk is still allocated
            except OSError:
                logging.warning("%s is left cut off; the next run repairs it.", self._path)
            return
        self._end = self._next
        self._buffer.clear()

    def _restore_brackets(self) -> None:
        """Ends the file after its last complete record."""
        self._file.truncate(self._end)
        self._file.seek(self._end)
        write_all(self._file, FOOTER)
