"""The instances that still lack a record, on disk: memory does not grow with their number."""

from __future__ import annotations

import itertools
import json
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from speciesnet.errors import InputError, OutputError
from speciesnet.images.instances import Instance
from speciesnet.predictions.layout import encode_record
from speciesnet.run.distributed.shards import DIGEST_BYTES, digest

FILE_INSTANCES = 5_000  # in one file of the list
CACHE_KIB = 64 * 1024  # memory in which SQLite keeps parts of an index


def new_index(folder: Path, table: str) -> sqlite3.Connection:
    """Creates a table in a folder that has none; raises ``sqlite3.Error`` if the disk is full.

    Its settings are fast, but a crash damages it, so only the run that creates it may use it.
    """
    index = sqlite3.connect(folder / "index.sqlite")
    for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}"):
        index.execute(f"PRAGMA {setting}")
    index.execute(f"CREATE TABLE {table} WITHOUT ROWID")
    return index


class SeenImages:
    """An index of images that are finished or already in the list; use it as a context manager.

    The context raises ``OutputError`` if the disk is full.

    Attributes:
        new: Number of instances that ``unseen`` has yielded.
        known: Number of added images that were among the instances given to ``unseen``.
    """

    def __enter__(self) -> SeenImages:
        self.new = self.known = 0
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._index = new_index(
            Path(self._folder.name), "seen (digest BLOB PRIMARY KEY, given INTEGER)"
        )
        return self

    def add(self, digests: bytes) -> None:
        """Adds images by their digests, joined."""
        ends = range(DIGEST_BYTES, len(digests) + 1, DIGEST_BYTES)
        rows = ((digests[end - DIGEST_BYTES : end],) for end in ends)
        self._index.executemany("INSERT OR IGNORE INTO seen VALUES (?, 0)", rows)

    def unseen(self, instances: Iterable[Instance]) -> Iterator[Instance]:
        """Yields the instances whose image is not in the index, and adds each to it."""
        for instance in instances:
            row = (digest(instance.filepath),)
            if self._index.execute("INSERT OR IGNORE INTO seen VALUES (?, 1)", row).rowcount == 1:
                self.new += 1
                yield instance
            else:
                mark = "UPDATE seen SET given = 1 WHERE digest = ? AND NOT given"
                self.known += self._index.execute(mark, row).rowcount

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        self._index.close()
        self._folder.cleanup()
        if isinstance(error, sqlite3.Error):
            raise _disk_full("index", error) from error


def write_work(instances: Iterable[Instance], folder: Path) -> list[Path]:
    """Writes instances into files of ``FILE_INSTANCES``, one JSON object per line, and returns the files.

    Raises:
        OutputError: The disk is full.
    """
    files: list[Path] = []
    instances = iter(instances)
    while chunk := list(itertools.islice(instances, FILE_INSTANCES)):
        files.append(folder / f"{len(files)}.jsonl")
        lines = b"".join(encode_record(asdict(instance)) + b"\n" for instance in chunk)
        try:
            files[-1].write_bytes(lines)
        except OSError as error:
            raise _disk_full("list", error) from error
    return files


def read_work(files: Iterable[Path], size: int) -> Iterator[list[Instance]]:
    """Reads files of ``write_work`` in chunks of a given size; the last chunk of a file may be smaller.

    Raises:
        InputError: A file is missing or damaged.
    """
    for file in files:
        try:
            lines = iter(file.read_bytes().splitlines())
            while chunk := list(itertools.islice(lines, size)):
                yield [Instance(**json.loads(line)) for line in chunk]
        except (OSError, ValueError, TypeError) as error:
            reason = getattr(error, "strerror", None) or "it is damaged"
            raise InputError(
                f"{file}, a part of the list of images, cannot be read ({reason}). Run the same command "
                "again, with TMPDIR set to a folder that nothing cleans up during the run."
            ) from error


def _disk_full(what: str, error: Exception) -> OutputError:
    return OutputError(
        f"There is no room in {tempfile.gettempdir()} for the {what} of images ({error}). Free some "
        "space, or set TMPDIR to a different folder."
    )
