"""Counts of how the images of a run were processed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

from speciesnet.files.input_notes import counted, plural


@dataclass
class Tally:
    """Counts of how the images of one pair of fast networks were processed.

    Attributes:
        images: All images.
        detected_again: Images that went through both networks in float32.
        classified_again: Images that went through the classifier in float32.
        audited: Randomly chosen images that did so.
        differed: Audited images whose answers changed.
    """

    images: int = 0
    detected_again: int = 0
    classified_again: int = 0
    audited: int = 0
    differed: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    @property
    def kept(self) -> int:
        """The images that went through the fast networks only."""
        return self.images - self.detected_again - self.classified_again


def summary(
    phases: Sequence[tuple[Iterable[str], Tally]], in_float32: int = 0, replaced: int = 0
) -> str:
    """Sentences on how many images of a run were processed in each precision.

    Args:
        phases: The precisions of each pair of fast networks, and how its images were processed.
        in_float32: Images that went through the networks in float32 only.
        replaced: Finished images that a wider band made doubtful.

    Examples:
        >>> found = summary([(["bf16"], Tally(9, 2)), (["int8"], Tally(20, 1, 4))], in_float32=1)
        >>> found.split(", of which")[0]
        '7 of 30 images were processed in bf16, 15 in int8 and 8 in float32'
    """
    tallies = [tally for _, tally in phases]
    images = sum(tally.images for tally in tallies) + in_float32
    shares = [(" and ".join(dict.fromkeys(names)), tally.kept) for names, tally in phases]
    shares.append(("float32", images - sum(count for _, count in shares)))
    (name, count), *others = shares
    first = (
        f"{count} of {counted(images, 'image')} {plural(count, 'was', 'were')} processed in {name}"
    )
    *listed, last = [first, *(f"{count} in {name}" for name, count in others)]
    text = f"{', '.join(listed)} and {last}" if listed else last
    classified_again = sum(tally.classified_again for tally in tallies)
    audited = sum(tally.audited for tally in tallies)
    differed = sum(tally.differed for tally in tallies)
    again = (
        f" The answers for {counted(replaced, 'image')} were then replaced by those of float32, "
        "because the errors turned out to be larger than in the trial."
    )
    return (
        f"{text}, of which {classified_again} needed only the classifier. "
        f"{counted(audited, 'image')} {plural(audited, 'was', 'were')} audited; {differed} "
        f"differed.{again if replaced else ''}"
    )
