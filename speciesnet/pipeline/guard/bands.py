"""The errors of networks in a lower precision, and how close to a threshold images are doubtful.

The errors are measured on images of the run that also went through the float32 networks. Three
numbers describe an image: how far the confidence of its best box moved, how far the scores of its
classes moved, and how far the float32 network's scores move if only the box comes from the fast
detector. Each is divided by its *unit*, the mean of its largest quarter; the largest of the three
is the error of the image. In the same units, the *margin* of an image is the smallest error that
could change its answer.

An answer is wrong if an error exceeds a margin that exceeds the band. ``Evidence.band`` is the
smallest band at which this is expected for fewer than ``WRONG_SHARE`` of all images.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from speciesnet.constants import SCORE_THRESHOLD
from speciesnet.ensemble.geofence import Rules
from speciesnet.ensemble.taxonomy import ROLL_UP_LEVELS
from speciesnet.pipeline import WHOLE, Photo
from speciesnet.pipeline.guard.answers import COUNTING, log_odds
from speciesnet.pipeline.guard.stability import Decisions, box_at
from speciesnet.records import Box, Classifications
from speciesnet.records.boxes import intersection_over_union

WRONG_SHARE = 1e-4  # the largest expected share of a run's images
TAIL = 0.25  # share of the errors from which larger, unobserved ones are extrapolated ...
CONFIDENCE = 1.645  # ... at the upper end of a 95% interval, in standard deviations
UNSEEN = 3.0  # images near a limit that a sample may have missed, with the same confidence
SMALLEST_UNIT = 1e-3  # log odds
WIDEST = 4096.0  # units; with this band, every image is processed in float32
SAME_BOX = 0.5  # intersection over union
MAX_KEPT = 4096  # the latest errors and margins


@dataclass(frozen=True)
class Errors:
    """How far an image's numbers differ from those in float32, in log odds; None means not measured.

    Attributes:
        detector: Confidence of the best box.
        classifier: Scores of classes and their sums.
        crop: The same for the float32 network on the fast detector's box.
    """

    detector: float
    classifier: float | None = None
    crop: float | None = None


def errors_of(
    fast: Photo, exact: Photo, decisions: Decisions, reclassified: Photo | None = None
) -> Errors | None:
    """The errors of an image, or None if it cannot be read.

    Args:
        fast: The image after the fast networks.
        exact: The same image after the float32 networks.
        decisions: The rules that determine its answers.
        reclassified: The same image after the fast detector and the float32 classifier, if tried.
    """
    if exact.error is not None or fast.error is not None:
        return None
    if exact.detections is None or fast.detections is None:  # a classifier alone, on whole images
        return Errors(0.0, _largest(_moved_classes(exact, fast, [(WHOLE, WHOLE)], decisions)))
    threshold = decisions.boxes.threshold if decisions.boxes else 2.0
    pairs: list[tuple[int, int | None]] = (
        [(0, _match(exact.detections[0], fast))] if exact.detections else [(WHOLE, WHOLE)]
    )
    for position, box in enumerate(exact.detections[1:], start=1):
        if box["conf"] >= threshold:
            pairs.append((position, _match(box, fast)))
    moves = [_moved_confidence(box_at(exact, i), _box_or_none(fast, j)) for i, j in pairs]
    for box in fast.detections[:1]:
        back = _match(box, exact)
        moves.append(_moved_confidence(_box_or_none(exact, back), box))
    return Errors(
        max(moves),
        _largest(_moved_classes(exact, fast, pairs, decisions)),
        _largest(_moved_classes(exact, reclassified, pairs, decisions)) if reclassified else None,
    )


def _match(box: Box, photo: Photo) -> int | None:
    """The position of the same box in another result."""
    others = [*(photo.detections or ()), *photo.faint]
    found = [
        (intersection_over_union(box["bbox"], other["bbox"]), -position)
        for position, other in enumerate(others)
        if other["category"] == box["category"]
    ]
    best, position = max(found, default=(0.0, 0))
    return -position if best >= SAME_BOX else None


def _box_or_none(photo: Photo, position: int | None) -> Box | None:
    return None if position is None else box_at(photo, position)


def _moved_confidence(one: Box | None, other: Box | None) -> float:
    """How far a confidence moved; a missing box counts as just below the threshold."""
    first, second = (float(box["conf"]) if box else SCORE_THRESHOLD for box in (one, other))
    return abs(log_odds(first) - log_odds(second))


def _moved_classes(
    exact: Photo, other: Photo, pairs: Iterable[tuple[int, int | None]], decisions: Decisions
) -> list[float]:
    found = []
    for position, theirs in pairs:
        one = decisions.classes_at(exact, position)
        two = decisions.classes_at(other, theirs) if theirs is not None else None
        if one and two:
            found.append(moved_scores(one, two, decisions.rules_at(None)))
    return found


def _largest(values: Sequence[float]) -> float | None:
    return max(values, default=None)


def moved_scores(one: Classifications, two: Classifications, rules: Rules) -> float:
    """How far the scores of classes, or the sums of an ancestor's classes, differ, in log odds."""
    sums = [_sums(found, rules) for found in (one, two)]
    least = [min(found["scores"], default=0.0) for found in (one, two)]
    moves = [0.0]
    for key in sums[0].keys() | sums[1].keys():
        is_class = key[0] == ""
        first, second = (
            total.get(key, smallest if is_class else 0.0)
            for total, smallest in zip(sums, least, strict=True)
        )
        if max(first, second) >= COUNTING:
            moves.append(abs(log_odds(first) - log_odds(second)))
    return max(moves)


