"""The answers that an image could get if the numbers behind them were slightly different.

Changes of confidences and scores are measured in log odds, ln(p / (1 - p)): if the logits of a
classifier change by at most d, the log odds of a class, or of any sum of classes, change by at most 2
d. So one band covers classes, sums, and the order of both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from speciesnet.boxes import BoxSelection
from speciesnet.constants import SCORE_THRESHOLD, TOP_CLASSES, Classification, Detection
from speciesnet.ensemble import DECISION_TABLE, Rule
from speciesnet.geofence import Rules
from speciesnet.pipeline import WHOLE, Photo
from speciesnet.records import Box, Classifications, top_classes
from speciesnet.taxonomy import GEOFENCE_ROLL_UP_LEVELS, ROLL_UP_LEVELS, ROLL_UP_THRESHOLD

CERTAIN = 0.995  # no rule asks for more; the highest bound is 0.99
MAX_RIVALS = (
    4  # boxes, and the whole image, that are classified to see whether it matters which is best
)

Answers = set[tuple[str, str]]  # labels and sources
Place = tuple[str | None, str | None]  # country and region


class Interval(NamedTuple):
    """The range of a number."""

    low: float
    high: float


def log_odds(probability: float) -> float:
    """ln(p / (1 - p)) of a probability, limited to the range from 1 - ``CERTAIN`` to ``CERTAIN``.

    No threshold is beyond these limits, but the log odds there would grow without bound.
    """
    kept = min(max(probability, 1 - CERTAIN), CERTAIN)
    return math.log(kept / (1 - kept))


def moved(probability: float, by: float) -> float:
    """A probability after its log odds have moved by a number.

    Examples:
        >>> round(moved(0.5, math.log(3)), 3)
        0.75
    """
    return 1 / (1 + math.exp(-by - log_odds(probability))) if by else probability


def around(probability: float, band: float) -> Interval:
    """The range of a probability whose log odds are known to within a band."""
    return Interval(moved(probability, -band), moved(probability, band))


def lowest_confidence(band: float) -> float:
    """The confidence of the faintest box that could be above the detector's threshold in float32."""
    return moved(SCORE_THRESHOLD, -band)


def rivals(photo: Photo, band: float) -> list[int]:
    """The positions of the boxes that could be the best in float32; ``WHOLE`` if there may be none.

    Args:
        photo: An image with the detector's boxes, down to ``lowest_confidence(band)``.
        band: The band of the detector.
    """
    boxes = [*(photo.detections or ()), *photo.faint]
    best = moved(float(boxes[0]["conf"]), -band) if boxes else 0.0
    limit = max(best, SCORE_THRESHOLD)
    found = [i for i, box in enumerate(boxes) if moved(float(box["conf"]), band) >= limit]
    return found if best > SCORE_THRESHOLD else [*found, WHOLE]


def certain_rivals(photo: Photo, band: float) -> list[int]:
    """The same as ``rivals``, but empty if there are too many to be worth classifying."""
    found = rivals(photo, band)
    return found if len(found) <= MAX_RIVALS else []


@dataclass(frozen=True)
class Decisions:
    """The rules that determine the answers of a run.

    Attributes:
        rules_at: The rules for a country.
        places_of: Where an image was taken; several places if it was passed several times.
        boxes: The boxes that get their own answers.
        crops: Whether the classifier gets the best box instead of the whole image.
    """

    rules_at: Callable[[str | None], Rules]
    places_of: Callable[[Photo], Collection[Place]]
    boxes: BoxSelection | None = None
    crops: bool = True

    def is_stable(self, photo: Photo, detector: float, classifier: float) -> bool:
        """Whether an image gets the same answers for all numbers within the bands.

        Args:
            photo: An image that has passed both networks.
            detector: How far confidences can differ from those in float32, in log odds.
            classifier: How far scores of classes and their sums can differ.
        """
        if photo.classifications is None:
            return True  # it cannot be read
        if photo.detections is None:
            return self._is_stable_anyway(photo.classifications, photo, classifier)
        if self.boxes and not _selects_the_same(photo.detections, self.boxes, detector):
            return False
        pairs: list[tuple[Box | None, Classifications]] = []
        for position in rivals(photo, detector):
            classes = self.classes_at(photo, position)
            if classes is None or not _are_numbers(classes):
                return False
            pairs.append((box_at(photo, position), classes))
        own = photo.box_classifications.items()
        singles = [(photo.detections[position], classes) for position, classes in own]
        for country, region in self.places_of(photo):
            at = _At(self.rules_at(country), country, region, detector, classifier)
            if len(set().union(*(at.answers(box, classes) for box, classes in pairs))) != 1:
                return False
            if any(len(at.answers(box, classes)) != 1 for box, classes in singles):
                return False
        return True

    def _is_stable_anyway(
        self, classifications: Classifications, photo: Photo, classifier: float
    ) -> bool:
        """Whether the classes lead to the same answer with any box that a detector may find."""
        bounds = [0.0, *_limits(), 1.0]
        confidences = [(low + high) / 2 for low, high in pairwise(bounds)]
        boxes: list[Box] = [
            {"category": kind.category, "label": kind.value, "conf": confidence, "bbox": ()}
            for kind in Detection
            for confidence in confidences
        ]
        return _are_numbers(classifications) and all(
            len(_At(self.rules_at(country), country, region, 0.0, classifier).answers(*pair)) == 1
            for country, region in self.places_of(photo)
            for pair in ((box, classifications) for box in boxes)
        )

    def decision_of(self, photo: Photo) -> Hashable:
        """The answers for an image and its boxes from its current numbers, without their scores."""
        detections = photo.detections or ()
        best = detections[0] if detections else None
        if photo.classifications is None:
            return best and (
                best["label"],
                [best["conf"] > limit for limit in _limits()].count(True),
            )
        own = [(detections[i], classes) for i, classes in photo.box_classifications.items()]
        found = []
        for country, region in self.places_of(photo):
            at = _At(self.rules_at(country), country, region, 0.0, 0.0)
            boxes = sorted(answer for pair in own for answer in at.answers(*pair))
            found.append((frozenset(at.answers(best, photo.classifications)), *boxes))
        return tuple(found)

    def classes_at(self, photo: Photo, position: int) -> Classifications | None:
        """The classifier's result for a rival; None if the rival was not classified."""
        if not self.crops or position == (0 if photo.detections else WHOLE):
            return photo.classifications
        return photo.rivals.get(position, photo.box_classifications.get(position))


