"""The margins of images, and the band in which an image is doubtful."""

from __future__ import annotations

from speciesnet.pipeline import Photo
from speciesnet.pipeline.guard.bands import Evidence
from speciesnet.pipeline.guard.passes import Passes
from speciesnet.pipeline.guard.stability import (
    certain_rivals,
    is_detection_stable,
    lowest_confidence,
)

REACH = 2.0  # bands: how far the margins of finished images are known


def is_stable(
    photo: Photo, passes: Passes, evidence: Evidence, band: float, *, crop: bool = False
) -> bool:
    """Whether an image keeps its answers in a band.

    Args:
        photo: The image after the fast networks.
        passes: The stages that it went through, and the rules for its answers.
        evidence: The units of the band.
        band: The width of the band, in units.
        crop: Whether the float32 classifier was used on the fast detector's boxes.
    """
    detector = band * evidence.detector if passes.has_detector else 0.0
    if not passes.has_classifier:
        return is_detection_stable(photo, detector, passes.decisions.boxes)
    classifier = band * (evidence.crop if crop else evidence.classifier)
    return passes.decisions.is_stable(photo, detector, classifier)


def margin_of(photo: Photo, passes: Passes, evidence: Evidence, low: float = 0.0) -> float:
    """The widest band in which an image keeps its answers, in units, to within a tenth.

    Args:
        photo: The image after the fast networks.
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
        evidence: The same.
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

    def widen(self) -> bool:
        """Widens the band if the evidence requires it.

        Returns:
            Whether it was narrower before.
        """
        before, self.width = self.width, max(self.width, self.evidence.band())
        return self.width > before

    def extend_reach(self) -> None:
        """Extends the reach to that of a new band of this width."""
        self.reach = max(self.reach, REACH * self.width)

    @property
    def faintest(self) -> float:
        """The lowest confidence of a box that could be an image's best one within reach."""
        return lowest_confidence(self.reach * self.evidence.detector)

    def rivals(self, photo: Photo) -> list[int]:
        """The boxes that could be an image's best one instead; see ``certain_rivals``."""
        return certain_rivals(photo, self.width * self.evidence.detector)

    def is_certain(self, photo: Photo, *, crop: bool = False) -> bool:
        """Whether an image keeps its answers; see ``is_stable``."""
        return is_stable(photo, self._passes, self.evidence, self.width, crop=crop)

    def is_box_certain(self, photo: Photo) -> bool:
        """Whether the float32 classifier alone could determine an image's answers."""
        detector = self.width * self.evidence.detector
        return self._passes.decisions.is_stable(photo, detector, 0.0)

    def margin_of(self, photo: Photo) -> float:
        """The margin of an image; see ``margin_of``."""
        return margin_of(photo, self._passes, self.evidence)

    def margin_within_reach(self, photo: Photo) -> float:
        """The margin of a certain image, but at most ``reach``."""
        if is_stable(photo, self._passes, self.evidence, self.reach):
            return self.reach
        return min(margin_of(photo, self._passes, self.evidence, self.width), self.reach)

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
