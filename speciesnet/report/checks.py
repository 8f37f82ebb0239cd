"""Which pictures a person should look at, and why."""

from __future__ import annotations

from speciesnet.constants import Classification, Detection
from speciesnet.survey.survey import Picture, Survey

LOW_SCORE = 0.75  # answers below it; a roll-up needs 0.65, a species with a box 0.65
SURE = 0.5  # a box of this confidence shows something, whatever the classifier says

# What is said of a picture, by the name of the check; the pages list them in this order.
CHECKS = {
    "low": f"The score of the answer is below {LOW_SCORE}.",
    "unknown": "Neither network is sure of anything.",
    "disagree": "The detector and the classifier do not see the same.",
    "geofence": "The classifier named a species that does not live there.",
    "sequence": "The answer differs from that of its sequence.",
}

_PEOPLE = {Detection.HUMAN.value, Detection.VEHICLE.value}
_NO_ANIMAL = {Classification.BLANK, Classification.HUMAN, Classification.VEHICLE}


def checks_of(picture: Picture, survey: Survey) -> list[str]:
    """The names of the checks that a picture fails; none where a person has said what it is."""
    return [] if picture.correction is not None else checks_of_prediction(picture, survey)


def checks_of_prediction(picture: Picture, survey: Survey) -> list[str]:
    """The same, whatever a person has said: what there is to check if they take it back."""
    if picture.failures or picture.label is None:
        return []
    sequence = survey.sequences[picture.sequence]
    consensus = sequence.answer if len(sequence.pictures) > 1 else None
    failed = {
        "low": picture.score < LOW_SCORE,
        "unknown": picture.label == Classification.UNKNOWN,
        "disagree": _disagree(picture),
        "geofence": "geofence" in (picture.source or ""),
        "sequence": consensus is not None
        and picture.label not in (consensus[0], Classification.BLANK),
    }
    return [name for name in CHECKS if failed[name]]


def _disagree(picture: Picture) -> bool:
    """Whether the best box, or its absence, contradicts the answer."""
    if picture.boxes is None or picture.label == Classification.UNKNOWN:
        return False
    best = picture.boxes[0] if picture.boxes else None
    is_seen = best is not None and best.conf >= SURE
    if picture.label == Classification.BLANK:
        return is_seen
    if picture.label in _NO_ANIMAL:
        return is_seen and best is not None and best.kind not in _PEOPLE
    return best is None or (is_seen and best.kind in _PEOPLE)
