"""The stages with networks, and the crops between them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from speciesnet.classifier import SpeciesNetClassifier
from speciesnet.constants import SCORE_THRESHOLD, TOP_CLASSES
from speciesnet.detector import SpeciesNetDetector
from speciesnet.errors import InputError
from speciesnet.images.decoding import PreprocessedImage
from speciesnet.pipeline.photo import WHOLE, Crop, Photo
from speciesnet.pipeline.progress import Profile
from speciesnet.records import Classifications
from speciesnet.records.boxes import BBox, BoxSelection

SHAPES_AHEAD = 2  # batches of images among which those of one shape are looked for

Lock = AbstractContextManager[object]  # held by a network while it computes
Progress = Callable[[str], None]  # called with the name of a stage for each image that leaves it
Preprocess = Callable[[NDArray[np.uint8] | None, list[BBox]], PreprocessedImage | None]
Rivals = Callable[
    [Photo], Collection[int]
]  # the positions of boxes that could be the best one instead, or WHOLE

_T = TypeVar("_T")


def no_progress(stage: str) -> None:
    """Ignores progress."""


def detect(
    photos: Iterable[Photo],
    detector: SpeciesNetDetector,
    batch_size: int = 8,
    progress: Progress = no_progress,
    profile: Profile | None = None,
    lock: Lock | None = None,
    threshold: float = SCORE_THRESHOLD,
) -> Generator[Photo, None, None]:
    """The second stage: images with the same letterboxed shape form batches.

    Args:
        photos: The images.
        detector: The network.
        batch_size: Images per batch, where batches are worthwhile.
        progress: Called for each image that leaves the stage.
        profile: Collects the seconds spent in the stage.
        lock: Held while the network computes.
        threshold: Boxes down to this confidence are noted as faint, if it is lower than the
            detector's threshold.
    """
    profile = profile or Profile()
    size = min(detector.engine.batch_size, batch_size)
    # Portraits and landscapes alternate: with a few images read ahead, each shape fills its own batches.
    for window in _batches(photos, size * SHAPES_AHEAD if size > 1 else 1):
        shapes: dict[tuple[int, ...], list[Photo]] = defaultdict(list)
        for photo in window:
            if photo.letterboxed:
                shapes[photo.letterboxed.arr.shape].append(photo)
        for batch in itertools.chain.from_iterable(_batches(s, size) for s in shapes.values()):
            with lock or nullcontext(), profile.timing("detector"):
                boxes = detector.detect([p.letterboxed for p in batch if p.letterboxed], threshold)
            for photo, found in zip(batch, boxes, strict=True):
                certain = sum(box["conf"] > SCORE_THRESHOLD for box in found)
                photo.detections, photo.faint = found[:certain], found[certain:]
                photo.letterboxed = None
        for _ in window:
            progress("Detector")
        yield from window


def crop(
    photos: Iterable[Photo],
    preprocess: Preprocess,
    boxes: BoxSelection | None = None,
    profile: Profile | None = None,
    rivals: Rivals | None = None,
) -> Generator[Crop, None, None]:
    """The third stage: cuts the classifier's inputs out of whole images, as ``preprocess`` does.

    The first input of an image is for the image itself: its most confident box, or all of it. The crops
    are cut one at a time, as the next stage takes them.

    Args:
        photos: The images.
        preprocess: Cuts and resizes; see ``SpeciesNetClassifier``.
        boxes: The boxes that get their own input; the first one shares that of the image.
        profile: Collects the seconds spent in the stage.
        rivals: Finds boxes that could be an image's best one instead; see ``Photo.rivals``.

    Raises:
        InputError: A detection is malformed.
    """
    profile = profile or Profile()
    for photo in photos:
        try:
            cuts = _cuts(photo, boxes, rivals)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"The detections of {photo.filepath} are malformed ({type(error).__name__}: {error}). "
                "Run the detector again."
            ) from error
        for number, (crop, bbox) in enumerate(cuts, start=1):
            with profile.timing("cropping"):
                crop.input = preprocess(photo.image, [bbox] if bbox else [])
            if number == len(cuts):
                photo.image, crop.is_last = None, True
            yield crop


def _cuts(
    photo: Photo, selection: BoxSelection | None, rivals: Rivals | None
) -> list[tuple[Crop, BBox | None]]:
    """The inputs of an image, without pixels, and the box of each; the first is for the image."""
    boxes = [*(photo.detections or ()), *photo.faint]
    detections = photo.detections or ()
    own = selection.positions([float(box["conf"]) for box in detections]) if selection else []
    others = rivals(photo) if rivals else ()
    first = 0 if detections else WHOLE
    positions = dict.fromkeys([first, *own, *others])
    if photo.image is None:
        positions = {first: None}

    def bbox_at(position: int) -> BBox | None:
        return None if position == WHOLE else BBox(*map(float, boxes[position]["bbox"]))

    return [
        (
            Crop(
                photo,
                is_for_image=position == first,
                box=position if position in own else None,
                rival=position if position in others else None,
                is_last=False,
            ),
            bbox_at(position),
        )
        for position in positions
    ]


def classify(
    crops: Iterable[Crop],
    classifier: SpeciesNetClassifier,
    batch_size: int = 8,
    progress: Progress = no_progress,
    profile: Profile | None = None,
    lock: Lock | None = None,
    num_classes: int | None = TOP_CLASSES,
    grows: bool = False,
) -> Generator[Photo, None, None]:
    """The last stage: a batch can contain crops from several images.

    Args:
        crops: The inputs.
        classifier: The network.
        batch_size: Inputs per batch.
        progress: Called for each image that leaves the stage.
        profile: Collects the seconds spent in the stage.
        lock: Held while the network computes.
        num_classes: How many classes the classifier returns; None means all.
        grows: Whether the first batch has one input and the next ones double in size, so that the first
            images do not wait until a batch is full.
    """
    profile = profile or Profile()
    for batch in _batches(crops, batch_size, grows=grows):
        with lock or nullcontext(), profile.timing("classifier"):
            inputs = [crop.input for crop in batch if crop.input]
            answers = iter(classifier.classify(inputs, num_classes))
        for crop in batch:
            if crop.input:
                _note_classes(crop, next(answers))
                crop.input = None
        for crop in batch:
            if crop.is_last:
                progress("Classifier")
                yield crop.photo


def _note_classes(crop: Crop, found: Classifications) -> None:
    if crop.is_for_image:
        crop.photo.classifications = found
    if crop.box is not None:
        crop.photo.box_classifications[crop.box] = found
    if crop.rival is not None:
        crop.photo.rivals[crop.rival] = found


def _batches(items: Iterable[_T], size: int, *, grows: bool = False) -> Iterator[list[_T]]:
    """Consecutive items in lists of at most ``size``, which may grow to it from one item."""
    batch: list[_T] = []
    now = 1 if grows else size
    for item in items:
        batch.append(item)
        if len(batch) == now:
            yield batch
            batch, now = [], min(2 * now, size)
    if batch:
        yield batch
