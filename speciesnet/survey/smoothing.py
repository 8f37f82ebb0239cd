"""Smoothing: within a sequence, doubtful boxes follow the reliable ones of the same kind.

A herd is in several photographs, with several animals in each. The reliable boxes show which taxa to
expect in the others:

1. A reliable box establishes a kind: it was labeled by a person, or by the classifier without a
   roll-up and with a score of at least ``certain``. It is never changed.
2. Every other box around an animal is doubtful. The evidence for a kind is the sum of the box's
   scores for this taxon and those above it.
3. A doubtful box whose answer is unknown, or a taxon above established kinds, such as "cervidae", follows
   whichever of these kinds has the most evidence. Any other answer is replaced by a kind only if the
   kind is more probable, where each kind is ``expected`` times as probable as a taxon without a
   reliable box in the sequence. A kind above the answer is never followed.
4. The evidence for the kind must be at least ``margin`` times that for any other, and at least ``floor``
   of the scores of all animals.

So a doubtful deer among reliable deer becomes a deer, a mixed herd stays mixed, and a single reliable
fox stays a fox. Boxes that a person has corrected, boxes around people and vehicles, and boxes answered
as blank never change, and neither does any box of a photograph answered as blank.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from speciesnet.constants import TOP_CLASSES, Classification, Detection
from speciesnet.ensemble import taxonomy
from speciesnet.ensemble.geofence import Answer
from speciesnet.ensemble.taxonomy import BLANK
from speciesnet.records import Box, Record
from speciesnet.survey.corrections import SOURCE
from speciesnet.survey.people import kind_of

MIN_CONFIDENCE = 0.05  # boxes below it are noise: they neither follow nor establish a kind
SUFFIX = "+sequence"  # ends the prediction_source of a box that follows others


@dataclass(frozen=True)
class Smoothing:
    """The thresholds of the rule above.

    They were chosen on rendered herds, see docs/sequences.md; ``certain`` comes from the decision
    table.

    Attributes:
        certain: The lowest score of an answer that establishes a kind, in [0, 1].
        expected: How much more probable a kind of the sequence is than any other taxon, at least 1.
        margin: The minimum ratio of the evidence for a kind to that for any other, at least 1.
        floor: The minimum share of all animal scores that must be evidence for a kind, in [0, 1].
    """

    certain: float = 0.8
    expected: float = 4.0
    margin: float = 2.0
    floor: float = 0.1


RULE = Smoothing()
category_of = functools.lru_cache(maxsize=10_000)(taxonomy.category_of)  # a survey has few labels
is_ancestor = functools.lru_cache(maxsize=100_000)(taxonomy.is_ancestor)


def smoothed(records: Sequence[Record], rule: Smoothing = RULE) -> list[Record]:
    """The records of a sequence, with smoothed answers for their boxes.

    A box that follows others gets their label. Its score is the share of all animal scores that is
    evidence for this label, and its source ends with ``+sequence``. The order of the records does not
    matter, and smoothing twice makes no difference.

    Args:
        records: The records of its images, with answers for boxes, corrected or not.
        rule: The thresholds.

    Examples:
        >>> deer = "1;mammalia;cetartiodactyla;cervidae;odocoileus;virginianus;white-tailed deer"
        >>> group = "2;mammalia;cetartiodactyla;cervidae;;;cervidae family"
        >>> box = {"label": "animal", "conf": 0.9, "prediction": deer, "prediction_score": 0.9,
        ...        "classifications": {"classes": [deer], "scores": [0.9]}}
        >>> other = box | {"prediction": group, "prediction_source": "classifier+rollup_to_family",
        ...                "classifications": {"classes": [deer], "scores": [0.6]}}
        >>> [record] = smoothed([{"filepath": "a.jpg", "detections": [box, other]}])
        >>> record["detections"][1]["prediction"] == deer
        True
    """
    return [
        with_answers(record, answers)
        for record, answers in zip(records, smoothed_answers(records, rule), strict=True)
    ]


def smoothed_answers(records: Sequence[Record], rule: Smoothing = RULE) -> list[dict[int, Answer]]:
    """The new answers of each record, by the positions of the boxes; see ``smoothed``."""
    kinds = kinds_of(label for record in records for label in certain_labels(record, rule))
    return [followed_by(record, kinds, rule) for record in records]


def with_answers(record: Record, answers: Mapping[int, Answer]) -> Record:
    """A record with new answers for some of its boxes, by their positions."""
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
        and box["conf"] >= MIN_CONFIDENCE
        and "classifications" in box
        and kind_of(box) is Detection.ANIMAL
        and (category_of(label) == Detection.ANIMAL or label == Classification.UNKNOWN)
        and source != SOURCE
        and not source.endswith(SUFFIX)
        and not _is_certain(box, rule)
    )


def follows_sequence(box: Box) -> bool:
    """Whether the answer for a box comes from other boxes in its sequence."""
    return box.get("prediction_source", "").endswith(SUFFIX)


def _is_certain(box: Box, rule: Smoothing) -> bool:
    """Whether a box establishes a kind."""
    label, source = box.get("prediction"), box.get("prediction_source", "")
    if label is None or category_of(label) != Detection.ANIMAL or label == Classification.ANIMAL:
        return False
    if box["conf"] < MIN_CONFIDENCE:
        return False
    return source == SOURCE or (
        kind_of(box) is Detection.ANIMAL
        and box.get("prediction_score", 0.0) >= rule.certain
        and "rollup" not in source
        and not source.endswith(SUFFIX)
    )


def certain_labels(record: Record, rule: Smoothing = RULE) -> set[str]:
    """The labels of the reliable boxes in an image."""
    boxes = record.get("detections") or ()
    return {box.get("prediction", "") for box in boxes if _is_certain(box, rule)}


def kinds_of(labels: Iterable[str]) -> list[str]:
    """The kinds that reliable boxes establish in a sequence: their labels, without those above others."""
    found = sorted(set(labels))
    return [label for label in found if not any(is_ancestor(label, other) for other in found)]


def followed_by(record: Record, kinds: Sequence[str], rule: Smoothing = RULE) -> dict[int, Answer]:
    """The new answers for an image in a sequence with these kinds, by the positions of its boxes."""
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
    classes = [
        (name, max(float(score), 0.0))
        for name, score in zip(
            found["classes"][:TOP_CLASSES], found["scores"][:TOP_CLASSES], strict=False
        )
        if category_of(name) == Detection.ANIMAL
    ]
    evidence = {
        kind: sum(s for name, s in classes if name == kind or is_ancestor(name, kind))
        for kind in kinds
    }
    is_unknown = label == Classification.UNKNOWN
    below = [kind for kind in kinds if is_unknown or is_ancestor(label, kind)]
    best, *others = sorted(below or kinds, key=lambda kind: -evidence[kind])
    is_clear = not others or evidence[best] >= rule.margin * evidence[others[0]]
    is_expected = bool(below) or rule.expected * evidence[best] > score
    share = evidence[best] / (sum(s for _, s in classes) or 1.0)
    if share < rule.floor or not is_clear or not is_expected:
        return None
    return best, share, f"{box.get('prediction_source', '')}{SUFFIX}"
