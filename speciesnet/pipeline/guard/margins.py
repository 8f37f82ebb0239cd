"""The margins of images, and the band in which an image is doubtful."""

from __future__ import annotations

import math
from collections.abc import Sequence

from speciesnet.pipeline import Photo
from speciesnet.pipeline.guard.bands import Evidence
from speciesnet.pipeline.guard.films import is_film_detection_stable, is_film_stable
from speciesnet.pipeline.guard.passes import Passes
from speciesnet.pipeline.guard.stability import (
    certain_rivals,
    is_detection_stable,
    lowest_confidence,
    rivals,
)

REACH = 2.0  # bands: how far the margins of finished images are known
# The band of a film is wider, because each of its frames can have a large error. With this share, it is
# wide enough in trials of up to 130 images, whatever their errors; with more images, it is measured.
TAIL_SHARE = 0.25  # share of the band by which an error must grow to become rarer by a factor of e
MOST_FRAMES = 10_000  # of the longest film that can be processed in a lower precision

Subject = Photo | Sequence[Photo]  # an image, or the frames of a film


def is_stable(
    photo: Subject, passes: Passes, evidence: Evidence, band: float, *, crop: bool = False
) -> bool:
    """Whether an image or a film keeps its answers in a band.

    Args:
        photo: The image, or the frames of the film, after the fast networks.
        passes: The stages that it went through, and the rules for its answers.
        evidence: The units of the band.
        band: The width of the band, in units.
        crop: Whether the float32 classifier was used on the fast detector's boxes.
    """
    detector = band * evidence.detector if passes.has_detector else 0.0
    if not passes.has_classifier:
        if isinstance(photo, Photo):
            return is_detection_stable(photo, detector, passes.decisions.boxes)
        return is_film_detection_stable(photo, detector, passes.decisions.boxes)
    classifier = band * (evidence.crop if crop else evidence.classifier)
    if isinstance(photo, Photo):
        return passes.decisions.is_stable(photo, detector, classifier)
    return is_film_stable(photo, passes.decisions, detector, classifier)


def margin_of(photo: Subject, passes: Passes, evidence: Evidence, low: float = 0.0) -> float:
    """The widest band in which an image or a film keeps its answers, in units, to within a tenth.

    Args:
        photo: The image, or the frames of the film, after the fast networks.
        passes: The stages that it went through, and the rules for its answers.
        evidence: The units of the band.
        low: A band in which it is known to keep them.
    """
    high = max(low, 1 / 16)
    while is_stable(photo, passes, evidence, high):
        low, high = high, 2 * high
        if high > 2**12:
            return high
    while high > 1.1 * max(low, 1 / 32):
        middle = (low + high) / 2
        is_within = is_stable(photo, passes, evidence, middle)
        low, high = (middle, high) if is_within else (low, middle)
    return low