def is_detection_stable(photo: Photo, band: float, boxes: BoxSelection | None = None) -> bool:
    """Whether the best box of an image, and its side of each threshold, is certain.

    Args:
        photo: An image that has passed only the detector.
        band: The band of the detector.
        boxes: The boxes that get their own answers.
    """
    if photo.detections is None:
        return True
    if boxes is not None and not _selects_the_same(photo.detections, boxes, band):
        return False
    found = rivals(photo, band)
    if len(found) != 1:
        return False
    box = box_at(photo, found[0])
    confidence = around(float(box["conf"]) if box else 0.0, band)
    return not any(confidence.low <= limit <= confidence.high for limit in _limits())


def _limits() -> list[float]:
    """The confidence thresholds in the decision table."""
    bounds = [b for rule in DECISION_TABLE for b in (rule.detection_above, rule.detection_below)]
    return sorted({bound for bound in bounds if bound is not None})


def box_at(photo: Photo, position: int) -> Box | None:
    """The box at a position; None for the whole image."""
    boxes = [*(photo.detections or ()), *photo.faint]
    return None if position == WHOLE else boxes[position]


def _are_numbers(classifications: Classifications) -> bool:
    return bool(classifications["scores"]) and not any(map(math.isnan, classifications["scores"]))


def _selects_the_same(detections: Sequence[Box], boxes: BoxSelection, band: float) -> bool:
    """Whether it is certain which boxes get their own answers."""
    ranked = sorted((float(box["conf"]) for box in detections), reverse=True)
    if any(
        interval.low < boxes.threshold <= interval.high
        for interval in (around(confidence, band) for confidence in ranked)
    ):
        return False
    above = [confidence for confidence in ranked if confidence >= boxes.threshold]
    limit = boxes.limit
    if limit is None or limit <= 0 or len(above) <= limit:
        return True
    return moved(above[limit - 1], -band) > moved(above[limit], band)


class _Candidate(NamedTuple):
    """A possible answer and the range of its score."""

    label: str
    source: str
    score: Interval


class _Ancestor(NamedTuple):
    """A possible result of a roll-up and the range of its summed scores."""

    label: str
    level: str
    score: Interval


