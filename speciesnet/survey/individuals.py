"""The individuals in an image by label, each with its score and its best box."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from speciesnet.records import Box, Record, answer_of
from speciesnet.survey.corrections import SOURCE
from speciesnet.survey.counts import (
    COUNTED_FROM,
    answer_of_box,
    counts_of,
    individual_boxes,
    labelled_boxes,
)
from speciesnet.taxonomy import is_ancestor, species_name, split_label

DETECTOR = "detector"  # the source of what no classifier has named


@dataclass(frozen=True, slots=True)
class Individuals:
    """The individuals of one label in an image.

    Attributes:
        label: The label.
        count: Their number, at least 1.
        score: The score of the label in [0, 1]: that of its best box, otherwise of the image's answer.
        source: The rule that produced the label; "detector" if only the kind of the box is known, with
            the confidence of the box as the score.
        box: The most confident box of the label, preferably one that counts; or None.
    """

    label: str
    count: int
    score: float
    source: str | None
    box: Box | None


def individuals_of(record: Record, threshold: float = COUNTED_FROM) -> list[Individuals]:
    """The individuals of each label in an image, counted by ``counts_of``.

    The answer for the image comes first, then the label with the largest number.

    Args:
        record: The record, corrected or not.
        threshold: The lowest confidence of boxes that count, in [0, 1].

    Raises:
        KeyError, TypeError, ValueError, IndexError: The record is malformed.

    Examples:
        >>> fox = "0;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
        >>> box = {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.1, 0.2, 0.2]}
        >>> record = {"filepath": "a.jpg", "detections": [box], "prediction": fox,
        ...           "prediction_score": 0.8}
        >>> [(one.label == fox, one.count, one.score) for one in individuals_of(record)]
        [(True, 1, 0.8)]
    """
    answer, score, source = answer_of(record)
    best: dict[str, Box] = {}
    for boxes in (individual_boxes(record, threshold), labelled_boxes(record)):
        found_before = set(best)
        for label, box in boxes:
            if label in found_before:
                continue  # a box that counts
            if label not in best or box["conf"] > best[label]["conf"]:
                best[label] = box
    found = []
    for label, count in counts_of(record, threshold).items():
        box = best.get(label)
        own, own_score, own_source = (None, 0.0, None) if box is None else answer_of_box(box)
        if own == label:
            found.append(Individuals(label, count, own_score, own_source, box))
        elif label == answer:
            found.append(Individuals(label, count, score, source, box))
        elif box is not None:
            found.append(Individuals(label, count, float(box["conf"]), DETECTOR, box))
        else:  # a reviewer counted individuals that have no box
            found.append(Individuals(label, count, 1.0, SOURCE, None))
    return sorted(found, key=lambda one: one.label != answer)


def count_of(label: str | None, counts: Mapping[str, int]) -> int | None:
    """The number of individuals for an answer; None if no counted label is related to it.

    Args:
        label: The answer, or None.
        counts: The number of individuals of each label. If the answer is not one of the labels, the
            largest number of a label above or below it is used.

    Examples:
        >>> fox = "0;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
        >>> count_of("1;mammalia;carnivora;canidae;;;canine family", {fox: 2})
        2
    """
    if label is None or label in counts:
        return None if label is None else counts[label]
    related = (
        count
        for other, count in counts.items()
        if is_ancestor(label, other) or is_ancestor(other, label)
    )
    return max(related, default=None)


def counts_text(counts: Mapping[str, int]) -> str | None:
    """The counts as text for a table cell; None if there are none.

    Labels that share a common name also get their scientific name.

    Examples:
        >>> counts_text({"0;mammalia;carnivora;canidae;vulpes;vulpes;red fox": 3, ";;;;;;human": 1})
        'red fox: 3; human: 1'
    """
    names = {label: split_label(label).name for label in counts}
    shared = {name for name, number in Counter(names.values()).items() if number > 1}
    shown = {
        label: species_name(label) if name in shared or not name else name
        for label, name in names.items()
    }
    return "; ".join(f"{shown[label]}: {count}" for label, count in counts.items()) or None
