"""The numbers in records from other programs: finite, in their ranges, and boxes inside the image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import TypeGuard, cast

from speciesnet.boxes import EDGE_TOLERANCE, inside_image
from speciesnet.errors import MalformedRecordError
from speciesnet.records import Box, Record


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
    for name, value in record.items():
        for place, number in _numbers(value, name):
            if not isfinite(number):
                raise malformed(record, f"{place} is {number}; it must be a number")


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


def with_checked_numbers(record: Record) -> Record:
    """A record whose scores are from 0 to 1 and whose boxes are inside the image.

    Boxes that exceed it by rounding are clipped, see ``boxes.inside_image``. Fields that are missing are
    left to those who need them.

    Raises:
        MalformedRecordError: A score or a box is out of range; the message names it.

    Examples:
        >>> with_checked_numbers({"filepath": "a.jpg", "detections": [{"bbox": [-0.0001, 0, 0.5, 1]}]})
        {'filepath': 'a.jpg', 'detections': [{'bbox': [0.0, 0.0, 0.4999, 1.0]}]}
    """
    _check_scores(record, record, "")
    boxes: object = record.get("detections")
    if not isinstance(boxes, list | tuple):
        return record
    clipped: dict[int, Box] = {}
    for number, box in enumerate(boxes, start=1):
        if not isinstance(box, Mapping):
            continue
        _check_scores(record, box, f"detection {number}: ")
        if (sides := box.get("bbox")) is None:
            continue
        if not _is_bbox(sides):
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


def _is_bbox(sides: object) -> TypeGuard[Sequence[float]]:
    return (
        isinstance(sides, list | tuple)
        and len(sides) == 4
        and all(isinstance(side, int | float) for side in sides)
    )


def _check_scores(record: Record, part: Mapping[str, object], where: str) -> None:
    """Checks the scores of an image or of a box."""
    for name in ("conf", "prediction_score"):
        if not _is_score(part.get(name, 0)):
            raise malformed(
                record, f"{where}{name} is {part[name]!r}; it must be a number from 0 to 1"
            )
    classifications = part.get("classifications")
    scores = classifications.get("scores") if isinstance(classifications, Mapping) else None
    for score in scores if isinstance(scores, list) else ():
        if not _is_score(score):
            raise malformed(
                record, f"{where}classifications.scores has {score!r}; each must be from 0 to 1"
            )


def _is_score(value: object) -> bool:
    """Whether a value is a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -EDGE_TOLERANCE <= value <= 1 + EDGE_TOLERANCE