class Band:
    """The band in which images are doubtful. It becomes wider as evidence is added.

    Args:
        passes: How images go through networks.
        evidence: The errors of the fast networks; without evidence, the width is 0.
        width: The width that the band had in an earlier run, in units of the evidence.
        reach: The reach that it had; 0 if there was no such run.

    Attributes:
        evidence: See above.
        width: The margin up to which images are processed in float32, in units of the evidence.
        reach: The margin up to which the margins of finished images are computed.
    """

    def __init__(
        self,
        passes: Passes,
        evidence: Evidence | None = None,
        width: float = 0.0,
        reach: float = 0.0,
    ) -> None:
        self._passes = passes
        self.evidence = Evidence() if evidence is None else evidence
        self.width = 0.0 if evidence is None else max(evidence.band(), width)
        self.reach = reach or REACH * self.width
        self._tail_share = self._measured_tail_share()

    def _measured_tail_share(self) -> float:
        return max(TAIL_SHARE, self.evidence.tail / self.width) if self.width else TAIL_SHARE

    def widen(self) -> bool:
        """Widens the band if the evidence requires it.

        Returns:
            Whether it has become wider.
        """
        before, self.width = self.width, max(self.width, self.evidence.band())
        self._tail_share = self._measured_tail_share()
        return self.width > before

    def extend_reach(self) -> None:
        """Extends the reach to that of a new band of this width."""
        self.reach = max(self.reach, REACH * self.width)

    def _scale(self, frames: int) -> float:
        """How much wider the band of a film is than that of an image.

        With n frames, the chance that any of them has an error beyond the band is n times that of an
        image, at most. As errors have an exponential tail, a wider band makes up for that.
        """
        return 1 + self._tail_share * math.log(max(frames, 1))

    def _scale_of(self, photo: Subject) -> float:
        return 1.0 if isinstance(photo, Photo) else self._scale(len(photo))

    def _expected_scale(self, frame: Photo) -> float:
        """The scale of a film before all of its frames have been seen."""
        return self._scale(min(self._most_frames(frame), MOST_FRAMES))

    def _most_frames(self, frame: Photo) -> int:
        """The maximum number of frames that are examined in a film."""
        assert frame.frame is not None and self._passes.films is not None
        return self._passes.films.most_frames(frame.frame.film.duration)

    @property
    def faintest(self) -> float:
        """The lowest confidence of a box that could be an image's best one within reach."""
        return lowest_confidence(self.reach * self.evidence.detector)

    @property
    def faintest_in_films(self) -> float:
        """The same for any frame of a film."""
        return lowest_confidence(self.reach * self._scale(MOST_FRAMES) * self.evidence.detector)

    def rivals(self, photo: Photo) -> list[int]:
        """The boxes that could be an image's best one instead; see ``certain_rivals``."""
        scale = 1.0 if photo.frame is None else self._expected_scale(photo)
        return certain_rivals(photo, self.width * scale * self.evidence.detector)

    def forget_needless_boxes(self, frame: Photo) -> None:
        """Removes the faint boxes of a frame that cannot be its best one within reach.

        A frame can have hundreds, and a film thousands of frames.
        """
        band = self.reach * self._expected_scale(frame) * self.evidence.detector
        last = max(rivals(frame, band), default=-1)
        frame.faint = frame.faint[: max(last + 1 - len(frame.detections or ()), 0)]

    def is_certain(self, photo: Subject, *, crop: bool = False) -> bool:
        """Whether an image or a film keeps its answers; see ``is_stable``."""
        if not isinstance(photo, Photo) and not self._is_expected(photo):
            return False
        return self._is_stable(photo, self.width, crop=crop)

    def _is_expected(self, frames: Sequence[Photo]) -> bool:
        """Whether all boxes that could be the best one of their frame have been examined."""
        most = min(self._most_frames(frames[0]), MOST_FRAMES)
        return len(frames) <= most or not self._passes.has_detector

    def _is_stable(self, photo: Subject, band: float, *, crop: bool = False) -> bool:
        band *= self._scale_of(photo)
        return is_stable(photo, self._passes, self.evidence, band, crop=crop)

    def is_box_certain(self, photo: Photo) -> bool:
        """Whether the float32 classifier alone could determine an image's answers."""
        detector = self.width * self.evidence.detector
        return self._passes.decisions.is_stable(photo, detector, 0.0)

    def margin_of(self, photo: Subject) -> float:
        """The margin of an image or a film; a film's is scaled to be comparable to those of images."""
        return margin_of(photo, self._passes, self.evidence) / self._scale_of(photo)

    def margin_within_reach(self, photo: Subject) -> float:
        """The margin of a certain image or film, but at most ``reach``."""
        if self._is_stable(photo, self.reach):
            return self.reach
        scale = self._scale_of(photo)
        margin = margin_of(photo, self._passes, self.evidence, self.width * scale)
        return min(margin / scale, self.reach)

    @property
    def doubtful_share(self) -> float:
        """The share of images within the band."""
        margins = self.evidence.margins
        return sum(margin <= self.width for margin in margins) / max(len(margins), 1)

    def as_dict(self) -> dict[str, object]:
        """The band in log odds, and what it is based on, for the settings of a run."""
        evidence = self.evidence
        return {
            "band": {
                "detector": self.width * evidence.detector,
                "classifier": self.width * evidence.classifier,
                "crop": self.width * evidence.crop,
            },
            "images_measured": len(evidence.errors),
            "expected_wrong": evidence.expected_wrong(self.width),
        }
