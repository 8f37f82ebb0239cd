"""An image on its way through the stages, and the inputs cut out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from speciesnet.constants import Flaw
from speciesnet.images.decoding import PreprocessedImage
from speciesnet.images.films import Film
from speciesnet.images.metadata import PhotoMetadata
from speciesnet.records import Box, Classifications

WHOLE = -1  # the image itself, among the positions of its boxes


@dataclass(frozen=True)
class FilmFrame:
    """The place of an image in a film.

    Attributes:
        number: Its number from 0; -1 for a film that cannot be read.
        seconds: Its time after the first frame.
        film: What is known about the film.
        is_last: Whether this is the last frame of the film.
    """

    number: int
    seconds: float
    film: Film
    is_last: bool = False


UNREADABLE = FilmFrame(-1, 0.0, Film(0.0, 0.0), is_last=True)  # in place of the frames of a film


@dataclass
class Photo:
    """An image on its way through the stages.

    Attributes:
        filepath: Path or URL.
        error: Why it cannot be read, or None.
        is_damaged: Whether its content cannot be decoded, so that reading it again does not help.
        flaw: A flaw of an image that was still decoded, or None.
        seconds: How long it took to read it and fit it to the detector's input.
        image: Shape (H, W, 3) at full resolution, while a stage still needs it.
        letterboxed: The detector's input, until it has been used.
        detections: The detector's results, from this run or an earlier one.
        classifications: The classifier's result for the image.
        box_classifications: Its results for individual boxes, by their positions in ``detections``.
        faint: Boxes below the detector's threshold that could be above it in float32; see ``guard``.
        rivals: The classifier's results for boxes that could be the best ones in float32, by their
            positions in ``detections`` and ``faint`` together, or ``WHOLE``.
        metadata: EXIF of the photograph.
        frame: Its place in a film, or None for a photograph.
        mirrored: The EXIF orientation by which past detections were moved; see ``upright_box``.
    """

    filepath: str
    error: str | None = None
    is_damaged: bool = False
    flaw: Flaw | None = None
    seconds: float = 0.0
    image: NDArray[np.uint8] | None = field(default=None, repr=False)
    letterboxed: PreprocessedImage | None = field(default=None, repr=False)
    detections: Sequence[Box] | None = None
    classifications: Classifications | None = None
    box_classifications: dict[int, Classifications] = field(default_factory=dict)
    faint: Sequence[Box] = ()
    rivals: dict[int, Classifications] = field(default_factory=dict)
    metadata: PhotoMetadata | None = None
    frame: FilmFrame | None = None
    mirrored: int | None = None

    @property
    def nbytes(self) -> int:
        """The memory that its pixels take, in bytes."""
        fitted = self.letterboxed.arr.nbytes if self.letterboxed else 0
        return fitted + (0 if self.image is None else self.image.nbytes)


@dataclass
class Crop:
    """One input of the classifier.

    Attributes:
        photo: The image that it is cut out of.
        input: The pixels, until they have been used; None for an image that cannot be read.
        is_for_image: Whether its classes are those of the image.
        box: The position of the detection whose classes they are, or None.
        rival: The key among ``Photo.rivals`` of these classes, or None.
        is_last: Whether this is the last crop of the image.
    """

    photo: Photo
    input: PreprocessedImage | None = field(default=None, repr=False)
    is_for_image: bool = True
    box: int | None = None
    rival: int | None = None
    is_last: bool = True
