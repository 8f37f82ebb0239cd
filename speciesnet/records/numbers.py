"""Checks of records from files: complete, numbers finite and in their ranges, boxes inside the image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite, isnan
from typing import cast

from speciesnet.constants import EDGE_TOLERANCE, TOP_CLASSES
from speciesnet.errors import MalformedRecordError
from speciesnet.records import Box, Record, wrong_classes
from speciesnet.records.boxes import inside_image


def malformed(record: Mapping[str, object], reason: str) -> MalformedRecordError:
    """The error for a record with a wrong field."""
    return MalformedRecordError(f"The record of {record.get('filepath')} is malformed ({reason})")


def check_finite(record: Mapping[str, object]) -> None:
    """Refuses NaN and Infinity, which Python writes into JSON and other programs cannot read.

    Args:
        record: A record of any format.

    Raises:
        MalformedRecordError: A number is not finite; the message names its field.

    Examples:
        >>> check_finite({"filepath": "a.jpg", "detections": [{"conf": 0.5}]})
    """
    if _is_finite(record):
        return
    for name, value in record.items():
        for place, number in _numbers(value, name):
            if not isfinite(number):
                raise malformed(record, f"{place} is {number}; it must be a number")


def _is_finite(value: object) -> bool:
    """Whether all numbers in a value are finite; much faster than ``_numbers``, which names them."""
    kind = type(value)
    if kind is float:
        return isfinite(cast("float", value))
    if kind is dict:
        return all(map(_is_finite, cast("dict[str, object]", value).values()))
    return kind is not list or all(map(_is_finite, cast("list[object]", value)))


def _numbers(value: object, place: str) -> Iterator[tuple[str, float]]:
    """All numbers in a value with a fraction, and their places."""
    if isinstance(value, float):
        yield place, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, f"{place}: {key}")
    elif isinstance(value, list):
        of_boxes = place == "detections"
        for number, inner in enumerate(value, start=1):
            yield from _numbers(inner, f"detection {number}" if of_boxes else f"{place} {number}")


def without_unknown_position(record: Record) -> Record:
    """A record without NaN as latitude or longitude, which pandas writes if they are unknown."""
    unknown = [
        key
        for key in ("latitude", "longitude")
        if isinstance(value := record.get(key), float) and isnan(value)
    ]
    if not unknown:
        return record
    return cast("Record", {key: value for key, value in record.items() if key not in unknown})


def with_checked_numbers(record: Record) -> Record:
    """A record with complete boxes and classes, scores from 0 to 1, and boxes inside the image.

    Boxes that exceed it by rounding are clipped, see ``records.boxes.inside_image``.

    Raises:
        MalformedRecordError: A score or a box is out of range; the message names it.
        KeyError: A field is missing; ``TypeError`` for one of another type. ``records.record_errors``
            names the field.

    Examples:
        >>> box = {"category": "1", "label": "animal", "conf": 0.9, "bbox": [-0.0001, 0, 0.5, 1]}
        >>> with_checked_numbers({"filepath": "a.jpg", "detections": [box]})["detections"][0]["bbox"]
        [0.0, 0.0, 0.4999, 1.0]
    """
    _check_scores(record, record, 0)
    boxes = record.get("detections")
    if boxes is None:
        return record
    if not isinstance(boxes, list | tuple):
        raise malformed(record, "detections must be a list")
    clipped: dict[int, Box] = {}
    for number, box in enumerate(boxes, start=1):
        _, _, confidence, sides = box["category"], box["label"], box["conf"], box["bbox"]
        _check_score(record, "conf", confidence, number)
        _check_scores(record, box, number)
        if len(sides) != 4:
            raise malformed(record, f"detection {number}: bbox must be four numbers")
        try:
            inside = inside_image(sides)
        except ValueError as error:
            raise malformed(record, f"detection {number}: {error}") from error
        if inside is not sides:
            clipped[number - 1] = cast("Box", {**box, "bbox": inside})
    if not clipped:
        return record
    return {**record, "detections": [clipped.get(i, box) for i, box in enumerate(boxes)]}


def _check_scores(record: Record, part: Record | Box, number: int) -> None:
    """Checks the answer and the classes of a box, by its number, or of the image, by 0."""
    if "prediction_score" in part:  # a roll-up adds the scores of up to five classes
        _check_score(record, "prediction_score", part["prediction_score"], number, TOP_CLASSES)
    classifications = part.get("classifications")
    if classifications and (wrong := wrong_classes(classifications)):
        raise malformed(record, f"{_place(number)}{wrong}")


def _check_score(record: Record, name: str, value: object, number: int, highest: int = 1) -> None:
    if not (type(value) is float and 0 <= value <= 1) and not _is_score(value, highest):
        wrong = f"{name} is {value!r}; it must be a number from 0 to {highest}"
        raise malformed(record, f"{_place(number)}{wrong}")


def _place(number: int) -> str:
    return f"detection {number}: " if number else ""


def _is_score(value: object, highest: int = 1) -> bool:
    """Whether a value is a number from 0 to 1, or to ``highest``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -EDGE_TOLERANCE <= value <= highest + EDGE_TOLERANCE
