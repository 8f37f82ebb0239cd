"""Every answer that is possible if the numbers behind it are known only to within a band.

Changes of confidences and scores are measured in log odds, ln(p / (1 - p)): if the logits of a
classifier change by at most d, the log odds of a class, or of any sum of classes, change by at most 2
d. So one band covers classes, sums, and the order of both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from speciesnet.constants import TOP_CLASSES, Classification, Detection
from speciesnet.ensemble import DECISION_TABLE, Rule
from speciesnet.ensemble.geofence import Rules
from speciesnet.ensemble.taxonomy import GEOFENCE_ROLL_UP_LEVELS, ROLL_UP_LEVELS, ROLL_UP_THRESHOLD
from speciesnet.records import Box, Classifications, top_classes

CERTAIN = 0.995  # no rule requires more; the highest bound is 0.99
COUNTING = 0.05  # lower scores do not affect any answer

Answers = set[tuple[str, str]]  # labels and sources


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
    """A probability after its log odds have been shifted by a number.

    Examples:
        >>> round(moved(0.5, math.log(3)), 3)
        0.75
    """
    return 1 / (1 + math.exp(-by - log_odds(probability))) if by else probability


def around(probability: float, band: float) -> Interval:
    """The range of a probability whose log odds are known to within a band."""
    return Interval(moved(probability, -band), moved(probability, band))


def opened(interval: Interval) -> Interval:
    """An interval without the limits of ``log_odds``, beyond which nothing is known."""
    low, high = interval
    return Interval(low if low > 1 - CERTAIN else 0.0, high if high < CERTAIN else 1.0)


def kind_of(box: Box | None, band: float) -> tuple[str, Interval]:
    """The best box's label, and its confidence within a band; without a box, an animal at 0."""
    if box is None:
        return Detection.ANIMAL.value, Interval(0.0, 0.0)
    return box["label"], around(float(box["conf"]), band)


class Scores(Protocol):
    """Scores of classes that are known to within intervals."""

    @property
    def intervals(self) -> Mapping[str, Interval]:
        """The scores of the classes, by label."""
        ...

    @property
    def ends(self) -> tuple[Sequence[float], Sequence[float]]:
        """The scores from which the lowest and the highest sum of a group in a species list follow."""
        ...

    def sums(self, level: str) -> Mapping[str, Interval]:
        """The summed scores of each ancestor at a level."""
        ...

    def widened(self, group: Interval) -> Interval:
        """The score of a group in a species list that follows from ``ends``, with all errors."""
        ...


