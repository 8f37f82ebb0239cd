"""The stages with networks, and the crops between them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from speciesnet.boxes import BBox, BoxSelection
from speciesnet.classifier import SpeciesNetClassifier
from speciesnet.constants import TOP_CLASSES
from speciesnet.detector import SpeciesNetDetector
from speciesnet.errors import InputError
from speciesnet.images import PreprocessedImage
from speciesnet.pipeline.photo import Crop, Photo
from speciesnet.progress import Profile
from speciesnet.records import Classifications

SHAPES_AHEAD = 2  # batches of images among which those of one shape are looked for

Lock = AbstractContextManager[object]  # held by a network while it computes
Progress = Callable[[str], None]  # called with the name of a stage for each image that leaves it
Preprocess = Callable[[NDArray[np.uint8] | None, list[BBox]], PreprocessedImage | None]

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
) -> Generator[Photo, None, None]:
    """The second stage: images of one letterboxed shape go through the network together."""
    profile = profile or Profile()
    size = min(detector.engine.batch_size, batch_size)
    # Portraits and landscapes alternate: from a few images ahead, each shape fills batches of its own.
    for window in _batches(photos, size * SHAPES_AHEAD if size > 1 else 1):
        shapes: dict[tuple[int, ...], list[Photo]] = defaultdict(list)
        for photo in window:
            if photo.letterboxed:
                shapes[photo.letterboxed.arr.shape].append(photo)
        for batch in itertools.chain.from_iterable(_batches(s, size) for s in shapes.values()):
            with lock or nullcontext(), profile.timing("detector"):
                boxes = detector.detect([p.letterboxed for p in batch if p.letterboxed])
            for photo, found in zip(batch, boxes, strict=True):
                photo.detections, photo.letterboxed = found, None
        for _ in window:
            progress("Detector")
        yield from window


def crop(
    photos: Iterable[Photo],
    preprocess: Preprocess,
    boxes: BoxSelection | None = None,
    profile: Profile | None = None,
) -> Generator[Crop, None, None]:
    """The third stage: cuts the classifier's inputs out of whole images, as ``preprocess`` does.

    The first input of an image is for the image itself: its most confident box, or all of it. The crops
    are cut one at a time, as the next stage takes them.

    Args:
        photos: The images.
        preprocess: Cuts and resizes; see ``SpeciesNetClassifier``.
        boxes: The boxes that get an input of their own; the first one shares that of the image.
        profile: Collects the seconds of the stage.

    Raises:
        InputError: A detection is malformed.
    """
    profile = profile or Profile()
    for photo in photos:
        try:
            detections = photo.detections or []
            positions = boxes.positions([float(box["conf"]) for box in detections]) if boxes else []
            wanted = {0, *positions} if detections else ()
            bboxes = {i: BBox(*map(float, detections[i]["bbox"])) for i in wanted}
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"The detections of {photo.filepath} are malformed ({type(error).__name__}: {error}). "
                "Run the detector again."
            ) from error
        others = [i for i in positions if i != 0 and photo.image is not None]
        for position in (0, *others):
            with profile.timing("cropping"):
                bbox = bboxes.get(position)
                pixels = preprocess(photo.image, [bbox] if bbox else [])
            is_last = position == (others[-1] if others else 0)
            if is_last:
                photo.image = None
            box = position if position in positions else None
            yield Crop(photo, pixels, is_for_image=position == 0, box=box, is_last=is_last)


def classify(
    crops: Iterable[Crop],
    classifier: SpeciesNetClassifier,
    batch_size: int = 8,
    progress: Progress = no_progress,
    profile: Profile | None = None,
    lock: Lock | None = None,
    num_classes: int | None = TOP_CLASSES,
) -> Generator[Photo, None, None]:
    """The last stage: batches fill across images."""
    profile = profile or Profile()
    for batch in _batches(crops, batch_size):
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


def _batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Consecutive items in lists of at most ``size``."""
    batch: list[_T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
