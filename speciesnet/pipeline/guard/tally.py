"""Counts of how the images of a run were decided."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from speciesnet.files.input_notes import counted, plural


@dataclass
class Tally:
    """Counts of how the images of a run were decided.

    Attributes:
        images: All images.
        detected_again: Images that went through both networks in float32.
        classified_again: Images that went through the classifier in float32.
        audited: Randomly chosen images that did so.
        differed: Audited images whose answers changed.
        reached: Finished images that a wider band made doubtful.
    """

    images: int = 0
    detected_again: int = 0
    classified_again: int = 0
    audited: int = 0
    differed: int = 0
    reached: int = 0

    def summary(self, precisions: Iterable[str]) -> str:
        """Sentences on how many images were processed in each precision.

        Args:
            precisions: The precisions of the fast networks.
        """
        slowly = self.detected_again + self.classified_again
        names = " and ".join(dict.fromkeys(precisions))
        reached = (
            f" The answers for {counted(self.reached, 'image')} were then replaced by those of float32, "
            "because the errors turned out to be larger than in the trial."
        )
        return (
            f"{self.images - slowly} of {counted(self.images, 'image')} "
            f"{plural(self.images - slowly, 'was', 'were')} processed in {names} and {slowly} in "
            f"float32, of which {self.classified_again} needed only the classifier. "
            f"{counted(self.audited, 'image')} {plural(self.audited, 'was', 'were')} audited; "
            f"{self.differed} differed.{reached if self.reached else ''}"
        )
