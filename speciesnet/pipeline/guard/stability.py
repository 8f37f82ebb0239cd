"""Whether an image would keep its answers if the numbers behind them were slightly different."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from speciesnet.constants import SCORE_THRESHOLD, Detection
from speciesnet.ensemble import DECISION_TABLE
from speciesnet.ensemble.geofence import Rules
from speciesnet.pipeline import WHOLE, Photo
from speciesnet.pipeline.guard.answers import Answers, At, PhotoScores, around, kind_of, moved
from speciesnet.records import Box, Classifications
from speciesnet.records.boxes import BoxSelection

# Boxes, possibly with the whole image, that are classified to see whether it matters which is best.
MAX_RIVALS = 4

Place = tuple[str | None, str | None]  # country and region
Candidate = tuple[Box | None, Classifications]  # what could be the best box, and its classes


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
        places_of: Where an image was taken: several places if it was passed several times.
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
            return self._is_stable_anyway(photo, classifier)
        if self.boxes and not selects_the_same(photo.detections, self.boxes, detector):
            return False
        pairs = self.candidates(photo, detector)
        if pairs is None:
            return False
        for place in self.places_of(photo):
            found = [self.answers(place, pair, detector, classifier) for pair in pairs]
            if len(set().union(*found)) != 1:
                return False
        return self.are_boxes_stable(photo, detector, classifier)

    def are_boxes_stable(self, photo: Photo, detector: float, classifier: float) -> bool:
        """Whether each box with its own answer keeps it; see ``is_stable``."""
        return all(
            len(self.answers(place, pair, detector, classifier)) == 1
            for place in self.places_of(photo)
            for pair in _boxes_of(photo)
        )

    def candidates(self, photo: Photo, detector: float) -> list[Candidate] | None:
        """The boxes that could be the best one in float32; None if the classes of any are unknown.

        Without detections, that is any box that a detector may find.
        """
        if photo.detections is None:
            found = [(box, photo.classifications) for box in _any_boxes()]
        else:
            positions = rivals(photo, detector)
            found = [(box_at(photo, i), self.classes_at(photo, i)) for i in positions]
        known = [(box, classes) for box, classes in found if classes and _are_numbers(classes)]
        return known if len(known) == len(found) else None

    def answers(
        self, place: Place, pair: Candidate, detector: float = 0.0, classifier: float = 0.0
    ) -> Answers:
        """Every answer that is possible at a place if a given box is the best one."""
        (box, classifications), (country, _) = pair, place
        rules = self.rules_at(country)
        scores = PhotoScores(rules, classifications, classifier)
        return At(rules, *place).answers(*kind_of(box, detector), scores)

    def _is_stable_anyway(self, photo: Photo, classifier: float) -> bool:
        """Whether the classes lead to the same answer with any box that a detector may find."""
        pairs = self.candidates(photo, 0.0)
        return pairs is not None and all(
            len(self.answers(place, pair, 0.0, classifier)) == 1
            for place in self.places_of(photo)
            for pair in pairs
        )

    def decision_of(self, photo: Photo) -> Hashable:
        """The answers for an image and its boxes from its current numbers, without their scores."""
        detections = photo.detections or ()
        best = detections[0] if detections else None
        if photo.classifications is None:
            return best and (
                best["label"],
                [best["conf"] > limit for limit in limits()].count(True),
            )
        found = []
        for place in self.places_of(photo):
            answers = self.answers(place, (best, photo.classifications))
            found.append((frozenset(answers), *sorted(self.box_answers(place, photo))))
        return tuple(found)

    def box_answers(self, place: Place, photo: Photo) -> list[tuple[str, str]]:
        """The answers for the boxes that have their own, from their current numbers."""
        return [answer for pair in _boxes_of(photo) for answer in self.answers(place, pair)]

    def before_thresholds(self) -> Decisions:
        """The same rules without the thresholds of species, as for the frames of a film."""

        def rules_at(country: str | None) -> Rules:
            return replace(self.rules_at(country), enforce_thresholds=None)

        return replace(self, rules_at=rules_at)

    def classes_at(self, photo: Photo, position: int) -> Classifications | None:
        """The classifier's result for a rival; None if the rival was not classified."""
        if not self.crops or position == (0 if photo.detections else WHOLE):
            return photo.classifications
        return photo.rivals.get(position, photo.box_classifications.get(position))


def is_detection_stable(photo: Photo, band: float, boxes: BoxSelection | None = None) -> bool:
    """Whether it is certain which box is an image's best one, and on which side of each threshold it is.

    Args:
        photo: An image that has passed only the detector.
        band: The band of the detector.
        boxes: The boxes that get their own answers.
    """
    if photo.detections is None:
        return True
    if boxes is not None and not selects_the_same(photo.detections, boxes, band):
        return False
    found = rivals(photo, band)
    if len(found) != 1:
        return False
    box = box_at(photo, found[0])
    confidence = around(float(box["conf"]) if box else 0.0, band)
    return not any(confidence.low <= limit <= confidence.high for limit in limits())


def limits() -> list[float]:
    """The confidence thresholds in the decision table."""
    bounds = [b for rule in DECISION_TABLE for b in (rule.detection_above, rule.detection_below)]
    return sorted({bound for bound in bounds if bound is not None})


def box_at(photo: Photo, position: int) -> Box | None:
    """The box at a position; None for the whole image."""
    boxes = [*(photo.detections or ()), *photo.faint]
    return None if position == WHOLE else boxes[position]


def _boxes_of(photo: Photo) -> list[Candidate]:
    """The boxes that have their own answers, with their classes."""
    detections = photo.detections or ()
    return [(detections[i], classes) for i, classes in photo.box_classifications.items()]


def _any_boxes() -> list[Box]:
    """A box of each kind on each side of each threshold."""
    confidences = [(low + high) / 2 for low, high in pairwise([0.0, *limits(), 1.0])]
    return [
        {"category": kind.category, "label": kind.value, "conf": confidence, "bbox": ()}
        for kind in Detection
        for confidence in confidences
    ]


def _are_numbers(classifications: Classifications) -> bool:
    return bool(classifications["scores"]) and not any(map(math.isnan, classifications["scores"]))


def selects_the_same(detections: Sequence[Box], boxes: BoxSelection, band: float) -> bool:
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
