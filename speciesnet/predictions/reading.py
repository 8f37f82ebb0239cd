"""Reads predictions files of every layout, and the detections of MegaDetector's own tools."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import ijson
from absl import logging

from speciesnet.constants import SCORE_THRESHOLD, Detection, Failure
from speciesnet.errors import InputError, NoListError, OutputError
from speciesnet.files import json_lists, storage
from speciesnet.predictions.layout import as_record, decode_line, has_own_layout, record_lines
from speciesnet.records import Box, Record, make_record

TAIL_BYTES = 2**20  # of a file, to see whether it is cut off

_CLASSES_OF_A_BOX = "raw_classifications"  # in the layout of the published program since 5.0.6
_KINDS = {"animal": Detection.ANIMAL, "person": Detection.HUMAN, "human": Detection.HUMAN,
          "vehicle": Detection.VEHICLE}  # fmt: skip

_InstanceDict = TypeVar("_InstanceDict", bound=Mapping[str, Any])


def read_records(
    path: str | os.PathLike[str], *, display_name: str | None = None
) -> Iterator[Record]:
    """Reads the records of a predictions file one at a time, whatever program wrote it.

    Of a file that is cut off, all whole records are read.

    Args:
        path: The file.
        display_name: The name of the file for messages; its path by default.

    Yields:
        The records, in the order of the file.

    Raises:
        OutputError: The file cannot be read, or is not a predictions file.

    Examples:
        >>> path = Path("predictions.json")
        >>> _ = path.write_text('{"predictions": [{"filepath": "fox.jpg"}]}')
        >>> [record["filepath"] for record in read_records(path)]
        ['fox.jpg']
    """
    path, name = Path(path), display_name or storage.display_name(path)
    try:
        if not has_own_layout(path):
            yield from _read_foreign(path, name)
            return
        is_damaged = False
        with path.open("rb") as file:
            for _, line in record_lines(file):
                if record := decode_line(line):
                    yield record
                else:
                    is_damaged = True
        if is_damaged:
            _warn_of_cut_off(name)
    except OSError as error:
        raise OutputError(
            f"The predictions file {name} cannot be read ({error.strerror or error}). Fix the cause or "
            "pass another file."
        ) from error


def _read_foreign(path: Path, name: str) -> Iterator[Record]:
    for number, item in enumerate(_items(path, name), start=1):
        record = as_record(item)
        if record is None:
            raise OutputError(f'Record {number} of {name} lacks "filepath". Correct the file.')
        boxes = record.get("detections")
        if isinstance(boxes, list) and any(
            isinstance(box, dict) and _CLASSES_OF_A_BOX in box for box in boxes
        ):
            raise OutputError(
                f"{name} was written by SpeciesNet 5.0.6 or later, with classes for each detection, "
                "which would be lost here. Make the predictions again with this program."
            )
        yield record


def _items(path: Path, name: str) -> Iterator[object]:
    """The items of the list "predictions" of a JSON file, one at a time."""

    def is_end(file: BinaryIO, error: Exception) -> bool:
        if is_cut_off := _is_cut_off(file, error):
            _warn_of_cut_off(name)
        return is_cut_off

    try:
        with json_lists.described_errors(name, OutputError, "Fix it or pass another file."):
            yield from json_lists.read_items(path, "predictions", is_end)
    except NoListError as error:
        raise OutputError(
            f'{name} is not a predictions file: it has no list "predictions". Pass another file.'
        ) from error


def _warn_of_cut_off(name: str) -> None:
    logging.warning("%s is cut off: its whole records are used.", name)


def _is_cut_off(file: BinaryIO, error: Exception) -> bool:
    """Whether a JSON file is cut off; ijson's readers in C call any damage incomplete."""
    if not isinstance(error, ijson.IncompleteJSONError):
        return False
    file.seek(max(file.seek(0, os.SEEK_END) - TAIL_BYTES, 0))
    is_closed = file.read().rstrip().endswith(b"}")
    return not is_closed or "EOF" in str(error) or "ncomplete" in str(error)


def finished_images(path: str) -> set[str]:
    """The images of a predictions file that need not be predicted again; none without a file.

    Args:
        path: Path or URL.

    Raises:
        OutputError: The file cannot be read, or is not a predictions file.
    """
    try:
        with storage.local_file(path) as local:
            if not local.exists() or not local.stat().st_size:
                return set()
            return {r["filepath"] for r in read_records(local) if not r.get("failures")}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise OutputError(
            f"{path} cannot be read ({error.strerror or error}). Fix the cause or pass another file."
        ) from error


