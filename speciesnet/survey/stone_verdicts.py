"""Verdicts on boxes that never move: a person decides whether a group is a stone or an animal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast, get_args

from speciesnet.constants import DETECTION_THRESHOLD, REVIEWED, Classification, Detection
from speciesnet.ensemble.taxonomy import BLANK, category_of
from speciesnet.records import Box, Record, Review, answer_of, is_film, is_same_bbox
from speciesnet.records.boxes import intersection_over_union
from speciesnet.survey.box_corrections import BoxCorrection

Verdict = Literal["stone", "animal"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
SAME_PLACE = 0.85  # the minimum overlap (IoU) of a group's boxes with the central one

Sides = tuple[float, float, float, float]


class PlacedBox(NamedTuple):
    """A box: the path of its image in the predictions; left, top, width and height relative to it."""

    filepath: str
    bbox: Sides


@dataclass(frozen=True, slots=True)
class StoneVerdict:
    """A person's verdict on a group of boxes; it is a line in the file of corrections.

    Attributes:
        name: The name of the group.
        verdict: What its boxes contain: "stone" (nothing alive) removes them from all results;
            "animal" keeps them. None withdraws the verdict.
        boxes: The boxes; the first one is the central box of the group.
        at: The time, ISO 8601 in UTC.
        reviewer: The person's name, or "".
    """

    name: str
    verdict: Verdict | None
    boxes: tuple[PlacedBox, ...]
    at: str
    reviewer: str = ""

    def as_json(self) -> dict[str, object]:
        """Its line in the file."""
        return {
            "filepath": self.boxes[0].filepath,
            "stone": self.name,
            "verdict": self.verdict,
            "boxes": [[path, [*bbox]] for path, bbox in self.boxes],
            "at": self.at,
            "reviewer": self.reviewer,
        }

    @classmethod
    def from_json(cls, line: Mapping[str, object]) -> StoneVerdict:
        """Reads a line; raises ``ValueError`` or ``TypeError``."""
        name, verdict, at, reviewer = map(line.get, ("stone", "verdict", "at", "reviewer"))
        if not (isinstance(name, str) and isinstance(at, str) and isinstance(reviewer, str)):
            raise ValueError("text is missing")
        if verdict is not None and verdict not in VERDICTS:
            raise ValueError("the verdict is not stone, animal or null")
        pairs = line.get("boxes")
        if not isinstance(pairs, list) or not pairs:
            raise TypeError("there are no boxes")
        boxes = []
        for path, bbox in pairs:
            if not isinstance(path, str):
                raise TypeError("a path is not text")
            sides = BoxCorrection.from_json({"bbox": bbox}).bbox
            boxes.append(PlacedBox(path, sides))
        return cls(name, cast("Verdict | None", verdict), tuple(boxes), at, reviewer)


class StoneBoxes(NamedTuple):
    """The boxes in one image that are stones, and the last verdict on any of them."""

    bboxes: tuple[Sides, ...]
    at: str
    reviewer: str


def stones_of_images(verdicts: Mapping[str, StoneVerdict]) -> dict[str, StoneBoxes]:
    """The boxes that are stones, by the path of their image."""
    found: dict[str, StoneBoxes] = {}
    for verdict in verdicts.values():
        if verdict.verdict != "stone":
            continue
        for path, bbox in verdict.boxes:
            earlier = found[path].bboxes if path in found else ()
            found[path] = StoneBoxes((*earlier, bbox), verdict.at, verdict.reviewer)
    return found


def without_stones(record: Record, stones: StoneBoxes | None) -> Record:
    """A record without the boxes that are stones; these are under ``stones``.

    An answer based on a stone is replaced. That is the case if a stone was the most confident box,
    because only this box was classified. The most confident remaining box then determines the answer,
    or the image is blank if none reaches the threshold of the decision table. In a film, boxes at the
    same place in other frames are also stones.
    """
    boxes = record.get("detections")
    if stones is None or not boxes:
        return record
    out = [box for box in boxes if _is_stone(box, stones, everywhere=is_film(record))]
    if not out:
        return record
    rest = [box for box in boxes if not any(box is stone for stone in out)]
    label, score, _ = answer_of(record)
    best = max(boxes, key=lambda box: box["conf"])
    is_about_stone = any(best is stone for stone in out)
    if is_about_stone and label is not None and "prediction" not in best:
        answered: Box = {**best, "prediction": label, "prediction_score": score}
        out = [answered if stone is best else stone for stone in out]
    record = {**record, "detections": rest, "stones": [*record.get("stones", ()), *out]}
    if not is_about_stone or label is None or category_of(label) == BLANK:
        return record
    review: Review = {"predicted": label, "at": stones.at, "reviewer": stones.reviewer}
    return _answered_anew(record, review)


def _is_stone(box: Box, stones: StoneBoxes, *, everywhere: bool) -> bool:
    if everywhere:
        return any(intersection_over_union(box["bbox"], s) >= SAME_PLACE for s in stones.bboxes)
    return any(is_same_bbox(box["bbox"], sides) for sides in stones.bboxes)


def _answered_anew(record: Record, review: Review) -> Record:
    """The record with the answer of its most confident box, or blank if there is none."""
    record = record.copy()
    record.pop("classifications", None)  # they were those of the stone
    best = max(record.get("detections") or (), key=lambda box: box["conf"], default=None)
    if best is None or best["conf"] < DETECTION_THRESHOLD:
        record["prediction"], record["prediction_score"] = Classification.BLANK.value, 1.0
        record["prediction_source"], record["review"] = REVIEWED, review
        return record
    record["prediction"] = best.get("prediction", _label_of(best))
    record["prediction_score"] = best.get("prediction_score", best["conf"])
    record["prediction_source"] = best.get("prediction_source", "detector")
    if "classifications" in best:
        record["classifications"] = best["classifications"]
    return record


def _label_of(box: Box) -> str:
    return Classification[Detection(box["label"]).name].value