@dataclass(frozen=True)
class _At:
    """The decision table for a place, applied to numbers that are known to within bands."""

    rules: Rules
    country: str | None
    region: str | None
    detector: float
    classifier: float

    def answers(self, box: Box | None, classifications: Classifications) -> Answers:
        """Every answer that is possible if a given box is the best one."""
        detection, confidence = Detection.ANIMAL.value, Interval(0.0, 0.0)
        if box is not None:
            detection = box["label"]
            confidence = around(float(box["conf"]), self.detector)
        best = top_classes(classifications, TOP_CLASSES)
        classes, scores = best["classes"], best["scores"]
        found: set[_Candidate] = set()
        for label, score in zip(classes, scores, strict=True):
            if moved(score, self.classifier) < moved(scores[0], -self.classifier):
                continue
            interval = around(score, self.classifier)
            for rule in DECISION_TABLE:
                outcomes = [
                    rule.holds(detection, confidence_at, label, score_at)
                    for confidence_at in confidence
                    for score_at in interval
                ]
                if not any(outcomes):
                    continue
                at = confidence if rule.score == "detector" else interval
                ends = self._answers_of(rule, label, classes, scores, at, found)
                if ends and all(outcomes):
                    break
        restricted = (self._restricted(one, classes, scores) for one in found)
        return {answer for one in restricted for answer in self._after_thresholds(one)}

    def _answers_of(
        self,
        rule: Rule,
        top: str,
        classes: list[str],
        scores: list[float],
        score: Interval,
        found: set[_Candidate],
    ) -> bool:
        """Adds the answers that a rule can give, and returns whether it always gives one."""
        if rule.answer == "geofence":
            found |= self._geofenced(top, classes, scores)
        elif rule.answer == "roll_up":
            possible = list(
                self._roll_ups(classes, scores, ROLL_UP_LEVELS, around(ROLL_UP_THRESHOLD, 0))
            )
            found |= {
                _Candidate(one.label, f"classifier+rollup_to_{one.level}", one.score)
                for one in possible
                if one
            }
            return all(possible)
        else:
            found.add(_Candidate(str(rule.answer), rule.score, score))
        return True

    def _geofenced(self, top: str, classes: list[str], scores: list[float]) -> set[_Candidate]:
        score = around(scores[classes.index(top)], self.classifier)
        if not self.rules.exclude(top, self.country, self.region):
            return {_Candidate(top, "classifier", score)}
        failed = _Candidate(
            Classification.UNKNOWN.value, "classifier+geofence+rollup_failed", score
        )
        return {
            _Candidate(one.label, f"classifier+geofence+rollup_to_{one.level}", one.score)
            if one
            else failed
            for one in self._roll_ups(classes, scores, GEOFENCE_ROLL_UP_LEVELS, score, top)
        }

    def _roll_ups(
        self,
        classes: list[str],
        scores: list[float],
        levels: Sequence[str],
        threshold: Interval,
        top: str | None = None,
    ) -> Iterator[_Ancestor | None]:
        """Yields the ancestors that a roll-up can find; None if it may find none.

        Args:
            classes: Classes, best first.
            scores: Their scores.
            levels: The levels to try, in order.
            threshold: The value that sums must exceed.
            top: A class whose score is the threshold; sums that contain it always exceed it.
        """
        for level in levels:
            sums = self._sums(classes, scores, level)
            above = self.rules.ancestor(top, level) if top else None
            if not sums:
                continue
            lowest = max(interval.low for interval in sums.values())
            is_certain = above in sums or lowest > threshold.high
            for ancestor, interval in sums.items():
                if ancestor == above or (interval.high >= lowest and interval.high > threshold.low):
                    yield _Ancestor(ancestor, level, interval)
            if is_certain:
                return
        yield None

    def _sums(self, classes: list[str], scores: list[float], level: str) -> Mapping[str, Interval]:
        """The summed scores of each allowed ancestor at a level.

        In float32, the last of the top classes may be a different one with a similar score.
        """
        band = self.classifier
        last = classes[-1] if len(classes) >= TOP_CLASSES else None
        other = moved(scores[-1], band) if last else 0.0
        lost = self.rules.ancestor(last, level) if last else None
        found: dict[str, Interval] = {}
        for ancestor, total in self.rules.sums(classes, scores, level).items():
            if self.rules.exclude(ancestor, self.country, self.region):
                continue
            low = moved(min(total, 1.0), -band) - (other if ancestor == lost and band else 0.0)
            high = moved(min(total, 1.0), band) + (other if band else 0.0)
            found[ancestor] = Interval(low, high)
        return found

    def _restricted(self, one: _Candidate, classes: list[str], scores: list[float]) -> _Candidate:
        """A candidate after the species list; the score of a group may be a sum."""
        low, high = (
            self.rules.restrict(
                (one.label, score, one.source), classes, scores, self.country, self.region
            )
            for score in one.score
        )
        if low[2] == one.source:
            return one
        band = self.classifier
        other = moved(scores[-1], band) if band and len(classes) >= TOP_CLASSES else 0.0
        interval = Interval(moved(low[1], -band) - other, moved(min(high[1], 1.0), band) + other)
        return _Candidate(low[0], low[2], interval)

    def _after_thresholds(self, one: _Candidate) -> Answers:
        """The answers that thresholds of species can leave of a candidate."""
        if self.rules.enforce_thresholds is None:
            return {(one.label, one.source)}
        low, high = one.score
        if low != high:  # log odds are cut off at both ends, but thresholds are not
            low = low if low > 1 - CERTAIN else 0.0
            high = high if high < CERTAIN else 1.0
        answers = [
            self.rules.enforce_thresholds((one.label, score, one.source)) for score in (low, high)
        ]
        return {(label, source) for label, _, source in answers}
