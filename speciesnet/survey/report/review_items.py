"""Corrections as sent by the page of a review."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from speciesnet.server.errors import RejectedError
from speciesnet.survey.box_corrections import BoxCorrection
from speciesnet.survey.corrections import Correction, now
from speciesnet.survey.stone_verdicts import VERDICTS, Verdict
from speciesnet.survey.survey import Survey

MAX_BOXES = 1000  # corrected boxes of one image
MAX_COUNT = 1_000_000  # individuals of one label
MAX_ID = 100  # characters
KEPT_IDS = 100_000  # of the most recently saved corrections


class SavedIds:
    """The identifiers of the most recently saved corrections.

    A page that loses the connection does not know whether its corrections were saved, and sends them
    again. A later correction of the same image may have followed them by then.
    """

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}  # in the order in which they were saved

    def unsaved(self, items: Sequence[object]) -> list[object]:
        """The items that have not been saved; only the first item with each identifier."""
        seen: set[str] = set()
        found = []
        for item in items:
            identifier = _id_of(item)
            if identifier in self._ids or identifier in seen:
                continue
            found.append(item)
            if identifier is not None:
                seen.add(identifier)
        return found

    def add(self, items: Sequence[object]) -> None:
        """Adds saved items and drops the oldest ones."""
        self._ids |= {one: None for item in items if (one := _id_of(item)) is not None}
        for one in list(self._ids)[: max(len(self._ids) - KEPT_IDS, 0)]:
            del self._ids[one]


def _id_of(item: object) -> str | None:
    found = item.get("id") if isinstance(item, dict) else None
    return found if isinstance(found, str) and len(found) <= MAX_ID else None


def correction_of(
    item: object, survey: Survey, labels: Container[str], reviewer: str
) -> Correction:
    """Returns the correction that an item from a page describes.

    Args:
        item: ``{"position", "path", "label"}``, see ``Review.add``; and ``boxes`` and ``counts``, as in
            a line of the corrections file.
        survey: The survey.
        labels: The labels that a correction may have.
        reviewer: The name of the reviewer, or "".

    Raises:
        RejectedError: The item is malformed.
    """
    values = item if isinstance(item, dict) else {}
    position, label = values.get("position"), values.get("label")
    if type(position) is not int or not 0 <= position < len(survey.pictures):
        raise RejectedError(400, "the survey has no such image. Reload the page.")
    picture = survey.pictures[position]
    if picture.shown_path != values.get("path"):
        raise RejectedError(400, "the predictions have changed. Reload the page.")
    _check_label(label, labels)
    boxes = _boxes(values.get("boxes"), labels)
    counts = _counts(values.get("counts"), labels)
    return Correction(picture.filepath, label, picture.label, now(), reviewer, boxes, counts)


def verdict_of(item: object, names: Container[str]) -> tuple[str, Verdict | None]:
    """Returns the name of a group of boxes that never move, and the verdict on it.

    Raises:
        RejectedError: The item is malformed.
    """
    values = item if isinstance(item, dict) else {}
    name, verdict = values.get("name"), values.get("verdict")
    if not isinstance(name, str) or name not in names:
        raise RejectedError(400, "the survey has no such group. Reload the page.")
    if verdict is not None and verdict not in VERDICTS:
        raise RejectedError(400, "a verdict must be stone, animal or null.")
    return name, verdict


def _check_label(label: object, labels: Container[str]) -> None:
    if label is not None and not (isinstance(label, str) and label in labels):
        raise RejectedError(400, "the model has no such label. Reload the page.")


def _boxes(values: object, labels: Container[str]) -> tuple[BoxCorrection, ...]:
    if values is None:
        return ()
    if not isinstance(values, list) or len(values) > MAX_BOXES:
        raise RejectedError(400, f"boxes must be a list of at most {MAX_BOXES} boxes.")
    try:
        boxes = tuple(map(BoxCorrection.from_json, values))
    except (ValueError, TypeError) as error:
        raise RejectedError(400, f"the boxes are invalid: {error}.") from error
    for box in boxes:
        _check_label(box.label, labels)
    return boxes


def _counts(values: object, labels: Container[str]) -> Mapping[str, int] | None:
    if values is None:
        return None
    if not isinstance(values, dict):
        raise RejectedError(400, "counts must be an object with a number for each label.")
    for label, count in values.items():
        _check_label(label, labels)
        if type(count) is not int or not 0 <= count <= MAX_COUNT:
            raise RejectedError(400, f"a count must be a whole number from 0 to {MAX_COUNT:,}.")
    return values
