"""Finds the images that a person should check, and why."""

from __future__ import annotations

from speciesnet.constants import Classification, Detection
from speciesnet.survey.survey import Picture, Survey

LOW_SCORE = 0.75  # a roll-up needs 0.65, and so does a species whose animal has a box
SURE = 0.5  # a box of at least this confidence overrules what the classifier sees

# Reasons to check an image, by name, in the order in which the pages list them.
CHECKS = {
    "low": f"The score of the answer is below {LOW_SCORE}.",
    "unknown": "Neither network is confident of any answer.",
    "disagree": "The detector and the classifier disagree.",
    "geofence": "The classifier's best species does not occur there.",
    "sequence": "The answer differs from the answer for its sequence.",
    "people": "A person is in the image, but the answer is not human.",
    "vehicles": "A vehicle is in the image, but the answer is something else.",
}

_PEOPLE = {Detection.HUMAN.value, Detection.VEHICLE.value}
_NO_ANIMAL = {Classification.BLANK, Classification.HUMAN, Classification.VEHICLE}


def open_checks(picture: Picture, survey: Survey) -> list[str]:
    """Returns the reasons to check an image; none once a person has reviewed it."""
    return [] if picture.correction is not None else failed_checks(picture, survey)


def failed_checks(picture: Picture, survey: Survey) -> list[str]:
    """Returns the reasons to check a prediction, whether or not a person has reviewed it.

    Returns:
        Keys of ``CHECKS``.
    """
    if picture.failures:
        return []
    shown = {
        "people": Detection.HUMAN in picture.unmentioned,
        "vehicles": Detection.VEHICLE in picture.unmentioned,
    }
    if picture.label is None:
        return [name for name in CHECKS if shown.get(name)]
    sequence = survey.sequences[picture.sequence]
    consensus = sequence.answer if len(sequence.pictures) > 1 else None
    failed = shown | {
        "low": picture.score < LOW_SCORE,
        "unknown": picture.label == Classification.UNKNOWN,
        "disagree": _networks_disagree(picture),
        "geofence": "geofence" in (picture.source or ""),
        "sequence": consensus is not None
        and picture.label not in (consensus[0], Classification.BLANK),
    }
    return [name for name in CHECKS if failed[name]]


def _networks_disagree(picture: Picture) -> bool:
    """Returns whether the best box, or its absence, contradicts the answer."""
    if picture.boxes is None or picture.label == Classification.UNKNOWN:
        return False
    best = picture.boxes[0] if picture.boxes else None
    is_sure = best is not None and best.conf >= SURE
    if picture.label == Classification.BLANK:
        return is_sure
    if picture.label in _NO_ANIMAL:
        return is_sure and best is not None and best.kind not in _PEOPLE
    return best is None or (is_sure and best.kind in _PEOPLE)
