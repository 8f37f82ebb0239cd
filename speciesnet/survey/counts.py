"""Counts of the individuals that an image or a sequence shows.

An image shows one individual for each box with a confidence of at least ``COUNTED_FROM``; boxes that
overlap strongly are one individual, see ``individual_boxes``. Animals leave the picture and come
back, so the numbers in several images are not added up: for each species, a sequence shows the
largest number in one image (MaxN). All tables, exports and pages count with these functions;
``survey/report/static/boxes.js`` repeats those for images.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from speciesnet.constants import DETECTION_THRESHOLD, Classification, Detection
from speciesnet.ensemble.taxonomy import BLANK, category_of, is_ancestor, split_label
from speciesnet.records import Box, Record, answer_of, is_classified
from speciesnet.records.boxes import intersection_over_union
from speciesnet.records.non_maximum_suppression import IOU_THRESHOLD
from speciesnet.survey.corrections import SOURCE
from speciesnet.survey.people import kind_of

COUNTED_FROM = DETECTION_THRESHOLD
_OF_A_KIND = {
    Detection.ANIMAL: Classification.ANIMAL.value,
    Detection.HUMAN: Classification.HUMAN.value,
    Detection.VEHICLE: Classification.VEHICLE.value,
}
_KINDS = tuple(kind.value for kind in Detection)
_NO_ANIMALS = (Detection.HUMAN.value, Detection.VEHICLE.value)
# The ranks of taxa whose individuals may count for the only species below them, from other images.
_NEAR_SPECIES = ("family", "genus", "species")
_TAXA = slice(1, 6)  # the parts of a label from the class to the species
_DIGITS = 4  # of the numbers in a report, so that its pages count in the same way
_category_of = functools.lru_cache(maxsize=10_000)(category_of)  # a survey has few labels


def counts_of(record: Record, threshold: float = COUNTED_FROM) -> dict[str, int]:
    """The number of individuals of each label in an image, largest first.

    1. Numbers entered by a reviewer are used unchanged.
    2. A box with its own answer counts toward that answer; blank boxes do not count. Of boxes that
       overlap strongly, only one counts, see ``individual_boxes``.
    3. A box without its own answer counts toward the image's answer if it is of the same kind,
       otherwise as "animal", "human" or "vehicle". So does a box that was not classified although others
       were. If the answer is human or vehicle but no box is of that kind, boxes around animals count
       toward it.
    4. In a blank image, boxes around animals without their own answer do not count; if a reviewer
       marked it as blank, neither do other boxes without one.
    5. If no box is of the kind of the image's answer, the number for this answer is 1.

    Args:
        record: The record, corrected or not.
        threshold: The lowest confidence of boxes that count, in [0, 1].

    Raises:
        KeyError, TypeError, ValueError: The record is malformed.

    Examples:
        >>> fox = "0;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
        >>> box = {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.1, 0.2, 0.2]}
        >>> other = box | {"bbox": [0.6, 0.1, 0.2, 0.2]}
        >>> counts_of({"filepath": "a.jpg", "detections": [box, other, box], "prediction": fox,
        ...            "prediction_score": 0.9})
        {'0;mammalia;carnivora;canidae;vulpes;vulpes;red fox': 2}
    """
    if (given := record.get("counts")) is not None:
        return _largest_first({label: count for label, count in given.items() if count})
    answer, _, _ = answer_of(record)
    main = None if answer is None else _category_of(answer)
    boxes = _counting_boxes(record, threshold)
    counted = Counter(label for label, _ in distinct_boxes(boxes))
    # Boxes that show the same individual as another one were also counted.
    if answer is not None and main in _KINDS and all(_category_of(one) != main for one, _ in boxes):
        counted[answer] = 1
    return _largest_first(counted)


def individual_boxes(record: Record, threshold: float = COUNTED_FROM) -> list[tuple[str, Box]]:
    """One box for each individual in an image, and the label that it counts for, see ``distinct_boxes``.

    Args:
        record: The record, corrected or not.
        threshold: The lowest confidence of boxes that count, in [0, 1].
    """
    return distinct_boxes(_counting_boxes(record, threshold))


def _counting_boxes(record: Record, threshold: float) -> list[tuple[str, Box]]:
    found = labelled_boxes(record, threshold)
    return [(label, box) for label, box in found if _category_of(label) in _KINDS]


def distinct_boxes(boxes: Sequence[tuple[str, Box]]) -> list[tuple[str, Box]]:
    """The boxes in order, without those that show the same individual as a better one.

    The detector suppresses boxes that overlap a better one of the same kind; this rule does the same for
    boxes of different kinds, with the same threshold: two boxes whose intersection over union is greater
    than ``IOU_THRESHOLD`` are one individual. The better box is the one

    1. that a person has labeled; such boxes always count;
    2. with the more specific label: a species before a genus, and so on. People and vehicles are as
       specific as species;
    3. with the higher score of its label, otherwise the higher confidence.

    A person and a vehicle remain separate, because the person may be sitting in it.

    Args:
        boxes: Boxes with the labels that they count for.

    Examples:
        >>> deer = "0;mammalia;cetartiodactyla;cervidae;odocoileus;virginianus;white-tailed deer"
        >>> animal = {"category": "1", "label": "animal", "conf": 0.6, "bbox": [0.1, 0.1, 0.2, 0.2]}
        >>> vehicle = {"category": "3", "label": "vehicle", "conf": 0.3, "bbox": [0.1, 0.1, 0.2, 0.19]}
        >>> [label == deer for label, _ in distinct_boxes([("1;;;;;;vehicle", vehicle), (deer, animal)])]
        [True]
    """
    if len(boxes) < 2:
        return [*boxes]
    ranked = sorted(range(len(boxes)), key=lambda i: _certainty(*boxes[i]), reverse=True)
    kept: list[int] = []
    for i in ranked:
        if _is_reviewed(boxes[i][1]) or not any(_are_same(boxes[i], boxes[k]) for k in kept):
            kept.append(i)
    return [boxes[i] for i in sorted(kept)]


def _certainty(label: str, box: Box) -> tuple[bool, int, float, float]:
    """A key by which boxes are compared, see ``distinct_boxes``."""
    own, score, _ = answer_of_box(box)
    conf = round(float(box["conf"]), _DIGITS)
    score = round(score, _DIGITS) if own == label else conf
    return _is_reviewed(box), _specificity(label), score, conf


def _is_reviewed(box: Box) -> bool:
    return box.get("prediction_source") == SOURCE


@functools.lru_cache(maxsize=10_000)
def _specificity(label: str) -> int:
    """How many of the five taxa from class to species a label has; people and vehicles have all."""
    taxa = split_label(label)[_TAXA]
    return len(taxa) if _category_of(label) in _NO_ANIMALS else sum(map(bool, taxa))


def _are_same(one: tuple[str, Box], other: tuple[str, Box]) -> bool:
    if {_category_of(one[0]), _category_of(other[0])} == set(_NO_ANIMALS):
        return False
    first, second = ([round(side, _DIGITS) for side in box["bbox"]] for _, box in (one, other))
    return intersection_over_union(first, second) > IOU_THRESHOLD


def labelled_boxes(record: Record, threshold: float = 0.0) -> Iterator[tuple[str, Box]]:
    """The boxes of an image and the label that each of them counts for, see ``counts_of``.

    Args:
        record: The record, corrected or not.
        threshold: The lowest confidence of the boxes, in [0, 1].
    """
    rule = Following.of(record)
    for box in record.get("detections") or ():
        if box["conf"] >= threshold:
            yield label_of_box(box, rule), box


class Following(NamedTuple):
    """Which boxes without their own answer count for that of the image, see ``counts_of``.

    Attributes:
        answer: The answer for the image, or None.
        kinds: The kinds of these boxes.
    """

    answer: str | None
    kinds: frozenset[str]

    @classmethod
    def of(cls, record: Record) -> Following:
        """The rule for an image; raises the same errors as ``counts_of``."""
        answer, _, source = answer_of(record)
        if answer is None:
            return cls(None, frozenset())
        main, boxes = _category_of(answer), record.get("detections") or ()
        if main == BLANK and source == SOURCE:
            return cls(answer, frozenset(_KINDS))
        if any(map(is_classified, boxes)):  # the answer is that of the best box
            return cls(answer, frozenset())
        is_about_animals = main == BLANK or (main in _NO_ANIMALS and not _shows(boxes, main))
        kinds = (main, Detection.ANIMAL.value) if is_about_animals else (main,)
        return cls(answer, frozenset(kinds))


def label_of_box(box: Box, rule: Following) -> str:
    """The label that a box counts for; that of its kind if nothing else is known.

    Args:
        box: A detection.
        rule: The rule of its image.
    """
    label, kind = answer_of_box(box)[0], kind_of(box)
    if label is None and kind in rule.kinds:
        label = rule.answer
    return _OF_A_KIND[kind] if label is None or label == Classification.UNKNOWN else label


def _shows(boxes: Iterable[Box], kind: str) -> bool:
    return any(box["conf"] >= COUNTED_FROM and kind_of(box) == kind for box in boxes)


def answer_of_box(box: Box) -> tuple[str | None, float, str | None]:
    """The answer for a box, like ``answer_of`` for an image: its label or None, score and source."""
    if (label := box.get("prediction")) is not None:
        return label, float(box.get("prediction_score", 0.0)), box.get("prediction_source")
    found = box.get("classifications")
    if not found or not found["classes"]:
        return None, 0.0, None
    return found["classes"][0], float(found["scores"][0]), None


def has_box_answers(record: Record) -> bool:
    """Whether an image's boxes have their own answers, or a reviewer has counted individuals."""
    boxes = record.get("detections") or ()
    return "counts" in record or any(answer_of_box(box)[0] is not None for box in boxes)