def load_partial_predictions(
    predictions_json: str | None, instances: Sequence[_InstanceDict]
) -> tuple[dict[str, Record], list[_InstanceDict]]:
    """Splits instances into those with a finished record and those without.

    Args:
        predictions_json: A predictions file; None, "" or a file that does not exist has no records.
        instances: ``[{"filepath": ...}, ...]``.

    Returns:
        The finished records by file path, and the instances that have none.

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
        if not record.get("failures"):
            finished[record["filepath"]] = record
    return finished, [i for i in instances if i["filepath"] not in finished]


def names_other_images(name: str, filepath: str) -> OutputError:
    """The error for a file that contains a record of an image outside the run."""
    return OutputError(
        f"{name} has a record of {filepath}, which is not among the images of this run. Pass the file "
        "that belongs to these images, or the images that belong to the file."
    )


def is_megadetector_file(path: Path) -> bool:
    """Whether a JSON file has "images" where a predictions file has "predictions"."""
    with json_lists.open_json(path) as file:
        return json_lists.first_list(file, ("images", "predictions")) == "images"


def read_detections(path: Path, filepaths: Iterable[str]) -> Iterator[Record]:
    """Reads a file in MegaDetector's format as records with detections, one at a time.

    The format is described at
    https://github.com/agentmorris/MegaDetector/tree/main/megadetector/api/batch_processing#megadetector-batch-output-format.
    A name in it is a path of this run, or the end of exactly one. Boxes are sorted by confidence; boxes
    below the threshold of our detector and boxes of categories that it does not have are left out.
    MegaDetector does not turn mirrored photographs: the records have ``boxes_as_stored``.

    Args:
        path: ``{"images": [{"file", "detections"}], "detection_categories": {...}}``.
        filepaths: The images of the run.

    Raises:
        InputError: The file is damaged, or names an image that matches none or several of the run.
    """
    name = storage.display_name(path)
    paths = _Paths(name, filepaths)
    with json_lists.described_errors(name, InputError, "Make it again with MegaDetector."):
        with json_lists.open_json(path) as file:
            json_lists.check_depth(file)
        kinds = _categories(path, name)
        for number, image in enumerate(_values(path, "images.item"), start=1):
            if not isinstance(image, dict) or not isinstance(image.get("file"), str):
                raise InputError(f'Image {number} of {name} lacks "file". Make the file again.')
            yield _megadetector_record(image, paths.find(image["file"]), kinds, name)


def _categories(path: Path, name: str) -> dict[str, Detection]:
    for names in _values(path, "detection_categories"):
        if not isinstance(names, dict) or not all(isinstance(n, str) for n in names.values()):
            raise InputError(
                f'"detection_categories" of {name} must map numbers to names. Make the file again.'
            )
        return {number: _KINDS[kind] for number, kind in names.items() if kind in _KINDS}
    return {kind.category: kind for kind in Detection}


def _values(path: Path, prefix: str) -> Iterator[object]:
    with json_lists.open_json(path) as file:
        yield from ijson.items(file, prefix, use_float=True)


def _megadetector_record(
    image: Mapping[str, Any], filepath: str, kinds: Mapping[str, Detection], name: str
) -> Record:
    boxes = image.get("detections")
    if boxes is None:
        return make_record(filepath, [Failure.DETECTOR])
    try:
        detections = [
            Box(
                category=kinds[box["category"]].category,
                label=kinds[box["category"]].value,
                conf=float(box["conf"]),
                bbox=_four_numbers(box["bbox"]),
            )
            for box in sorted(boxes, key=lambda box: -box["conf"])
            if box["category"] in kinds and box["conf"] > SCORE_THRESHOLD
        ]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"The detections of {image['file']} in {name} are malformed ({type(error).__name__}: "
            f"{error}). Make the file again."
        ) from error
    record = make_record(filepath, detections=detections)
    record["boxes_as_stored"] = True
    return record


def _four_numbers(box: object) -> list[float]:
    if not isinstance(box, list) or len(box) != 4:
        raise ValueError("a bbox is four numbers")
    sides = [float(side) for side in box]
    if not all(map(isfinite, sides)):
        raise ValueError("a side of a bbox is not a finite number")
    return sides


class _Paths:
    """Finds the path of a run that a name relative to some folder belongs to."""

    def __init__(self, source: str, filepaths: Iterable[str]) -> None:
        self._source = source
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in filepaths:
            self._by_name[_with_slashes(path).rpartition("/")[2]].append(path)

    def find(self, name: str) -> str:
        wanted = _with_slashes(name)
        candidates = self._by_name.get(wanted.rpartition("/")[2], [])
        same = [path for path in candidates if _with_slashes(path) == wanted]
        found = same or [path for path in candidates if _with_slashes(path).endswith(f"/{wanted}")]
        if not found:
            raise InputError(
                f"{self._source} has detections of {name}, which is not among the images of this run. "
                "Pass the file that belongs to these images, or the images that belong to the file."
            )
        if len(found) > 1:
            raise InputError(
                f"{name} in {self._source} may be {found[0]} or {found[1]}. Make one run for each "
                "folder, or have MegaDetector write absolute paths."
            )
        return found[0]


def _with_slashes(path: str) -> str:
    return path.replace("\\", "/").removeprefix("./")
