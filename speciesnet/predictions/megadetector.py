"""Reads the detections of MegaDetector's own tools, and of other programs in their format.

The format is described at
https://github.com/agentmorris/MegaDetector/tree/main/megadetector/api/batch_processing#megadetector-batch-output-format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from operator import sub
from pathlib import Path
from typing import cast

from absl import logging

from speciesnet.constants import EDGE_TOLERANCE, SCORE_THRESHOLD, Detection, Failure
from speciesnet.errors import InputError
from speciesnet.files import json_lists, storage
from speciesnet.files.input_notes import Examples, counted, plural
from speciesnet.records import Box, Record, make_record
from speciesnet.records.boxes import UNCLIPPED, inside_image
from speciesnet.records.numbers import malformed

_KINDS = {"animal": Detection.ANIMAL, "person": Detection.HUMAN, "human": Detection.HUMAN,
          "vehicle": Detection.VEHICLE}  # fmt: skip
_NOTHING = {"empty", "blank", "unknown"}  # categories of boxes that are not detections


def is_megadetector_file(path: Path) -> bool:
    """Whether a JSON file has "images" where a predictions file has "predictions"."""
    return json_lists.first_list(path, ("images", "predictions")) == "images"


def detector_of_file(path: Path) -> str | None:
    """The detector named in a file in MegaDetector's format; None if it names none.

    Raises:
        DamagedError: The file is damaged; it may also raise ``NoListError`` and ``TooDeepError``.
        OSError: The file cannot be read.
    """
    if not is_megadetector_file(path):
        return None
    info = json_lists.read_value(path, "info")
    name = info.get("detector") if isinstance(info, dict) else None
    return name if isinstance(name, str) and name.lower() not in ("", "unknown") else None


def read_detections(path: Path, notes: list[str] | None = None) -> Iterator[Record]:
    """Reads a file in MegaDetector's format as records with detections, one at a time.

    Boxes are sorted by confidence; those below the threshold of our detector are left out. MegaDetector
    clips its boxes to the image, but not every program does: boxes that reach a little past it are
    clipped.

    Args:
        path: ``{"images": [{"file", "detections"}], "detection_categories": {...}}``.
        notes: Receives sentences at the end: on boxes left out because of their category, and on clipped
            ones.

    Yields:
        The records, under the names in the file.

    Raises:
        InputError: The file is damaged, or one of its boxes or categories is invalid.
    """
    name = storage.display_name(path)
    failed = boxes = number = 0
    clipped = Examples(
        f"box of {name} reaches past the edge of its image and is clipped",
        f"boxes of {name} reach past the edges of their images and are clipped",
    )
    with json_lists.described_errors(name, InputError, "Create it again with MegaDetector."):
        if not is_megadetector_file(path):
            raise InputError(
                f'{name} does not contain an "images" list. Create it again with MegaDetector.'
            )
        categories = _Categories(json_lists.read_value(path, "detection_categories"), name)
        for number, image in enumerate(json_lists.read_items(path, "images"), start=1):
            if not isinstance(image, dict) or not isinstance(image.get("file"), str):
                raise InputError(f'Image {number} of {name} lacks "file". Create the file again.')
            record = _record_of(image, categories, clipped, name)
            failed += bool(record.get("failures"))
            boxes += len(record.get("detections", ()))
            yield record
    logging.info(
        "%s contains %s in %s; MegaDetector failed on %d of them.",
        name,
        counted(boxes, "box", "boxes"),
        counted(number, "image"),
        failed,
    )
    if categories.left_out and notes is not None:
        names = ", ".join(sorted(_NOTHING & set(categories.names.values())))
        out = plural(
            categories.left_out,
            "is left out, because its category",
            "are left out, because their categories",
        )
        notes.append(
            f"{counted(categories.left_out, 'box', 'boxes')} of {name} {out} ({names}) "
            f"{plural(categories.left_out, 'is not a detection', 'are not detections')}."
        )
    if clipped.count and notes is not None:
        notes.append(str(clipped))


class _Categories:
    """The categories of a file by number.

    Attributes:
        names: Their names, in lower case.
        left_out: The number of boxes that ``find`` has left out.
    """

    def __init__(self, names: object, source: str) -> None:
        if names is None:
            names = {kind.category: kind.value for kind in Detection}
        if not isinstance(names, dict) or not all(isinstance(n, str) for n in names.values()):
            raise InputError(
                f'"detection_categories" of {source} must map numbers to names. Create the file again.'
            )
        self.names: dict[str, str] = {
            number: name.strip().casefold() for number, name in names.items()
        }
        self.left_out = 0
        self._source, self._written = source, names

    def find(self, category: object) -> Detection | None:
        """The kind of detection for a category; None for "unknown" and the like.

        Raises:
            InputError: The category has a different name, or no name.
            TypeError: The category is neither text nor a number.
        """
        is_number = isinstance(category, int | float) and not isinstance(category, bool)
        number = f"{category:g}" if is_number else category
        if not isinstance(number, str):
            raise TypeError("category must be a number in quotes")
        name = self.names.get(number, number.strip().casefold())
        if name in _NOTHING:
            self.left_out += 1
            return None
        if name not in _KINDS:
            if number in self.names:
                raise InputError(
                    f'The category {number} of {self._source} is "{self._written[number]}". Rename it in '
                    '"detection_categories" to animal, person or vehicle, or to unknown to leave out its '
                    "boxes."
                )
            raise InputError(
                f'{self._source} has boxes of the category {number}, which "detection_categories" lacks. '
                "Add it there as animal, person or vehicle."
            )
        return _KINDS[name]


def _record_of(
    image: Mapping[str, object], categories: _Categories, clipped: Examples, source: str
) -> Record:
    filepath = cast("str", image["file"])
    boxes = image.get("detections")
    if boxes is None:
        return make_record(filepath, [Failure.DETECTOR])
    try:
        if not isinstance(boxes, list):
            raise TypeError("detections must be a list")
        detections = []
        for number, box in enumerate(boxes, start=1):
            if (found := _box_of(box, categories)) is not None:
                inside = inside_image(found["bbox"], UNCLIPPED)
                if max(map(abs, map(sub, inside, found["bbox"]))) > EDGE_TOLERANCE:
                    clipped.add(f"detection {number} of {filepath}")
                detections.append({**found, "bbox": [*inside]})
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise InputError(
            f"The detections of {filepath} in {source} are malformed ({reason}). Create the file again."
        ) from error
    record = make_record(filepath, detections=sorted(detections, key=lambda box: -box["conf"]))
    if "frames_processed" in image:  # a film
        record["frames_processed"] = cast("list[int]", image["frames_processed"])
    record["boxes_as_stored"] = True  # MegaDetector does not turn mirrored photographs
    return record


def _box_of(box: object, categories: _Categories) -> Box | None:
    """A box in our detector's form; None for a box that our detector would not report."""
    if not isinstance(box, dict):
        raise TypeError("a detection must be an object")
    confidence = _number("conf", box["conf"])
    if not 0 <= confidence <= 1 + EDGE_TOLERANCE:
        raise ValueError("conf must be between 0 and 1")
    if confidence <= SCORE_THRESHOLD:
        return None
    bbox = _sides(box["bbox"])
    kind = categories.find(box["category"])
    if kind is None:
        return None
    found = Box(category=kind.category, label=kind.value, conf=confidence, bbox=bbox)
    if "frame_number" in box:  # in a film
        if not isinstance(box["frame_number"], int):
            raise TypeError("frame_number must be a whole number")
        found["frame_number"] = box["frame_number"]
    return found


def _sides(bbox: object) -> list[float]:
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise ValueError("bbox must be four numbers")
    return [_number("a side of bbox", side) for side in bbox]


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise TypeError(f"{name} must be a number")
    return float(value)


def with_our_labels(record: Record) -> Record:
    """A record whose boxes have the labels and categories of our detector.

    Converters from MegaDetector's format write "person", which the ensemble's rules do not know, and
    boxes labeled "unknown" or "empty", which are left out.

    Raises:
        MalformedRecordError: A box has another label, which the rules do not know either.
    """
    boxes: object = record.get("detections")
    if not isinstance(boxes, list):
        return record
    return cast("Record", {**record, "detections": [*_with_our_labels(record, boxes)]})


def _with_our_labels(record: Record, boxes: list[Box]) -> Iterator[Box]:
    for number, box in enumerate(boxes, start=1):
        label = box["label"].strip().casefold()
        if label in _NOTHING:
            continue
        kind = _KINDS.get(label)
        if kind is None:
            wrong = f"label is {box['label']!r}; it must be {', '.join(Detection)}"
            raise malformed(record, f"detection {number}: {wrong}")
        yield {**box, "category": kind.category, "label": kind.value}
