"""Which instances still lack a record: an anti-join on the output, whose memory does not grow."""

from __future__ import annotations

import io
import itertools
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import cast

from speciesnet.distributed.disk_index import new_index
from speciesnet.distributed.shards import DIGEST_BYTES, digest
from speciesnet.errors import InputError, OutputError
from speciesnet.instances import Instance
from speciesnet.predictions.layout import decode_line, encode_record
from speciesnet.records import Record

FILE_INSTANCES = 5_000  # of a file of the list


class Seen:
    """Images that need not be done, or not again: an index on the disk of this machine."""

    def __enter__(self) -> Seen:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._index = new_index(Path(self._folder.name), "seen (digest BLOB PRIMARY KEY)")
        return self

    def add(self, digests: bytes) -> None:
        """Takes images as seen: their digests, one after the other."""
        ends = range(DIGEST_BYTES, len(digests) + 1, DIGEST_BYTES)
        rows = ((digests[end - DIGEST_BYTES : end],) for end in ends)
        self._index.executemany("INSERT OR IGNORE INTO seen VALUES (?)", rows)

    def is_new(self, filepath: str) -> bool:
        """Whether an image is seen for the first time, which it is not any more then."""
        row = (digest(filepath),)
        return self._index.execute("INSERT OR IGNORE INTO seen VALUES (?)", row).rowcount == 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._index.close()
        self._folder.cleanup()
        if isinstance(error, sqlite3.Error):
            raise _no_room("index", error) from error


@dataclass
class Counts:
    """What came of a list of instances.

    Attributes:
        new: Those without a finished record, each once.
    """

    new: int = 0


def unfinished(instances: Iterable[Instance], seen: Seen, counts: Counts) -> Iterator[Instance]:
    """Instances that are new, each once, while they are counted."""
    for instance in instances:
        if seen.is_new(instance.filepath):
            counts.new += 1
            yield instance


def write_work(instances: Iterable[Instance], folder: Path) -> list[Path]:
    """Writes a list into files of ``FILE_INSTANCES``, a JSON object a line, and answers these.

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
            raise _no_room("list", error) from error
    return files


def read_work(files: Iterable[Path], size: int) -> Iterator[list[Instance]]:
    """The instances of such files, so many at once; the last ones of a file may be fewer.

    Raises:
        InputError: A file is gone.
    """
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise InputError(
                f"{file}, a part of the list of images, cannot be read ({error.strerror or error}); give "
                "the same command again, with TMPDIR naming a folder that nobody tidies up meanwhile."
            ) from error
        with io.BytesIO(content) as lines:
            while chunk := list(itertools.islice(lines, size)):
                yield [Instance(**cast("Record", decode_line(line))) for line in chunk]


def _no_room(what: str, error: Exception) -> OutputError:
    return OutputError(
        f"There is no room in {tempfile.gettempdir()} for the {what} of images ({error}); mend that, or "
        "set TMPDIR to another folder."
    )
