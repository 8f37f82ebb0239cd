"""The decision table: whether the detections or the classifications determine an image's answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from speciesnet.constants import Classification, Detection
from speciesnet.ensemble.geofence import Answer
from speciesnet.records import Box, Classifications

_BLANK = frozenset({Classification.BLANK})
_HUMAN = frozenset({Classification.HUMAN})
_VEHICLE = frozenset({Classification.VEHICLE})
_NO_ANIMAL = _BLANK | _HUMAN | _VEHICLE


@dataclass(frozen=True)
class Rule:
    """One row of the decision table; all of its conditions must hold, and None means no condition.

    Attributes:
        name: Number of the rule in the documentation's table.
        answer: The label to answer, or the function to call on the top five classes: "geofence" or
            "roll_up". If a roll-up finds no ancestor, the next rule is tried.
        score: The component whose score is the score of the answer.
        detection: Required label of the top detection.
        detection_above: The value that the confidence of the top detection must exceed.
        detection_below: The value that the confidence of the top detection must be below.
        top_in: Labels that must include the top class.
        top_not_in: Labels that must not include the top class.
        top_above: The value that the score of the top class must exceed.
    """

    name: str
    answer: Classification | Literal["geofence", "roll_up"]
    score: Literal["detector", "classifier"] = "classifier"
    detection: Detection | None = None
    detection_above: float | None = None
    detection_below: float | None = None
    top_in: Collection[str] | None = None
    top_not_in: Collection[str] | None = None
    top_above: float | None = None

    def holds(self, detection: str, confidence: float, top: str, score: float) -> bool:
        """Whether every condition holds for the top detection and the top class."""
        return (
            (self.detection is None or detection == self.detection)
            and (self.detection_above is None or confidence > self.detection_above)
            and (self.detection_below is None or confidence < self.detection_below)
            and (self.top_in is None or top in self.top_in)
            and (self.top_not_in is None or top not in self.top_not_in)
            and (self.top_above is None or score > self.top_above)
        )


# The first rule that holds wins. Thresholds are those of the published ensemble (v4.0.0).
DECISION_TABLE = (
    Rule(
        "1a",
        answer=Classification.HUMAN,
        score="detector",
        detection=Detection.HUMAN,
        detection_above=0.7,
    ),
    Rule(
        "1b",
        answer=Classification.HUMAN,
        detection=Detection.HUMAN,
        detection_above=0.2,
        top_in=_HUMAN | _VEHICLE,
        top_above=0.5,
    ),
    Rule(
        "2a",
        answer=Classification.HUMAN,
        detection=Detection.VEHICLE,
        detection_above=0.2,
        top_in=_HUMAN,
        top_above=0.5,
    ),
    Rule(
        "2b",
        answer=Classification.VEHICLE,
        score="detector",
        detection=Detection.VEHICLE,
        detection_above=0.7,
    ),
    Rule(
        "2c",
        answer=Classification.VEHICLE,
        detection=Detection.VEHICLE,
        detection_above=0.2,
        top_in=_VEHICLE,
        top_above=0.4,
    ),
    Rule("3a", answer=Classification.BLANK, detection_below=0.2, top_in=_BLANK, top_above=0.5),
    Rule("3b", answer=Classification.BLANK, top_in=_BLANK, top_above=0.99),
    Rule("4a", answer="geofence", top_not_in=_NO_ANIMAL, top_above=0.8),
    Rule(
        "4b",
        answer="geofence",
        detection=Detection.ANIMAL,
        detection_above=0.2,
        top_not_in=_NO_ANIMAL,
        top_above=0.65,
    ),
    Rule("5a", answer="roll_up"),
    Rule(
        "5b",
        answer=Classification.ANIMAL,
        score="detector",
        detection=Detection.ANIMAL,
        detection_above=0.5,
    ),
    Rule("otherwise", answer=Classification.UNKNOWN),
)


def first_answer(
    classifications: Classifications,
    detections: Sequence[Box],
    geofence: Callable[[], Answer],
    roll_up: Callable[[], Answer | None],
) -> Answer:
    """The answer from the first rule in ``DECISION_TABLE`` that holds and has one.

    Args:
        classifications: The classes of an image, best first.
        detections: Its boxes, most confident first; may be empty.
        geofence: Checks the top class against the geofence.
        roll_up: Finds an ancestor of the classes; None if there is none.
    """
    top, top_score = classifications["classes"][0], classifications["scores"][0]
    detection, confidence = Detection.ANIMAL.value, 0.0
    if detections:
        detection, confidence = detections[0]["label"], detections[0]["conf"]
    for rule in DECISION_TABLE:
        if not rule.holds(detection, confidence, top, top_score):
            continue
        if rule.answer == "geofence":
            return geofence()
        if rule.answer == "roll_up":
            if (answer := roll_up()) is not None:
                return answer
            continue
        score = confidence if rule.score == "detector" else top_score
        return str(rule.answer), score, rule.score
    raise AssertionError("The last rule of the decision table always holds.")