class PhotoScores:
    """The scores of one image, whose log odds are known to within a band.

    Args:
        rules: The taxonomy.
        classifications: The classes; the best five count.
        band: The band.

    Attributes:
        intervals: The scores of the classes, by label.
    """

    def __init__(self, rules: Rules, classifications: Classifications, band: float) -> None:
        self._rules, self._band = rules, band
        best = top_classes(classifications, TOP_CLASSES)
        self._classes, self._scores = best["classes"], best["scores"]
        self.intervals: Mapping[str, Interval] = {
            label: around(score, band)
            for label, score in zip(self._classes, self._scores, strict=True)
        }

    @property
    def _other(self) -> float:
        """The highest score of another class that may be the last of the best five in float32."""
        is_full = len(self._scores) >= TOP_CLASSES
        return moved(self._scores[-1], self._band) if self._band and is_full else 0.0

    @property
    def ends(self) -> tuple[Sequence[float], Sequence[float]]:
        """The scores themselves; ``widened`` adds the band."""
        return self._scores, self._scores

    def sums(self, level: str) -> Mapping[str, Interval]:
        """The summed scores of each ancestor at a level.

        In float32, the last of the top classes may be a different one with a similar score.
        """
        last = self._classes[-1] if len(self._classes) >= TOP_CLASSES else None
        lost = self._rules.ancestor(last, level) if last else None
        band, other = self._band, self._other
        found: dict[str, Interval] = {}
        for ancestor, total in self._rules.sums(self._classes, self._scores, level).items():
            low = moved(min(total, 1.0), -band) - (other if ancestor == lost else 0.0)
            found[ancestor] = Interval(low, moved(min(total, 1.0), band) + other)
        return found

    def widened(self, group: Interval) -> Interval:
        """The score of a group in a species list, which may be a sum."""
        low, high = moved(group.low, -self._band), moved(min(group.high, 1.0), self._band)
        return Interval(low - self._other, high + self._other)


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
class At:
    """The decision table for a place, applied to numbers that are known to within intervals.

    Attributes:
        rules: The rules for its country.
        country: The country.
        region: The state or province.
    """

    rules: Rules
    country: str | None
    region: str | None

    def answers(self, detection: str, confidence: Interval, scores: Scores) -> Answers:
        """Every answer that is possible.

        Args:
            detection: The label of the best box.
            confidence: Its confidence.
            scores: The scores of the classes.
        """
        found: set[_Candidate] = set()
        lowest = max((low for low, _ in scores.intervals.values()), default=0.0)
        for label, interval in scores.intervals.items():
            if interval.high < lowest:
                continue
            for rule in DECISION_TABLE:
                outcomes = [
                    rule.holds(detection, confidence_at, label, score_at)
                    for confidence_at in confidence
                    for score_at in interval
                ]
                if not any(outcomes):
                    continue
                at = confidence if rule.score == "detector" else interval
                ends = self._answers_of(rule, label, scores, at, found)
                if ends and all(outcomes):
                    break
        restricted = (self._restricted(one, scores) for one in found)
        return {answer for one in restricted for answer in self._after_thresholds(one)}

    def _answers_of(
        self,
        rule: Rule,
        top: str,
        scores: Scores,
        score: Interval,
        found: set[_Candidate],
    ) -> bool:
        """Adds the answers that a rule may give, and returns whether it always gives one."""
        if rule.answer == "geofence":
            found |= self._geofenced(top, scores)
        elif rule.answer == "roll_up":
            possible = list(self._roll_ups(scores, ROLL_UP_LEVELS, around(ROLL_UP_THRESHOLD, 0)))
            found |= {
                _Candidate(one.label, f"classifier+rollup_to_{one.level}", one.score)
                for one in possible
                if one
            }
            return all(possible)
        else:
            found.add(_Candidate(str(rule.answer), rule.score, score))
        return True

    def _geofenced(self, top: str, scores: Scores) -> set[_Candidate]:
        score = scores.intervals[top]
        if not self.rules.exclude(top, self.country, self.region):
            return {_Candidate(top, "classifier", score)}
        failed = _Candidate(
            Classification.UNKNOWN.value, "classifier+geofence+rollup_failed", score
        )
        return {
            _Candidate(one.label, f"classifier+geofence+rollup_to_{one.level}", one.score)
            if one
            else failed
            for one in self._roll_ups(scores, GEOFENCE_ROLL_UP_LEVELS, score, top)
        }

    def _roll_ups(
        self,
        scores: Scores,
        levels: Sequence[str],
        threshold: Interval,
        top: str | None = None,
    ) -> Iterator[_Ancestor | None]:
        """Yields the ancestors that a roll-up can find; None if it may find none.

        Args:
            scores: The scores of the classes.
            levels: The levels to try, in order.
            threshold: The value that sums must exceed.
            top: A class whose score is the threshold; sums that contain it always exceed it.
        """
        for level in levels:
            sums = self._sums(scores, level)
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

    def _sums(self, scores: Scores, level: str) -> Mapping[str, Interval]:
        """The summed scores of each ancestor at a level that occurs at the place."""
        return {
            ancestor: total
            for ancestor, total in scores.sums(level).items()
            if not self.rules.exclude(ancestor, self.country, self.region)
        }

    def _restricted(self, one: _Candidate, scores: Scores) -> _Candidate:
        """A candidate after the species list; the score of a group may be a sum."""
        low, high = (
            self.rules.restrict(
                (one.label, score, one.source),
                list(scores.intervals),
                values,
                self.country,
                self.region,
            )
            for score, values in zip(one.score, scores.ends, strict=True)
        )
        if low[2] == one.source:
            return one
        return _Candidate(low[0], low[2], scores.widened(Interval(low[1], high[1])))

    def _after_thresholds(self, one: _Candidate) -> Answers:
        """The answers that a candidate can become after the thresholds of species."""
        if self.rules.enforce_thresholds is None:
            return {(one.label, one.source)}
        # Log odds are cut off at both ends, but thresholds are not.
        ends = opened(one.score) if one.score.low != one.score.high else one.score
        answers = [self.rules.enforce_thresholds((one.label, score, one.source)) for score in ends]
        return {(label, source) for label, _, source in answers}