def _sums(found: Classifications, rules: Rules) -> dict[tuple[str, str], float]:
    """The scores of classes, and their sums by level and ancestor."""
    classes, scores = found["classes"], found["scores"]
    sums = {("", label): score for label, score in zip(classes, scores, strict=True)}
    for level in ROLL_UP_LEVELS:
        for ancestor, total in rules.sums(classes, scores, level).items():
            sums[level, ancestor] = total
    return sums


class _Distribution:
    """Observed errors, with an exponential tail for larger ones.

    Attributes:
        excess: The mean excess over any error in the tail.
    """

    def __init__(self, errors: Sequence[float]) -> None:
        self._ranked = sorted(errors)
        tail = self._ranked[int((1 - TAIL) * len(errors)) :]
        self._start = tail[0] if tail else math.inf
        excess = sum(tail) / len(tail) - self._start if tail else 0.0
        at_least = max(excess, 0.1 * self._start, 1e-9) if tail else 0.0
        self.excess = at_least * (1 + CONFIDENCE / math.sqrt(len(tail) or 1))

    def share_beyond(self, error: float) -> float:
        """The share of images with a larger error."""
        if not self._ranked:
            return 1.0
        if error < self._start:
            return 1 - bisect.bisect_right(self._ranked, error) / len(self._ranked)
        return TAIL * math.exp(-(error - self._start) / self.excess)


def _expected_wrong(band: float, errors: _Distribution, margins: Sequence[float]) -> float:
    outside = sum(errors.share_beyond(margin) for margin in margins if margin > band)
    return (UNSEEN * errors.share_beyond(band) + outside) / max(len(margins), 1)


@dataclass
class Evidence:
    """The measured errors of a model's fast networks on a machine.

    Attributes:
        detector: The unit of the detector's errors, in log odds.
        classifier: The unit of the classifier's errors.
        crop: The unit of the errors that boxes cause.
        errors: Errors of images, in units.
        margins: Margins of images, in units.
        least: The narrowest band that is consistent with the observed disagreements.
    """

    detector: float = SMALLEST_UNIT
    classifier: float = SMALLEST_UNIT
    crop: float = SMALLEST_UNIT
    errors: list[float] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)
    least: float = 0.0

    @classmethod
    def of(cls, found: Sequence[Errors]) -> Evidence:
        """Derives the units from the errors of a trial, and converts these errors."""

        def unit(values: Iterable[float | None]) -> float:
            # Most errors may be zero, as when few boxes move: a median or a quartile would then be far
            # too small for the others, and the largest of the three ratios would mean nothing.
            known = sorted(value for value in values if value is not None)
            tail = known[int((1 - TAIL) * len(known)) :]
            return max(sum(tail) / len(tail), SMALLEST_UNIT) if tail else 0.1

        evidence = cls(
            unit(errors.detector for errors in found),
            unit(errors.classifier for errors in found),
            unit(errors.crop for errors in found),
        )
        evidence.errors = [evidence.in_units(errors) for errors in found]
        return evidence

    def in_units(self, errors: Errors) -> float:
        """The largest error of an image, in units."""
        return max(
            errors.detector / self.detector,
            (errors.classifier or 0.0) / self.classifier,
            (errors.crop or 0.0) / self.crop,
        )

    def add(self, errors: Errors) -> None:
        """Notes the errors of one more image."""
        self.errors.append(self.in_units(errors))
        del self.errors[:-MAX_KEPT]

    def add_margin(self, margin: float) -> None:
        """Notes the margin of one more image, which must be chosen at random."""
        self.margins.append(margin)
        del self.margins[:-MAX_KEPT]

    def disagree(self, margin: float) -> None:
        """Notes that an image got a different answer although its margin was outside the band."""
        self.least = max(self.least, margin * 1.25)

    @property
    def tail(self) -> float:
        """How much an error must grow, in units, to become rarer by a factor of e."""
        return _Distribution(self.errors).excess

    def expected_wrong(self, band: float) -> float:
        """The share of images expected to get a different answer than in float32."""
        return _expected_wrong(band, _Distribution(self.errors), self.margins)

    def band(self) -> float:
        """The margin up to which images are processed in float32, in units."""
        errors = _Distribution(self.errors)
        low, high = 0.0, WIDEST
        if _expected_wrong(high, errors, self.margins) > WRONG_SHARE:
            return high
        while high - low > 1e-3 * high:
            middle = (low + high) / 2
            is_enough = _expected_wrong(middle, errors, self.margins) <= WRONG_SHARE
            low, high = (low, middle) if is_enough else (middle, high)
        return max(high, self.least)
