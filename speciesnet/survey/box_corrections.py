"""A reviewer's answers for individual boxes: a different species, a false box, a missed animal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from speciesnet.constants import Detection
from speciesnet.ensemble.taxonomy import BLANK, LABEL_PARTS, category_of
from speciesnet.records import Box, is_same_bbox
from speciesnet.records.boxes import inside_image


class BoxCorrection(NamedTuple):
    """A person's answer for one box.

    Attributes:
        bbox: Left, top, width and height relative to the image, in [0, 1]. If the detector did not
            find such a box, the person added it.
        label: A label of seven parts; None if nothing is in the box.
    """

    bbox: tuple[float, float, float, float]
    label: str | None

    @classmethod
    def from_json(cls, value: object) -> BoxCorrection:
        """Reads ``{"bbox": [...], "label": ...}``; raises ``ValueError`` or ``TypeError``."""
        if not isinstance(value, dict) or not isinstance(value.get("bbox"), list):
            raise TypeError("a box is not an object with a bbox")
        sides = value["bbox"]
        if len(sides) != 4 or not all(type(side) in (int, float) for side in sides):
            raise TypeError("a bbox is not a list of four numbers")
        try:
            sides = inside_image([float(min(side, 2)) for side in sides])  # or huge ones would fail
        except ValueError as error:
            raise ValueError("a box is not inside its image") from error
        left, top, width, height = sides
        bbox, label = (left, top, width, height), value.get("label")
        if label is not None and (
            not isinstance(label, str) or label.count(";") != LABEL_PARTS - 1
        ):
            raise ValueError(f"the label of a box does not have {LABEL_PARTS} parts")
        return cls(bbox, label)

    def as_json(self) -> dict[str, object]:
        """The value that ``from_json`` reads."""
        return {"bbox": list(self.bbox), "label": self.label}


def with_box_corrections(
    boxes: Sequence[Box], corrections: Sequence[BoxCorrection], source: str
) -> list[Box]:
    """The boxes of an image after a review, most confident first.

    A corrected box has the score 1 and the given source; an added one also has the confidence 1.

    Args:
        boxes: The boxes of the detector.
        corrections: The corrections; for each box, the last one counts.
        source: The ``prediction_source`` of corrected boxes.
    """
    found: list[Box] = list(boxes)
    for correction in corrections:
        at = next(
            (i for i, box in enumerate(found) if is_same_bbox(box["bbox"], correction.bbox)), None
        )
        if at is not None:
            old = found.pop(at)
        else:
            old = Box(category="", label="", conf=1.0, bbox=list(correction.bbox))
        if correction.label is not None and category_of(correction.label) != BLANK:
            found.insert(len(found) if at is None else at, _answered(old, correction.label, source))
    return sorted(found, key=lambda box: -box["conf"])


def _answered(box: Box, label: str, source: str) -> Box:
    name = category_of(label)
    kind = Detection(name) if name in list(Detection) else Detection.ANIMAL
    return {
        **box,
        "category": kind.category,
        "label": kind.value,
        "prediction": label,
        "prediction_score": 1.0,
        "prediction_source": source,
    }
