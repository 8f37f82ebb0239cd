"""Detections that MegaDetector's own tools made, as the detector's records.

https://github.com/agentmorris/MegaDetector/tree/main/megadetector/api/batch_processing#megadetector-batch-output-format
"""

from __future__ import annotations

import codecs
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO

import ijson

from speciesnet.constants import SCORE_THRESHOLD, Detection, Failure
from speciesnet.errors import InputError
from speciesnet.files.json_lists import first_list, is_too_deep
from speciesnet.records import Record, make_record

_NAMES = {"animal": Detection.ANIMAL, "person": Detection.HUMAN, "human": Detection.HUMAN,
          "vehicle": Detection.VEHICLE}  # fmt: skip


def is_megadetector_file(path: Path) -> bool:
    """Whether a JSON file has "images" where a predictions file has "predictions"."""
    with _opened(path) as file:
        return first_list(file, ("images", "predictions")) == "images"


def read_detections(path: Path, filepaths: Iterable[str]) -> Iterator[Record]:
    """The records of a file in the MegaDetector format, one at a time.

    A name in it is a path of this run, or the end of exactly one. Boxes are put in order and those
    that our detector would have left out are; categories that it does not know are, too.

    Args:
        path: ``{"images": [{"file", "detections"}], "detection_categories": {...}}``.
        filepaths: The images of the run.

    Raises:
        InputError: The file is damaged, or names an image that is none of the run or several.
    """
    paths = _Paths(path, filepaths)
    with _opened(path) as file:
        if is_too_deep(file):
            raise InputError(f"{path} is nested too deeply; make it again with MegaDetector.")
    try:
        kinds = _categories(path)
        for number, image in enumerate(_items(path, "images.item"), start=1):
            if not isinstance(image, Mapping) or not isinstance(image.get("file"), str):
                raise InputError(f'Image {number} of {path} lacks "file"; make the file again.')
            yield _record(image, paths.of(image["file"]), kinds, path)
    except (ijson.JSONError, UnicodeDecodeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{path} is cut off or damaged ({reason}); make it again with MegaDetector."
        ) from error


def _categories(path: Path) -> dict[str, Detection]:
    for names in _items(path, "detection_categories"):
        if not isinstance(names, Mapping) or not all(isinstance(n, str) for n in names.values()):
            raise InputError(
                f'"detection_categories" of {path} must map numbers to names; make the file again.'
            )
        return {number: _NAMES[name] for number, name in names.items() if name in _NAMES}
    return {kind.category: kind for kind in Detection}


def _items(path: Path, prefix: str) -> Iterator[Any]:
    with _opened(path) as file:
        yield from ijson.items(file, prefix, use_float=True)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        if file.read(3) != codecs.BOM_UTF8:
            file.seek(0)
        yield file


def _record(
    image: Mapping[str, Any], filepath: str, kinds: Mapping[str, Detection], path: Path
) -> Record:
    boxes = image.get("detections")
    if boxes is None:
        return make_record(filepath, [Failure.DETECTOR])
    try:
        detections = [
            {
                "category": kinds[box["category"]].category,
                "label": kinds[box["category"]].value,
                "conf": float(box["conf"]),
                "bbox": _four_numbers(box["bbox"]),
            }
            for box in sorted(boxes, key=lambda box: -box["conf"])
            if box["category"] in kinds and box["conf"] > SCORE_THRESHOLD
        ]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"The detections of {image['file']} in {path} are malformed ({type(error).__name__}: "
            f"{error}); make the file again."
        ) from error
    return make_record(filepath, detections=detections)


def _four_numbers(box: Any) -> list[float]:
    if not isinstance(box, list) or len(box) != 4:
        raise ValueError("a bbox is four numbers")
    sides = [float(side) for side in box]
    if not all(map(isfinite, sides)):
        raise ValueError("a side of a bbox is no number")
    return sides


class _Paths:
    """Finds the path of a run that a name relative to some folder stands for."""

    def __init__(self, source: Path, filepaths: Iterable[str]) -> None:
        self._source = source
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in filepaths:
            self._by_name[_with_slashes(path).rpartition("/")[2]].append(path)

    def of(self, name: str) -> str:
        wanted = _with_slashes(name)
        candidates = self._by_name.get(wanted.rpartition("/")[2], [])
        same = [path for path in candidates if _with_slashes(path) == wanted]
        found = same or [path for path in candidates if _with_slashes(path).endswith(f"/{wanted}")]
        if not found:
            raise InputError(
                f"{self._source} has detections of {name}, which is not among the images of this run; "
                "give the file that belongs to these images, or the images that belong to the file."
            )
        if len(found) > 1:
            raise InputError(
                f"{name} in {self._source} may be {found[0]} or {found[1]}; make one run for each "
                "folder, or have MegaDetector write whole paths."
            )
        return found[0]


def _with_slashes(path: str) -> str:
    return path.replace("\\", "/").removeprefix("./")
