"""The stages of a run, each a generator that knows only the one before it.

    read_photos | read_films | past_photos -> detect -> crop -> classify

Threads with bounded queues connect them: readers, one for the detector and the crops, one for the
classifier. So memory grows neither with the number of images nor with the number of boxes in an image.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from functools import partial

from speciesnet.classifier import SpeciesNetClassifier
from speciesnet.constants import SCORE_THRESHOLD, TOP_CLASSES, RunMode
from speciesnet.detector import SpeciesNetDetector
from speciesnet.images.films import Sampling
from speciesnet.pipeline.background import Background
from speciesnet.pipeline.earlier_steps import PastResults, past_photos, with_past_detections
from speciesnet.pipeline.films import FilmReader, read_films
from speciesnet.pipeline.photo import WHOLE, Crop, Photo
from speciesnet.pipeline.progress import Profile
from speciesnet.pipeline.reading import read_photo, read_photos
from speciesnet.pipeline.stages import (
    Lock,
    Progress,
    Rivals,
    classify,
    crop,
    detect,
    no_progress,
)
from speciesnet.records.boxes import BoxSelection

__all__ = [
    "WHOLE",
    "Crop",
    "Lock",
    "PastResults",
    "Photo",
    "Progress",
    "Rivals",
    "classify",
    "crop",
    "detect",
    "no_progress",
    "past_photos",
    "read_photo",
    "read_photos",
    "run",
]


def run(
    filepaths: Iterable[str],
    *,
    detector: SpeciesNetDetector | None = None,
    classifier: SpeciesNetClassifier | None = None,
    past: PastResults | None = None,
    boxes: BoxSelection | None = None,
    num_classes: int | None = TOP_CLASSES,
    run_mode: RunMode = "multi_thread",
    batch_size: int = 8,
    readers: int | None = None,
    progress: Progress = no_progress,
    profile: Profile | None = None,
    lock: Lock | None = None,
    threshold: float = SCORE_THRESHOLD,
    rivals: Rivals | None = None,
    films: Sampling | None = None,
) -> Generator[Photo, None, None]:
    """Passes images through the stages of the given networks, or through past results if there are none.

    Args:
        filepaths: Images, each once.
        detector: Finds boxes; None skips the stage.
        classifier: Names species; None skips the stage.
        past: Results of earlier steps, for a run with only the classifier or without networks.
        boxes: The boxes that cropping models classify one by one; None classifies each image once.
        num_classes: How many classes the classifier returns; None means all.
        run_mode: ``single_thread`` does one thing after the other; ``multi_thread`` reads images and
            runs the networks in threads; ``multi_process`` reads images in processes.
        batch_size: Images per batch, where batches are worthwhile.
        readers: Threads or processes that read images; None means one per core, at most 8, but
            ``REMOTE_READERS`` threads for images that come over a network.
        progress: Called for each image that leaves a stage.
        profile: Collects the seconds spent in each stage.
        lock: Held by a network on the processor while it computes, where other networks share it.
        threshold: The lowest confidence of faint boxes; see ``detect``.
        rivals: What else could be the best box of an image; see ``crop``.
        films: Which frames to examine, if the paths are those of films.

    Yields:
        One photo for each path, or for each frame of a film, in order. Closing the generator stops
        every thread, except readers that wait for a network: they end with their image.
    """
    past, profile = past or PastResults(), profile or Profile()
    if detector is None and classifier is None:
        return past_photos(filepaths, past, boxes)
    background = Background(run_mode)
    how = batch_size, progress, profile, lock or _lock_of(detector, classifier)
    read = _source(films, detector, classifier is not None, past)
    photos = read(filepaths, run_mode, readers, profile, background.stop)
    if detector is not None:
        photos = profile.waiting("detector: waiting", photos)
        photos = detect(photos, detector, *how, threshold)
    else:
        photos = with_past_detections(photos, past.detections)
    if classifier is not None:
        crops = _crops_for(classifier, photos, boxes, profile, rivals)
        crops = profile.waiting("classifier: waiting", background.run(crops, batch_size))
        photos = classify(crops, classifier, *how, num_classes, classifier.engine.batches_alike)
    return background.run(photos, batch_size)


_Source = Callable[
    [Iterable[str], RunMode, int | None, Profile, threading.Event], Generator[Photo, None, None]
]


def _source(
    films: Sampling | None, detector: SpeciesNetDetector | None, keep_image: bool, past: PastResults
) -> _Source:
    """The first stage; readers letterbox as well, so that the full resolution need not wait."""
    shape = detector.input_shape if detector is not None else None
    if films is None:
        read = partial(read_photo, input_shape=shape, keep_image=keep_image)
        return lambda paths, *how: read_photos(paths, read, *how)
    reader = FilmReader(films, shape, keep_image, past.detections)
    return lambda paths, *how: read_films(paths, reader, *how)


def _crops_for(
    classifier: SpeciesNetClassifier,
    photos: Iterable[Photo],
    boxes: BoxSelection | None,
    profile: Profile,
    rivals: Rivals | None,
) -> Generator[Crop, None, None]:
    """The crops for the classifier; its queue holds only crops, and no image at full resolution."""
    if not classifier.model_info.always_crops:
        boxes = rivals = None
    return crop(photos, classifier.preprocess, boxes, profile, rivals)


def _lock_of(
    detector: SpeciesNetDetector | None, classifier: SpeciesNetClassifier | None
) -> Lock | None:
    """A lock for two networks on one processor, because running both at the same time takes longer."""
    if detector is None or classifier is None:
        return None
    is_shared = detector.engine.on_cpu and classifier.engine.on_cpu
    return threading.Lock() if is_shared else None
