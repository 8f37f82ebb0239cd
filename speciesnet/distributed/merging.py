"""Joins what the parts of a run have written into one predictions file."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from absl import logging

from speciesnet.constants import RUN_ENDING
from speciesnet.distributed.disk_index import new_index
from speciesnet.distributed.folder import Folder
from speciesnet.distributed.shards import FORMATS, RUN_FILE, read_shard, shard_names
from speciesnet.errors import InputError, OutputError
from speciesnet.files import storage
from speciesnet.files.atomic import ExclusiveLock, keep_backup
from speciesnet.predictions.layout import decode_line, encode_record, rewrite
from speciesnet.predictions.reading import read_records
from speciesnet.predictions.settings import RunSettings, settings_path, write_settings
from speciesnet.records import Record, Tally, is_failed

EARLIER_STEPS = ("detections_json", "classifications_json")


def merge(parts: Sequence[str], target: Path) -> Tally:
    """Writes the records of all parts, once for each image, in the order of their paths.

    Of two records of one image the one that has not failed counts, or else any. Only an index
    on the disk knows of all of them: memory does not grow. What the target held before is kept as
    ``*.bak``.

    Args:
        parts: Folders of shards, or predictions files; on a disk or in a bucket.
        target: The file to write.

    Returns:
        Counts of the records.

    Raises:
        InputError: A part does not exist, holds no records, or was made with other settings.
        OutputError: A part is damaged, or the target cannot be written.
    """
    settings = _settings_of(parts)
    tally = Tally()
    try:
        with (
            ExclusiveLock(target, "a run", "pass another file"),
            tempfile.TemporaryDirectory(
                prefix=".speciesnet-", dir=target.parent, ignore_cleanup_errors=True
            ) as folder,
        ):
            with _Lines(Path(folder)) as lines:
                for part in parts:
                    count = 0
                    for record in _records_of(part):
                        lines.add(record)
                        count += 1
                    logging.info("%s: %d records.", part, count)
                if lines.is_empty:
                    raise InputError(
                        f"There are no records in {', '.join(parts)}; nothing is written."
                    )
                if target.exists():
                    keep_backup(target)
                rewrite(target, lines.in_order(tally))
            if settings is None:
                settings_path(target).unlink(missing_ok=True)  # of what was there before
            else:
                write_settings(target, settings)
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"{target} cannot be written ({reason}); mend that, or give another file."
        ) from error
    return tally


def _settings_of(parts: Sequence[str]) -> dict[str, Any] | None:
    """What all parts were made with, as far as that is known."""
    first: dict[str, Any] | None = None
    origin = ""
    for part in parts:
        found = _read_settings(part)
        if found is None:
            continue
        if first is None:
            first, origin = found, part
            continue
        try:
            _forget_parts_of_earlier_steps(first, found)
            differences = RunSettings(**first).differences(found)
        except (TypeError, AttributeError):  # of another version
            differences = [] if first == found else ["their settings differ"]
        if differences:
            raise InputError(
                f"{part} and {origin} belong to different runs ({'; '.join(differences)}); merge only "
                "what was made with the same settings."
            )
    return first


def _forget_parts_of_earlier_steps(*settings: dict[str, Any]) -> None:
    """Array jobs of a later step have their own part of an earlier one's results as input."""
    inputs = [dict(one.get("inputs", {})) for one in settings]
    for name in EARLIER_STEPS:
        if len({one.get(name) for one in inputs}) > 1:
            for one in inputs:
                one.pop(name, None)
    for one, left in zip(settings, inputs, strict=True):
        one["inputs"] = left


def _read_settings(part: str) -> dict[str, Any] | None:
    url = Folder(part.rstrip("/")).at(RUN_FILE) if _is_folder(part) else f"{part}{RUN_ENDING}"
    try:
        with storage.local_file(url) as path:
            document = json.loads(path.read_text(encoding="utf-8"))
        settings = document["settings"] if _is_folder(part) else document
        if not isinstance(settings, dict):
            raise TypeError("there are no settings in it")
        return settings
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{url} cannot be read ({error}); mend it, or remove it.") from error


def _is_folder(part: str) -> bool:
    if storage.is_cloud(part):
        return not part.endswith(".json")
    return os.path.isdir(part)  # noqa: PTH112 (pathlib's raises for names that are too long)


def _records_of(part: str) -> Iterator[Record]:
    if _is_folder(part):
        folder = Folder(part.rstrip("/"))
        names = list(shard_names(folder))
        if not names:
            raise InputError(
                f"There are no shards in {part}: no file is called part-*.{' or part-*.'.join(FORMATS)}."
            )
        for name in names:
            yield from _records_of_shard(folder, name)
        return
    try:
        with storage.local_file(part) as path:
            yield from read_records(path, display_name=part)
    except OSError as error:
        raise InputError(
            f"{part} cannot be read ({error.strerror or error}); mend that, or leave it out."
        ) from error


def _records_of_shard(folder: Folder, name: str) -> Iterator[Record]:
    with folder.local(name) as path:
        for record in read_shard(path, name.rpartition(".")[2]):
            if record is None:
                raise OutputError(
                    f"{folder.at(name)} is damaged; give the command of the run again, which mends it."
                )
            yield record


class _Lines:
    """Records on the disk, and an index of them by image."""

    def __init__(self, folder: Path) -> None:
        self._file: BinaryIO = (folder / "records").open("w+b")
        self._index = new_index(
            folder, "lines (image BLOB PRIMARY KEY, failed INT, start INT, length INT)"
        )
        self._end = 0

    def __enter__(self) -> _Lines:
        return self

    @property
    def is_empty(self) -> bool:
        return self._end == 0

    def add(self, record: Record) -> None:
        line = encode_record(record)
        # As component by component: no name holds this character.
        parts = "\0".join(PurePath(record["filepath"]).parts)
        image = (
            parts.encode("utf-8", "surrogatepass")
            + b"\0\0"
            + record["filepath"].encode("utf-8", "surrogatepass")
        )
        self._index.execute(
            "INSERT INTO lines VALUES (?, ?, ?, ?) ON CONFLICT (image) DO UPDATE SET failed = "
            "excluded.failed, start = excluded.start, length = excluded.length "
            "WHERE excluded.failed <= failed",
            (image, is_failed(record), self._end, len(line)),
        )
        self._file.write(line)
        self._end += len(line)

    def in_order(self, tally: Tally) -> Iterator[bytes]:
        """The lines that count, which are counted."""
        rows = self._index.execute("SELECT start, length FROM lines ORDER BY image")
        for start, length in rows:
            self._file.seek(start)
            line = self._file.read(length)
            tally.count(decode_line(line) or {})
            yield line

    def __exit__(self, *_: object) -> None:
        with closing(self._index), self._file:
            pass
