"""Whether a film would keep its answers if the numbers of its frames were slightly different.

The answer for a film is that of its frames as a sequence; see ``sequence_answer``. Three things
determine it: which frames count, because blank ones do not; the means of the scores over the frames
that count; and the most confident of their best boxes.

If the log odds of a score move by at most d in each frame, so do those of its mean. Scores below
``COUNTING``, whose errors are not measured, can have any value from 0 to that limit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from speciesnet.constants import SCORE_THRESHOLD, TOP_CLASSES, Classification
from speciesnet.ensemble.geofence import Rules
from speciesnet.ensemble.sequences import mean_classes
from speciesnet.pipeline import Photo
from speciesnet.pipeline.guard.answers import (
    COUNTING,
    At,
    Interval,
    around,
    kind_of,
    moved,
    opened,
)
from speciesnet.pipeline.guard.stability import (
    Candidate,
    Decisions,
    Place,
    is_detection_stable,
    limits,
    selects_the_same,
)
from speciesnet.records import Box, Classifications, top_classes
from speciesnet.records.boxes import BoxSelection

MOST_CLASSES = 20  # per frame that are considered one by one; the others are combined

Frame = list[Candidate]  # what could be the best box of a frame, and its classes


def is_film_stable(
    frames: Sequence[Photo], decisions: Decisions, detector: float, classifier: float
) -> bool:
    """Whether a film, and each box with its own answer, keeps its answers within the bands.

    Args:
        frames: Its frames, which have passed both networks.
        decisions: The rules that determine its answers.
        detector: How far confidences can differ from those in float32, in log odds.
        classifier: How far scores of classes and their sums can differ.
    """
    if (not detector and not classifier) or any(frame.error is not None for frame in frames):
        return True  # nothing is unknown, or it cannot be read
    known: list[Frame] = []
    for frame in frames:
        detections = frame.detections or ()
        if decisions.boxes and not selects_the_same(detections, decisions.boxes, detector):
            return False
        candidates = decisions.candidates(frame, detector)
        if not candidates or not decisions.are_boxes_stable(frame, detector, classifier):
            return False
        known.append(candidates)
    is_alone = frames[0].detections is None  # then any box may turn out to be the best one
    return all(
        (_is_stable_with_any_box if is_alone else _is_stable_with_its_boxes)(
            known, decisions, place, detector, classifier
        )
        for place in decisions.places_of(frames[0])
    )


def _is_stable_with_its_boxes(
    frames: Sequence[Frame], decisions: Decisions, place: Place, detector: float, classifier: float
) -> bool:
    counted, perhaps = _counted(frames, decisions, place, detector, classifier)
    if not counted:
        return False
    rules = decisions.rules_at(place[0])
    scores = FilmScores(rules, _classes(counted), _classes(perhaps), classifier)
    boxes, at = _best_boxes(counted, perhaps, detector), At(rules, *place)
    found = [at.answers(label, confidence, scores) for label, confidence in boxes.items()]
    return scores.has_top and len(set().union(*found)) == 1


def _is_stable_with_any_box(
    frames: Sequence[Frame], decisions: Decisions, place: Place, detector: float, classifier: float
) -> bool:
    counted, perhaps = _counted(frames, decisions, place, detector, classifier)
    if perhaps or not counted:
        return False
    rules = decisions.rules_at(place[0])
    scores, at = FilmScores(rules, _classes(counted), [], classifier), At(rules, *place)
    kinds = [kind_of(box, detector) for box, _ in counted[0]]
    return scores.has_top and all(len(at.answers(*kind, scores)) == 1 for kind in kinds)


def _counted(
    frames: Sequence[Frame], decisions: Decisions, place: Place, detector: float, classifier: float
) -> tuple[list[Frame], list[Frame]]:
    """The frames that certainly count, and those that may; if none certainly counts, all may be blank."""
    of_frames = decisions.before_thresholds()
    groups: dict[frozenset[bool], list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[_are_blank(frame, of_frames, place, detector, classifier)].append(frame)
    blank, other, unknown = (groups[frozenset(kinds)] for kinds in ([True], [False], [True, False]))
    if other:
        return other, unknown
    return ([], unknown) if unknown else (blank, [])


def _are_blank(
    frame: Frame, decisions: Decisions, place: Place, detector: float, classifier: float
) -> frozenset[bool]:
    """Whether a frame is blank; both values if that is not certain."""
    blank = Classification.BLANK.value
    if not any(blank in classes["classes"][:TOP_CLASSES] for _, classes in frame):
        return frozenset([False])
    found = (decisions.answers(place, pair, detector, classifier) for pair in frame)
    return frozenset(label == blank for answers in found for label, _ in answers)


def _classes(frames: Iterable[Frame]) -> list[list[Classifications]]:
    """The different classes of the candidates of each frame."""
    return [list({id(classes): classes for _, classes in frame}.values()) for frame in frames]


def _best_boxes(
    counted: Sequence[Frame], perhaps: Sequence[Frame], band: float
) -> Mapping[str, Interval]:
    """The labels that the most confident box can have, each with the range of its confidence.

    Args:
        counted: The frames that count.
        perhaps: Frames that may count.
        band: The band of the detector.
    """
    lowest = max(_lowest_confidence(frame, band) for frame in counted)
    found: dict[str, Interval] = {}
    for frame in (*counted, *perhaps):
        for box, _ in frame:
            label, (low, high) = kind_of(box, band)
            if high >= lowest:
                one = found.get(label, Interval(1.0, 0.0))
                found[label] = Interval(min(one.low, max(low, lowest)), max(one.high, high))
    return found


def _lowest_confidence(frame: Frame, band: float) -> float:
    """The lowest confidence that the best box of a frame can have; 0 if there may be no box."""
    confidences = [kind_of(box, band)[1].low for box, _ in frame]
    lowest = max(confidences)
    return lowest if min(confidences) > 0 and lowest > SCORE_THRESHOLD else 0.0


@dataclass(frozen=True)
class _Bounds:
    """The ranges of some numbers of a frame.

    Attributes:
        known: The ranges by name.
        others: The highest value of any other number.
    """

    known: Mapping[str, Interval]
    others: float

    def at(self, name: str) -> Interval:
        """The range of a number."""
        return self.known.get(name) or Interval(0.0, self.others)

    @classmethod
    def of_any(cls, bounds: Sequence[_Bounds]) -> _Bounds:
        """The combined ranges of several results, any of which may be right."""
        if len(bounds) == 1:
            return bounds[0]
        found = {}
        for name in {name for one in bounds for name in one.known}:
            lows, highs = zip(*(one.at(name) for one in bounds), strict=True)
            found[name] = Interval(min(lows), max(highs))
        return cls(found, max(one.others for one in bounds))


def _means(counted: Sequence[_Bounds], perhaps: Sequence[_Bounds]) -> _Bounds:
    """The ranges of the means over the frames that count, whichever of the others do as well."""
    size, others = len(counted), sum(one.others for one in counted)
    lows: dict[str, float] = defaultdict(float)
    highs: dict[str, float] = defaultdict(lambda: others)
    for one in counted:
        for name, (low, high) in one.known.items():
            lows[name] += low
            highs[name] += high - one.others
    found = {}
    for name in {*highs, *(name for one in perhaps for name in one.known)}:
        more = [one.at(name) for one in perhaps]
        low = _least_mean(lows[name], size, [low for low, _ in more])
        high = -_least_mean(-highs[name], size, [-high for _, high in more])
        found[name] = Interval(low, min(high, 1.0))
    return _Bounds(found, -_least_mean(-others, size, [-one.others for one in perhaps]))


def _least_mean(total: float, count: int, perhaps: Iterable[float]) -> float:
    """The lowest mean of some numbers, of which the sum is known, and any of ``perhaps``."""
    for value in sorted(perhaps):
        if value * count >= total:
            break
        total, count = total + value, count + 1
    return total / count


class _Listed:
    """The classes of one frame, whose log odds are known to within a band.

    Args:
        classifications: The classes.
        band: The band.

    Attributes:
        scores: The scores by label.
        others: The highest score that a class that is not listed may have.
        firm: The scores of the classes that float32 lists as well.
        bounds: The ranges of the scores.
    """

    def __init__(self, classifications: Classifications, band: float) -> None:
        best = top_classes(classifications, MOST_CLASSES)
        self.scores = dict(zip(best["classes"], best["scores"], strict=True))
        rest = classifications["scores"][MOST_CLASSES:]
        if not rest and len(self.scores) >= TOP_CLASSES:  # those that are not listed have less
            rest = best["scores"][-1:]
        self._band = band
        last = moved(max(rest), band) if rest else 0.0
        self.others = max(last, COUNTING) if rest else 0.0
        self.firm = {
            label: score for label, score in self.scores.items() if moved(score, -band) > last
        }
        self._more = moved(min(sum(rest), 1.0), band) if rest else 0.0
        self.bounds = _Bounds(
            {label: self._around(self.firm.get(label, 0.0), s) for label, s in self.scores.items()},
            self.others,
        )

    def _around(self, firm: float, total: float, more: float = 0.0) -> Interval:
        """The range of a sum, of which only a part may be certain, and to which more may be added."""
        low = opened(around(min(firm, 1.0), self._band)).low if firm >= COUNTING else 0.0
        high = opened(around(min(total, 1.0), self._band)).high + more
        return Interval(low, max(high, COUNTING))

    def sums(self, ancestors: Mapping[str, str | None], certain: Iterable[str]) -> _Bounds:
        """The ranges of the sums by ancestor.

        Args:
            ancestors: The ancestors of the classes.
            certain: The classes that are certainly among the best of the film.
        """
        totals: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
        for label, score in self.scores.items():
            if (ancestor := ancestors[label]) is not None:
                low, high = totals[ancestor]
                firm = self.firm.get(label, 0.0) if label in certain else 0.0
                totals[ancestor] = low + firm, high + score
        found = {name: self._around(*pair, self._more) for name, pair in totals.items()}
        return _Bounds(found, max(self.others, self._more))


class FilmScores:
    """The mean scores of a film's classes within a band; see ``Scores``.

    Args:
        rules: The taxonomy.
        counted: For each frame that counts, the classes of whatever could be its best box.
        perhaps: The same for frames that may count.
        band: The band of the classifier, in log odds; more than 0.
    """

    def __init__(
        self,
        rules: Rules,
        counted: Sequence[Sequence[Classifications]],
        perhaps: Sequence[Sequence[Classifications]],
        band: float,
    ) -> None:
        self._rules = rules
        self._frames, self._perhaps = (
            [[_Listed(one, band) for one in frame] for frame in frames]
            for frames in (counted, perhaps)
        )
        self._classes = self._mean([one.bounds for one in frame] for frame in self._all)
        self._sums: dict[str, Mapping[str, Interval]] = {}

    @property
    def _all(self) -> list[list[_Listed]]:
        return [*self._frames, *self._perhaps]

    def _mean(self, bounds: Iterable[Sequence[_Bounds]]) -> _Bounds:
        frames = [_Bounds.of_any(one) for one in bounds]
        return _means(frames[: len(self._frames)], frames[len(self._frames) :])

    @property
    def intervals(self) -> Mapping[str, Interval]:
        """The mean scores of the classes, by label."""
        return self._classes.known

    @property
    def has_top(self) -> bool:
        """Whether the best class is certainly one that is listed in a frame."""
        return max(low for low, _ in self.intervals.values()) > self._classes.others

    @cached_property
    def _certain(self) -> frozenset[str]:
        """The classes that are certainly among the best, from which sums are made."""
        highs = sorted((high for _, high in self.intervals.values()), reverse=True)
        rival = highs[TOP_CLASSES] if len(highs) > TOP_CLASSES else 0.0
        limit = max(rival, self._classes.others)
        return frozenset(
            label for label, (low, _) in self.intervals.items() if low > limit or not limit
        )

    @property
    def ends(self) -> tuple[Sequence[float], Sequence[float]]:
        """The scores from which the lowest and the highest sum of a group follow."""
        pairs = self.intervals.items()
        lows = [low if label in self._certain else 0.0 for label, (low, _) in pairs]
        return lows, [high for _, (_, high) in pairs]

    def sums(self, level: str) -> Mapping[str, Interval]:
        """The summed scores of each ancestor at a level."""
        if level not in self._sums:
            ancestors = {label: self._rules.ancestor(label, level) for label in self.intervals}
            bounds = ([x.sums(ancestors, self._certain) for x in frame] for frame in self._all)
            self._sums[level] = self._mean(bounds).known
        return self._sums[level]

    def widened(self, group: Interval) -> Interval:
        """The score of a group in a species list; ``ends`` contain all errors."""
        return group


def film_decision(frames: Sequence[Photo], decisions: Decisions) -> Hashable:
    """The answers for a film and its boxes from its current numbers, without their scores."""
    best = _most_confident(frames)
    if any(frame.classifications is None for frame in frames):
        side = best and (best["label"], [best["conf"] > limit for limit in limits()].count(True))
        return side, *(decisions.decision_of(frame) for frame in frames)
    of_frames, found = decisions.before_thresholds(), []
    for place in decisions.places_of(frames[0]):
        counted = [f for f in frames if not _is_blank(f, of_frames, place)] or frames
        labels, scores = mean_classes([f.classifications for f in counted if f.classifications])
        mean: Classifications = {"classes": labels, "scores": scores}
        answers = decisions.answers(place, (_most_confident(counted), mean))
        boxes = [answer for frame in frames for answer in decisions.box_answers(place, frame)]
        found.append((frozenset(answers), *sorted(boxes)))
    return tuple(found)


def _is_blank(frame: Photo, decisions: Decisions, place: Place) -> bool:
    assert frame.classifications is not None
    answers = decisions.answers(place, (_most_confident([frame]), frame.classifications))
    return any(label == Classification.BLANK for label, _ in answers)


def _most_confident(frames: Sequence[Photo]) -> Box | None:
    """The most confident of the best boxes of frames."""
    boxes = [frame.detections[0] for frame in frames if frame.detections]
    return max(boxes, key=lambda box: box["conf"], default=None)


def is_film_detection_stable(
    frames: Sequence[Photo], band: float, boxes: BoxSelection | None = None
) -> bool:
    """Whether the best box of each frame, and of any group of frames, is certain.

    Args:
        frames: The frames, which have passed only the detector.
        band: The band of the detector.
        boxes: The boxes that get their own answers.
    """
    if not all(is_detection_stable(frame, band, boxes) for frame in frames):
        return False
    best = [_most_confident([frame]) for frame in frames]
    ranked = sorted((around(float(box["conf"]), band), box["label"]) for box in best if box)
    # The highest of each kind so far; below all thresholds, the kind does not matter.
    highest: dict[str, float] = {}
    for (low, high), label in ranked:
        if any(high_of >= low for kind, high_of in highest.items() if kind != label):
            return False
        if high > limits()[0]:
            highest[label] = max(high, highest.get(label, 0.0))
    return True
