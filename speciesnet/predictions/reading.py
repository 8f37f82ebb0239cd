"""Reads predictions files of every layout."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from absl import logging

from speciesnet.errors import CutOffError, DamagedError, NoListError, OutputError, file_errors
from speciesnet.files import json_lists, storage
from speciesnet.predictions.format5 import Missing, as_ours
from speciesnet.predictions.layout import as_record, decode_line, has_own_layout, record_lines
from speciesnet.predictions.megadetector import is_megadetector_file
from speciesnet.records import Record, in_file, record_errors
from speciesnet.records.failures import is_finished
from speciesnet.records.numbers import (
    check_finite,
    with_checked_numbers,
    without_unknown_position,
)

TAIL_BYTES = 2**20  # at the end of a file, to see whether it is truncated

_noted: set[tuple[str, str]] = set()  # what is in the log: commands read a file more than once

_InstanceDict = TypeVar("_InstanceDict", bound=Mapping[str, Any])


def read_records(
    path: str | os.PathLike[str],
    *,
    display_name: str | None = None,
    notes: list[str] | None = None,
    only: Collection[str] | None = None,
) -> Iterator[Record]:
    """Reads the records of a predictions file one at a time, whatever program wrote it.

    All complete records of a file that is cut off are read. Records of format 5 are converted; see
    ``format5.from_format5``.

    Args:
        path: The file.
        display_name: The name of the file for messages; its path by default.
        notes: Receives a sentence about classes that a file of format 5 lacks, at the end; by
            default, it is logged, with the number of images without a classified box.
        only: The images whose records to read; None reads all.

    Yields:
        The records, in the order of the file.

    Raises:
        OutputError: The file cannot be read, or is not a predictions file.
        MalformedRecordError: A record of format 5 is malformed; or a number is NaN or out of its range.

    Examples:
        >>> path = Path("predictions.json")
        >>> _ = path.write_text('{"predictions": [{"filepath": "fox.jpg"}]}')
        >>> [record["filepath"] for record in read_records(path)]
        ['fox.jpg']
    """
    name, missing = display_name or storage.display_name(Path(path)), Missing()
    for record in read_as_written(path, display_name=name):
        if only is not None and record["filepath"] not in only:
            continue
        with in_file(name), record_errors(record):
            ours = with_checked_numbers(as_ours(record))
            missing.count(record, ours)
        yield ours
    if note := missing.note(name, counts_blank=notes is None):
        if notes is not None:
            notes.append(note)
        else:
            _warn_once(path, note)


def read_as_written(
    path: str | os.PathLike[str], *, display_name: str | None = None
) -> Iterator[Record]:
    """Does the same as ``read_records`` without converting the records of format 5."""
    path, name = Path(path), display_name or storage.display_name(path)
    with file_errors(OutputError, f"The predictions file {name}"):
        if not has_own_layout(path):
            yield from _read_foreign(path, name)
            return
        is_damaged = False
        with path.open("rb") as file:
            for _, line in record_lines(file):
                with in_file(name):
                    record = decode_line(line)
                if record:
                    yield record
                else:
                    is_damaged = True
        if is_damaged:
            _warn_of_cut_off(path, name)


def _read_foreign(path: Path, name: str) -> Iterator[Record]:
    for number, item in enumerate(_items(path, name), start=1):
        record = as_record(item)
        if record is None:
            raise OutputError(f'Record {number} of {name} lacks "filepath". Correct the file.')
        record = without_unknown_position(record)
        with in_file(name):
            check_finite(record)
        yield record


def _items(path: Path, name: str) -> Iterator[object]:
    """The items of the list "predictions" of a JSON file, one at a time."""

    def is_end(file: BinaryIO, error: DamagedError) -> bool:
        if is_cut_off := isinstance(error, CutOffError) or not _is_closed(file):
            _warn_of_cut_off(path, name)
        return is_cut_off

    try:
        with json_lists.described_errors(name, OutputError, "Fix it or pass a different file."):
            yield from json_lists.read_items(path, "predictions", is_end)
    except NoListError as error:
        what, fix = 'it has no "predictions" list', "Pass a different file."
        if is_megadetector_file(path):
            what = 'its list "images" is in the format of MegaDetector'
            fix = "Pass it as --detections_json to a run with --classifier_only or --ensemble_only."
        raise OutputError(f"{name} is not a predictions file: {what}. {fix}") from error


def _warn_of_cut_off(path: Path, name: str) -> None:
    _warn_once(path, f"{name} is cut off: its complete records are used.")


def _warn_once(path: str | os.PathLike[str], sentence: str) -> None:
    """Logs a warning once, even if the file is read several times."""
    if (os.fspath(path), sentence) not in _noted:
        _noted.add((os.fspath(path), sentence))
        logging.warning("%s", sentence)


def _is_closed(file: BinaryIO) -> bool:
    """Whether a JSON file ends with a bracket."""
    file.seek(max(file.seek(0, os.SEEK_END) - TAIL_BYTES, 0))
    return file.read().rstrip().endswith(b"}")


def finished_images(path: str) -> set[str]:
    """The images in a predictions file that need not be predicted again; empty if there is no file.

    Args:
        path: Path or URL.

    Raises:
        OutputError: The file cannot be read, or is not a predictions file.
    """
    with (
        file_errors(OutputError, path),
        suppress(FileNotFoundError),
        storage.local_file(path) as local,
    ):
        if local.exists() and local.stat().st_size:
            return {r["filepath"] for r in read_records(local) if is_finished(r)}
    return set()


def load_partial_predictions(
    predictions_json: str | None, instances: Sequence[_InstanceDict]
) -> tuple[dict[str, Record], list[_InstanceDict]]:
    """Splits instances into those with a finished record and those without.

    Args:
        predictions_json: A predictions file; there are no records for None, "" or a missing file.
        instances: ``[{"filepath": ...}, ...]``.

    Returns:
        The finished records by file path, and the instances without one.

    Raises:
        OutputError: The file is not a predictions file, or names images that are not in ``instances``.
    """
    if not predictions_json or not Path(predictions_json).exists():
        return {}, list(instances)
    known = {instance["filepath"] for instance in instances}
    finished: dict[str, Record] = {}
    for record in read_records(predictions_json):
        if record["filepath"] not in known:
            raise names_other_images(predictions_json, record["filepath"])
        if is_finished(record):
            finished[record["filepath"]] = record
    return finished, [i for i in instances if i["filepath"] not in finished]


def names_other_images(name: str, filepath: str) -> OutputError:
    """The error for a file with a record of an image outside the run."""
    return OutputError(
        f"{name} has a record of {filepath}, which is not among the images of this run. Pass the file "
        "that belongs to these images, or the images that belong to the file."
    )