def largest_counts(images: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The counts of a sequence or an event: for each label, the largest number in one image (MaxN).

    A label above another one is left out, because it may be the same individuals, identified less
    precisely. Its number counts for the label below it only

    1. if there is only one such label,
    2. if it is a family or a lower taxon (an animal known only to be a mammal may be any mammal), and
    3. from images that do not show the lower label. There, the higher taxon may be a second box of
       the same animal, or another animal.

    Args:
        images: The counts of each image, see ``counts_of``.

    Examples:
        >>> fox = "0;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
        >>> dogs = "1;mammalia;carnivora;canidae;;;canine family"
        >>> largest_counts([{fox: 1}, {dogs: 2}])
        {'0;mammalia;carnivora;canidae;vulpes;vulpes;red fox': 2}
        >>> largest_counts([{fox: 1, dogs: 2}])
        {'0;mammalia;carnivora;canidae;vulpes;vulpes;red fox': 1}
    """
    images = list(images)
    most: dict[str, int] = {}
    for counts in images:
        for label, count in counts.items():
            most[label] = max(most.get(label, 0), count)
    found = {label: n for label, n in most.items() if not any(is_ancestor(label, o) for o in most)}
    for label in filter(may_be_counted_below, most.keys() - found.keys()):
        below = [other for other in found if is_ancestor(label, other)]
        if len(below) == 1:
            others = (counts.get(label, 0) for counts in images if below[0] not in counts)
            found[below[0]] = max(found[below[0]], *others, 0)
    return _largest_first(found)


@functools.lru_cache(maxsize=10_000)
def may_be_counted_below(label: str) -> bool:
    """Whether the number of a taxon may count for the only label below it, see ``largest_counts``."""
    return split_label(label).rank in _NEAR_SPECIES


def _largest_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
