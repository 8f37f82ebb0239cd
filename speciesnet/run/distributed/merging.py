"""Merges the parts of a run into one predictions file."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path, PurePath
from typing import Any

from absl import logging

from speciesnet.constants import RUN_ENDING, OutputFormat
from speciesnet.errors import InputError, OutputError, file_errors
from speciesnet.files import storage
from speciesnet.files.atomic import ExclusiveLock, keep_backup
from speciesnet.files.input_notes import counted, plural
from speciesnet.predictions.format5 import as_ours
from speciesnet.predictions.layout import decode_line, encode_record, format_of, lines_at, rewrite
from speciesnet.predictions.reading import read_as_written
from speciesnet.predictions.settings import FLAWED, RunSettings, settings_path, write_settings
from speciesnet.predictions.tally import Tally
from speciesnet.records import Record
from speciesnet.records.failures import is_failed
from speciesnet.run.distributed.folder import Folder
from speciesnet.run.distributed.shards import FORMATS, RUN_FILE, read_shard, shard_names
from speciesnet.run.distributed.work_list import new_index

MAX_SHARDS = 100_000  # the most that are searched for
EARLIER_STEPS = ("detections_json", "classifications_json")


def merge(parts: Sequence[str], target: Path) -> Tally:
    """Writes the records of all parts, one for each image, sorted by path.

    If an image has two records, one that has not failed is preferred, and then the later one. The
    records are indexed on disk, so memory does not grow with their number. An existing target is kept
    as ``*.bak``.

    Args:
        parts: Folders of shards, or predictions files; on a disk or in a bucket.
        target: The file to write.

    Returns:
        Counts of the records.

    Raises:
        InputError: A part does not exist, has no records, or was made with different settings.
        OutputError: A part is damaged, or the target cannot be written.
    """
    settings = _common_settings(parts)
    output_format = _common_format(parts)
    tally = Tally()
    try:
        with (
            ExclusiveLock(target, "a run", "pass a different file"),
            tempfile.TemporaryDirectory(
                prefix=".speciesnet-", dir=target.parent, ignore_cleanup_errors=True
            ) as folder,
            closing(_IndexedRecords(Path(folder))) as records,
        ):
            for part in parts:
                before = records.added
                for record in _records_of(part):
                    records.add(record)
                logging.info("%s: %s.", part, counted(records.added - before, "record"))
            if not records.added:
                raise InputError(
                    f"There are no records in {', '.join(parts)}. Pass parts that contain some."
                )
            if target.exists():
                keep_backup(target)
            rewrite(target, records.in_order(tally), output_format)
            if settings is None:
                settings_path(target).unlink(missing_ok=True)  # left by the earlier target
            else:
                write_settings(target, settings)
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"{target} cannot be written ({reason}). Fix the cause or pass a different file."
        ) from error
    return tally


def _common_settings(parts: Sequence[str]) -> Mapping[str, Any] | None:
    """Returns the known settings that all parts share; warns about missing parts."""
    found = ((part, settings) for part in parts if (settings := _read_settings(part)) is not None)
    origin, first = next(found, ("", None))
    if first is None:
        return None
    shards = {first.pop("shard", None)}
    first.pop("precision", None)  # counts of this part
    flawed = _flawed_in(first)
    for part, settings in found:
        shards.add(settings.get("shard"))
        flawed |= _flawed_in(settings)
        try:
            _drop_differing_inputs(first, settings)
            differences = RunSettings.from_dict(first).differences(settings)
        except (TypeError, AttributeError):  # written by another version
            differences = [] if first == settings else ["their settings differ"]
        if differences:
            raise InputError(
                f"{part} and {origin} belong to different runs ({'; '.join(differences)}). Merge only "
                "parts that were made with the same settings."
            )
    _warn_of_missing(shards - {None})
    return {**first, FLAWED: flawed} if flawed else first


def _flawed_in(settings: dict[str, Any]) -> dict[str, Any]:
    """Takes the flawed images out of the settings of a part."""
    found = settings.pop(FLAWED, None)
    return found if isinstance(found, dict) else {}


def _warn_of_missing(shards: set[object]) -> None:
    """Logs which parts of ``--shard`` are missing; parts without images have no file."""
    totals = {str(shard).rpartition("/")[2] for shard in shards}
    wanted = (
        f"{number}/{total}"
        for total in totals
        if total.isdecimal()
        for number in range(1, min(int(total), MAX_SHARDS) + 1)
    )
    if missing := [shard for shard in wanted if shard not in shards]:
        logging.warning(
            "%s of the run %s not among the parts: %s. Merge all parts, unless no image fell into %s.",
            counted(len(missing), "shard"),
            plural(len(missing), "is", "are"),
            ", ".join(missing[:10]),
            plural(len(missing), "it", "them"),
        )


def _common_format(parts: Sequence[str]) -> OutputFormat:
    """The format of all parts; shards have format 4."""
    origins: dict[OutputFormat, str] = {}
    for part in parts:
        found: OutputFormat = 4
        if not _is_folder(part):
            # The code that reads the records describes the error.
            with suppress(OSError, OutputError), storage.local_file(part) as path:
                found = format_of(path)
        origins.setdefault(found, part)
    if len(origins) > 1:
        raise InputError(
            f"{origins[5]} is in format 5, and {origins[4]} in format 4. Merge only parts that were made "
            "with the same --output_format."
        )
    return 5 if 5 in origins else 4


def _drop_differing_inputs(first: dict[str, Any], other: dict[str, Any]) -> None:
    """Drops inputs from earlier steps from the settings if each array job had its own part."""
    inputs, others = dict(first.get("inputs", {})), dict(other.get("inputs", {}))
    for name in EARLIER_STEPS:
        if inputs.get(name) != others.get(name):
            inputs.pop(name, None)
            others.pop(name, None)
    first["inputs"], other["inputs"] = inputs, others


def _read_settings(part: str) -> dict[str, Any] | None:
    is_folder = _is_folder(part)
    url = Folder(part.rstrip("/")).at(RUN_FILE) if is_folder else f"{part}{RUN_ENDING}"
    try:
        with storage.local_file(url) as path:
            document = json.loads(path.read_text(encoding="utf-8"))
        settings = document["settings"] if is_folder else document
        if not isinstance(settings, dict):
            raise TypeError("it contains no settings")
        return settings
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{url} cannot be read ({error}). Fix or remove the file.") from error


def _is_folder(part: str) -> bool:
    if storage.is_cloud(part):
        return not part.endswith(".json")
    return os.path.isdir(part)  # noqa: PTH112 (pathlib's raises for names that are too long)


def _records_of(part: str) -> Iterator[Record]:
    if _is_folder(part):
        folder = Folder(part.rstrip("/"))
        names = shard_names(folder)
        if not names:
            raise InputError(
                f"There are no shards in {part}: no file is called part-*.{' or part-*.'.join(FORMATS)}. "
                "Pass the output folder of a run."
            )
        for name in names:
            with folder.local(name) as path:
                for record in read_shard(path, name.rpartition(".")[2]):
                    if record is None:
                        raise OutputError(
                            f"{folder.at(name)} is damaged. Run the command that wrote it again to "
                            "repair it."
                        )
                    yield record
        return
    fix = "Fix the cause or leave the part out."
    with file_errors(InputError, part, fix=fix), storage.local_file(part) as path:
        yield from read_as_written(path, display_name=part)


class _IndexedRecords:
    """Records in a file, and an index of them by image, both in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "records"
        self._file = self._path.open("wb")
        self._index = new_index(folder, "lines (image BLOB PRIMARY KEY, failed INT, start INT)")
        self.added = 0

    def add(self, record: Record) -> None:
        filepath = record["filepath"]
        # Sorts by the components of the path; no name contains this character.
        image = "\0".join((*PurePath(filepath).parts, "", filepath))
        self._index.execute(
            "INSERT INTO lines VALUES (?, ?, ?) ON CONFLICT (image) DO UPDATE SET failed = "
            "excluded.failed, start = excluded.start WHERE excluded.failed <= failed",
            (image.encode("utf-8", "surrogatepass"), is_failed(record), self._file.tell()),
        )
        self._file.write(encode_record(record) + b"\n")
        self.added += 1

    def in_order(self, tally: Tally) -> Iterator[bytes]:
        """Yields one encoded record for each image, and counts it."""
        self._file.flush()
        starts = (
            start for (start,) in self._index.execute("SELECT start FROM lines ORDER BY image")
        )
        for line in lines_at(self._path, starts):
            if (record := decode_line(line)) is not None:
                tally.count(as_ours(record))
            yield line

    def close(self) -> None:
        with closing(self._index), self._file:
            pass
