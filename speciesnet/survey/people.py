"""People and vehicles that an image shows, even next to a different answer.

An image has one answer, which does not mention a person next to a dog if the detector is more
confident of the dog. Reports, reviews, tables, sorting and keywords all use the functions in this
module, and thus share one threshold.
"""

from __future__ import annotations

from speciesnet.constants import DETECTION_THRESHOLD, Detection
from speciesnet.ensemble.taxonomy import category_of
from speciesnet.records import Box, Record, answer_of

# The lowest confidence of a box that counts: the decision table ignores boxes below it.
SHOWN = DETECTION_THRESHOLD
PERSON = "person"  # the word for boxes of people in keywords and in MegaDetector's format

_KINDS = {kind.value: kind for kind in Detection} | {PERSON: Detection.HUMAN}


def kind_of(box: Box) -> Detection:
    """The kind of a detection; also accepts "person", as other programs call a human.

    Raises:
        KeyError, ValueError: The box is malformed.
    """
    return _KINDS.get(box["label"]) or Detection.from_category(box["category"])


def people_in(record: Record) -> int:
    """The number of boxes of people with a confidence of at least 0.2.

    Raises:
        KeyError, TypeError, ValueError: The record is malformed.

    Example:
        >>> dog = {"category": "1", "label": "animal", "conf": 0.94, "bbox": [0.3, 0.4, 0.2, 0.2]}
        >>> hiker = {"category": "2", "label": "human", "conf": 0.91, "bbox": [0.6, 0.2, 0.2, 0.6]}
        >>> people_in({"filepath": "a.jpg", "detections": [dog, hiker]})
        1
    """
    return _count(record, Detection.HUMAN)


def vehicles_in(record: Record) -> int:
    """The number of boxes around vehicles; see ``people_in``."""
    return _count(record, Detection.VEHICLE)


def _count(record: Record, kind: Detection) -> int:
    boxes = record.get("detections") or ()
    return sum(box["conf"] >= SHOWN and kind_of(box) is kind for box in boxes)


def shows_people(record: Record) -> bool:
    """Whether a box or the answer shows people; raises the same errors as ``people_in``."""
    return people_in(record) > 0 or _main_category(record) == Detection.HUMAN


def unmentioned(record: Record) -> tuple[Detection, ...]:
    """The kinds that an image shows although its answer (or its best box) is of another kind.

    A vehicle next to a person counts as mentioned: its driver is the answer. Raises the
    same errors as ``people_in``.

    Returns:
        ``Detection.HUMAN``, ``Detection.VEHICLE``, both or neither.
    """
    found = []
    main = _main_category(record)
    if main != Detection.HUMAN and people_in(record):
        found.append(Detection.HUMAN)
    if main not in (Detection.HUMAN, Detection.VEHICLE) and vehicles_in(record):
        found.append(Detection.VEHICLE)
    return tuple(found)


def _main_category(record: Record) -> str | None:
    """The category of the answer; without a classifier's result, that of the best box."""
    label, _, _ = answer_of(record)
    if label is not None:
        return category_of(label)
    boxes = record.get("detections") or ()
    if record.get("failures") or not boxes:
        return None
    return kind_of(max(boxes, key=lambda box: box["conf"])).value
