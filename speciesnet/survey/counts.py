"""How many of what: the individuals that an image and a sequence show.

An image shows one individual for each box with a confidence of at least ``COUNTED_FROM``. Animals leave
the picture and come back, so those of several images are not added up: a sequence shows as many of a
species as the image with most of them (MaxN).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from speciesnet.constants import DETECTION_THRESHOLD, Classification, Detection
from speciesnet.records import Box, Record, answer_of, is_classified
from speciesnet.survey.people import kind_of
from speciesnet.taxonomy import category_of, is_ancestor

COUNTED_FROM = DETECTION_THRESHOLD
_OF_A_KIND = {
    Detection.ANIMAL: Classification.ANIMAL.value,
    Detection.HUMAN: Classification.HUMAN.value,
    Detection.VEHICLE: Classification.VEHICLE.value,
}
_KINDS = tuple(kind.value for kind in Detection)


def counts_of(record: Record, threshold: float = COUNTED_FROM) -> dict[str, int]:
    """The number of individuals of each label in an image, the largest first.

    1. Numbers that a reviewer has given are taken as they are.
    2. A box with an answer of its own counts for this answer; blank ones do not count.
    3. A box without one counts for the answer of the image if it is of the same kind, or else for
       "animal", "human" or "vehicle". So does a box that was not classified although others were.
    4. If no box counts for the kind of the image's answer, one individual does.

    Args:
        record: The record, corrected or not.
        threshold: The lowest confidence of boxes that count, in [0, 1].

    Raises:
        KeyError: The record is malformed; so are ``TypeError`` and ``ValueError``.

    Examples:
        >>> fox = "0;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
        >>> box = {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.1, 0.2, 0.2]}
        >>> counts_of({"filepath": "a.jpg", "detections": [box, box], "prediction": fox,
        ...            "prediction_score": 0.9})
        {'0;mammalia;carnivora;canidae;vulpes;vulpes;red fox': 2}
    """
    if (given := record.get("counts")) is not None:
        return _largest_first(given)
    answer, _, _ = answer_of(record)
    main = None if answer is None else category_of(answer)
    boxes = record.get("detections") or ()
    by_box = any(map(is_classified, boxes))
    counts: Counter[str] = Counter()
    for box in boxes:
        if box["conf"] >= threshold:
            counts[label_of_box(box, None if by_box else answer)] += 1
    counted = {label: n for label, n in counts.items() if category_of(label) in _KINDS}
    if answer is not None and main in _KINDS and main not in map(category_of, counted):
        counted[answer] = 1
    return _largest_first(counted)


def label_of_box(box: Box, answer: str | None) -> str:
    """The label that a box counts for, see ``counts_of``.

    Args:
        box: A detection.
        answer: The answer of its image, for boxes without one of their own; None if others have some.
    """
    if (own := box.get("prediction")) is not None:
        return own if own != Classification.UNKNOWN else _OF_A_KIND[kind_of(box)]
    kind = kind_of(box)
    return answer if answer is not None and category_of(answer) == kind else _OF_A_KIND[kind]


def largest_counts(images: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The counts of a sequence or an event: of each label, the largest number in one image (MaxN).

    A label above another one is left out: it may be the same individuals, recognized less well. If there
    is only one label below it, this gets the larger number of both.

    Args:
        images: The counts of each image, see ``counts_of``.

    Examples:
        >>> fox = "0;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
        >>> dogs = "1;mammalia;carnivora;canidae;;;canine family"
        >>> largest_counts([{fox: 1}, {dogs: 2}])
        {'0;mammalia;carnivora;canidae;vulpes;vulpes;red fox': 2}
    """
    most: dict[str, int] = {}
    for counts in images:
        for label, count in counts.items():
            most[label] = max(most.get(label, 0), count)
    found = {label: n for label, n in most.items() if not any(is_ancestor(label, o) for o in most)}
    for label, count in most.items():
        below = [other for other in found if is_ancestor(label, other)]
        if len(below) == 1:
            found[below[0]] = max(found[below[0]], count)
    return _largest_first(found)


def _largest_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
