"""Smoothing: within a sequence, doubtful boxes follow the certain ones of their kind.

A herd is on several photographs, and on each are several animals. What is certain in some boxes says
which taxa to expect in the others:

1. A certain box founds a kind: a person has answered it, or the classifier has with a score of at least
   ``CERTAIN`` and without a roll-up. It is never changed.
2. Every other box of an animal is doubtful. Each kind has the evidence of the box's classes for it: the
   summed scores of the taxon itself and of the taxa above it.
3. A doubtful box whose answer is above kinds, such as "cervidae", follows the one with the most evidence.
   Any other answer gives way only to a kind that is more probable, if each kind of the sequence is
   ``EXPECTED`` times as probable as a taxon that is certain nowhere in it.
4. Between two kinds, the evidence for one has to be ``MARGIN`` times that for the other; else the answer
   stays.

So a doubtful deer among certain deer becomes a deer, a mixed herd stays mixed, and a single certain fox
stays a fox. Boxes that a person has corrected, boxes of people and vehicles, and boxes answered as blank
never change, and neither does any box of a photograph answered as blank.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from speciesnet.constants import Classification, Detection
from speciesnet.geofence import Answer
from speciesnet.records import Box, Record
from speciesnet.survey.corrections import SOURCE
from speciesnet.survey.people import kind_of
from speciesnet.taxonomy import BLANK, category_of, is_ancestor

SUFFIX = "+sequence"  # of the prediction_source of a box that follows others


@dataclass(frozen=True)
class Smoothing:
    """The thresholds of the rule above.

    Attributes:
        certain: The lowest score of an answer that founds a kind, in [0, 1].
        expected: How much more probable a kind of the sequence is than any other taxon.
        margin: How much more evidence there has to be for a kind than for any other kind.
        floor: The evidence that a box needs to follow a kind far below its answer, in [0, 1].
    """

    certain: float = 0.8
    expected: float = 4.0
    margin: float = 2.0
    floor: float = 0.05


RULE = Smoothing()


def smoothed(records: Sequence[Record], rule: Smoothing = RULE) -> list[Record]:
    """The records of a sequence with the smoothed answers of their boxes.

    A box that follows others has their label, the evidence for it as its score, and a source that ends
    with ``+sequence``. Neither the order of the records nor a second smoothing makes a difference.

    Args:
        records: The records of its images, with answers of boxes, corrected or not.
        rule: The thresholds.
    """
    return [
        with_answers(record, answers)
        for record, answers in zip(records, smoothed_answers(records, rule), strict=True)
    ]


def smoothed_answers(records: Sequence[Record], rule: Smoothing = RULE) -> list[dict[int, Answer]]:
    """The new answers of each record, by the positions of the boxes; see ``smoothed``."""
    kinds = _kinds_in(records, rule)
    return [_answers(record, kinds, rule) for record in records]


def with_answers(record: Record, answers: Mapping[int, Answer]) -> Record:
    """A record with other answers for some of its boxes, by their positions."""
    if not answers:
        return record
    boxes = list(record.get("detections") or ())
    for position, (label, score, source) in answers.items():
        boxes[position] = {
            **boxes[position],
            "prediction": label,
            "prediction_score": score,
            "prediction_source": source,
        }
    return {**record, "detections": boxes}


def may_follow(box: Box, rule: Smoothing = RULE) -> bool:
    """Whether a box is doubtful, so that it may follow others."""
    label, source = box.get("prediction"), box.get("prediction_source", "")
    return (
        label is not None
        and "classifications" in box
        and kind_of(box) is Detection.ANIMAL
        and (category_of(label) == Detection.ANIMAL or label == Classification.UNKNOWN)
        and source != SOURCE
        and not source.endswith(SUFFIX)
        and not _is_certain(box, rule)
    )


def _is_certain(box: Box, rule: Smoothing) -> bool:
    """Whether a box founds a kind."""
    label, source = box.get("prediction"), box.get("prediction_source", "")
    if label is None or category_of(label) != Detection.ANIMAL or label == Classification.ANIMAL:
        return False
    return source == SOURCE or (
        kind_of(box) is Detection.ANIMAL
        and box.get("prediction_score", 0.0) >= rule.certain
        and "rollup" not in source
        and not source.endswith(SUFFIX)
    )


def _kinds_in(records: Iterable[Record], rule: Smoothing) -> list[str]:
    """The labels of certain boxes, without those above others, in alphabetical order."""
    boxes = (box for record in records for box in record.get("detections") or ())
    labels = sorted({box.get("prediction", "") for box in boxes if _is_certain(box, rule)})
    return [label for label in labels if not any(is_ancestor(label, other) for other in labels)]


def _answers(record: Record, kinds: Sequence[str], rule: Smoothing) -> dict[int, Answer]:
    if not kinds or category_of(record.get("prediction", "")) == BLANK:
        return {}
    return {
        position: answer
        for position, box in enumerate(record.get("detections") or ())
        if may_follow(box, rule) and (answer := _kind_for(box, kinds, rule)) is not None
    }


def _kind_for(box: Box, kinds: Sequence[str], rule: Smoothing) -> Answer | None:
    """The kind that a doubtful box follows, or None if it keeps its answer."""
    label, score = box.get("prediction", ""), box.get("prediction_score", 0.0)
    if label in kinds:
        return None
    kinds = [kind for kind in kinds if not is_ancestor(kind, label)]
    if not kinds:
        return None
    found = box.get("classifications", {"classes": [], "scores": []})
    classes = list(zip(found["classes"], found["scores"], strict=False))
    evidence = {
        kind: sum(s for name, s in classes if name == kind or is_ancestor(name, kind))
        for kind in kinds
    }
    is_unknown = label == Classification.UNKNOWN
    below = [kind for kind in kinds if is_unknown or is_ancestor(label, kind)]
    best, *others = sorted(below or kinds, key=lambda kind: -evidence[kind])
    if evidence[best] < rule.floor or (
        others and evidence[best] < rule.margin * evidence[others[0]]
    ):
        return None
    if not below and rule.expected * evidence[best] <= score:
        return None
    return best, evidence[best], f"{box.get('prediction_source', '')}{SUFFIX}"
