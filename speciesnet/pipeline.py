"""The stages of a run, each a generator that knows only the one before it.

    read_photos | past_photos -> detect -> crop -> classify

Threads with bounded queues connect them: readers, one for the detector and the crops, one for the
classifier. So memory does not grow with the number of images.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from speciesnet.boxes import MIRRORED, BBox, upright_box
from speciesnet.classifier import SpeciesNetClassifier
from speciesnet.constants import RunMode, available_cpus
from speciesnet.detector import InputShape, SpeciesNetDetector
from speciesnet.errors import ImageError, InputError
from speciesnet.files.storage import scheme_of
from speciesnet.images import CLIPPED, NO_MEMORY, PreprocessedImage, read_photograph, to_array
from speciesnet.metadata import PhotoMetadata
from speciesnet.progress import Profile
from speciesnet.records import Box, Classifications, Record

MAX_READERS = 8
REMOTE_READERS = 32  # they wait for the network, and do not compute
READ_AHEAD = 2  # images for each reader that are being read, or decoded and waiting ...
READ_AHEAD_BYTES = 2**28  # ... and the memory that they may take together, but for a single one
SHAPES_AHEAD = 2  # batches of images among which those of one shape are looked for
ASSUMED_BYTES = 2**26  # size of the first images, until ...
ENOUGH_SEEN = 4  # ... so many have been read
END_SECONDS = (
    2.0  # given to readers when a run ends early; a server may keep them waiting for minutes
)

Lock = AbstractContextManager[object]  # held by a network while it computes
Progress = Callable[[str], None]  # called with the name of a stage for each image that leaves it
Preprocess = Callable[[NDArray[np.uint8] | None, list[BBox]], PreprocessedImage | None]


def no_progress(stage: str) -> None:
    """Ignores progress."""


@dataclass(frozen=True)
class PastResults:
    """Records of earlier steps, by filepath.

    Attributes:
        detections: Records of the detector, for the classifier or the ensemble alone.
        classifications: Records of the classifier, for the ensemble alone.
    """

    detections: Mapping[str, Record] = field(default_factory=dict)
    classifications: Mapping[str, Record] = field(default_factory=dict)


@dataclass
class Photo:
    """An image on its way through the stages.

    Attributes:
        filepath: Path or URL.
        error: Why it cannot be read, or None.
        is_clipped: Whether it became white or black when it was converted to 8 bits.
        seconds: How long it took to read it and to fit it into the detector's input.
        image: Shape (H, W, 3) in full resolution, as long as a stage still needs it.
        letterboxed: The detector's input, until it has been used.
        crop: The classifier's input, until it has been used.
        detections: The detector's answer, of this run or of an earlier one.
        classifications: The classifier's answer.
        metadata: EXIF of the photograph.
        mirrored: The EXIF orientation by which past detections were moved; see ``upright_box``.
    """

    filepath: str
    error: str | None = None
    is_clipped: bool = False
    seconds: float = 0.0
    image: NDArray[np.uint8] | None = field(default=None, repr=False)
    letterboxed: PreprocessedImage | None = field(default=None, repr=False)
    crop: PreprocessedImage | None = field(default=None, repr=False)
    detections: Sequence[Box] | None = None
    classifications: Classifications | None = None
    metadata: PhotoMetadata | None = None
    mirrored: int | None = None

    @property
    def nbytes(self) -> int:
        """Memory that its pixels take, in bytes."""
        fitted = self.letterboxed.arr.nbytes if self.letterboxed else 0
        return fitted + (0 if self.image is None else self.image.nbytes)


def run(
    filepaths: Iterable[str],
    *,
    detector: SpeciesNetDetector | None = None,
    classifier: SpeciesNetClassifier | None = None,
    past: PastResults | None = None,
    run_mode: RunMode = "multi_thread",
    batch_size: int = 8,
    readers: int | None = None,
    progress: Progress = no_progress,
    profile: Profile | None = None,
) -> Generator[Photo, None, None]:
    """Takes images through the stages whose network is given; without any, through past results.

    Args:
        filepaths: Images, each once.
        detector: Finds boxes, or None to leave the stage out.
        classifier: Names species, or None to leave the stage out.
        past: Results of earlier steps: the detections for a classifier alone, or all that is known of
            the images where there is no network to run.
        run_mode: ``single_thread`` does one thing after the other; ``multi_thread`` reads images and
            runs the networks in threads; ``multi_process`` reads images in processes.
        batch_size: Images that a network takes together, where batches pay.
        readers: Threads or processes that read images; None is one for each core, at most 8, but
            ``REMOTE_READERS`` threads for images that come over a network.
        progress: Called for each image that leaves a stage.
        profile: Collects the seconds of each stage.

    Yields:
        One photo for each path, in order. Closing the generator stops every thread, except readers
        that wait for a network: they end with their image.
    """
    past, profile = past or PastResults(), profile or Profile()
    if detector is None and classifier is None:
        return past_photos(filepaths, past)
    stop = threading.Event()
    in_background = partial(_in_background, stop=stop)
    if run_mode == "single_thread":
        in_background = _in_foreground
    read = read_photo
    if detector is not None:
        # Readers letterbox as well: so the full resolution need not wait for the detector's turn.
        read = partial(
            read_photo, input_shape=detector.input_shape, keep_image=classifier is not None
        )
    # Two networks at the same time on one processor take longer than one after the other.
    shared = detector and classifier and detector.engine.on_cpu and classifier.engine.on_cpu
    lock: Lock | None = threading.Lock() if shared else None
    photos = read_photos(filepaths, read, run_mode, readers, profile, stop)
    if detector is not None:
        photos = profile.waiting("detector: waiting", photos)
        photos = detect(photos, detector, batch_size, progress, profile, lock)
    else:
        photos = _with_past_detections(photos, past.detections)
    if classifier is not None:
        # Cropping is the last use of the full resolution: the classifier's queue holds only crops.
        photos = crop(photos, classifier.preprocess, profile)
        photos = profile.waiting("classifier: waiting", in_background(photos, batch_size))
        photos = classify(photos, classifier, batch_size, progress, profile, lock)
    return in_background(photos, batch_size)


def past_photos(filepaths: Iterable[str], past: PastResults) -> Generator[Photo, None, None]:
    """The first stage of a run without networks: what earlier steps found; reads no image."""
    for path in filepaths:
        detected = past.detections.get(path)
        classified = past.classifications.get(path)
        metadata = (detected or {}).get("metadata", (classified or {}).get("metadata"))
        orientation = classified.get("orientation") if classified else None
        yield Photo(
            path,
            detections=_upright_detections(detected, orientation) if detected else None,
            classifications=classified.get("classifications") if classified else None,
            metadata=PhotoMetadata.from_dict(metadata) if isinstance(metadata, Mapping) else None,
        )


def _with_past_detections(
    photos: Generator[Photo, None, None], detections: Mapping[str, Record]
) -> Generator[Photo, None, None]:
    for photo in photos:
        if (record := detections.get(photo.filepath)) is not None:
            orientation = photo.metadata.orientation if photo.metadata else None
            photo.detections = _upright_detections(record, orientation)
            if orientation in MIRRORED and record.get("boxes_as_stored"):
                photo.mirrored = orientation
        yield photo


def _upright_detections(record: Record, orientation: int | None) -> Sequence[Box] | None:
    """The detections of a record, relative to the upright picture."""
    boxes = record.get("detections")
    if not boxes or orientation not in MIRRORED or not record.get("boxes_as_stored"):
        return boxes
    moved: list[Box] = [{**box, "bbox": upright_box(box["bbox"], orientation)} for box in boxes]
    return moved


def read_photo(
    filepath: str, input_shape: InputShape | None = None, keep_image: bool = True
) -> Photo:
    """Reads an image; where that fails, its ``error`` is the reason.

    Args:
        filepath: Path or URL.
        input_shape: The detector's input, if it is needed.
        keep_image: Whether a later stage needs the full resolution.
    """
    start = time.perf_counter()
    try:
        picture, metadata = read_photograph(filepath)
        image = to_array(picture)
        letterboxed = input_shape.fit(image) if input_shape else None
    except ImageError as error:
        return Photo(filepath, error=str(error), seconds=time.perf_counter() - start)
    except MemoryError:  # of a huge one; the next ones may fit
        return Photo(filepath, error=NO_MEMORY, seconds=time.perf_counter() - start)
    return Photo(
        filepath,
        is_clipped=CLIPPED in picture.info,
        seconds=time.perf_counter() - start,
        image=image if keep_image else None,
        letterboxed=letterboxed,
        metadata=metadata,
    )


class _ReadAhead:
    """How many images may be read ahead: their sizes are known only once they are read.

    Args:
        images: The limit for small ones.
    """

    def __init__(self, images: int) -> None:
        self._images = images
        self._sizes = deque([ASSUMED_BYTES], maxlen=images)
        self._seen = 0

    def room(self) -> int:
        """The number of images, at least one, whose pixels fit into ``READ_AHEAD_BYTES``."""
        return min(max(READ_AHEAD_BYTES // max(self._sizes), 1), self._images)

    def note(self, nbytes: int) -> None:
        """Takes the size of an image that was read, in bytes; the largest of the last ones counts."""
        if not nbytes:
            return
        self._sizes.append(nbytes)
        self._seen += 1
        if self._seen == ENOUGH_SEEN and len(self._sizes) > self._seen:
            self._sizes.popleft()  # the assumed one


def read_photos(
    filepaths: Iterable[str],
    read: Callable[[str], Photo],
    run_mode: RunMode = "multi_thread",
    readers: int | None = None,
    profile: Profile | None = None,
    stop: threading.Event | None = None,
) -> Generator[Photo, None, None]:
    """The first stage: reads images ahead and yields them in order; arguments as those of ``run``.

    ``stop`` ends it where its consumer cannot: while that waits for an image.
    """
    profile, stop = profile or Profile(), stop or threading.Event()
    if run_mode == "single_thread":
        for photo in map(read, filepaths):
            profile.add("reading and decoding", photo.seconds)
            yield photo
            del photo  # or this frame holds the image until the next one is asked for
        return
    readers = readers or _readers_for(filepaths, run_mode)
    paths = iter(filepaths)
    reading: deque[Future[Photo]] = deque()
    photo: Photo | None = None
    read_ahead = _ReadAhead(readers * READ_AHEAD)
    executor = _executor(run_mode, readers)
    try:
        while True:
            for path in itertools.islice(paths, max(read_ahead.room() - len(reading), 0)):
                reading.append(executor.submit(read, path))
            if photo is not None:
                yield photo
                photo = None  # as above
            if not reading:
                return
            while not wait([reading[0]], timeout=0.2).done:
                if stop.is_set():
                    return
            photo = reading.popleft().result()
            read_ahead.note(photo.nbytes)
            profile.add("reading and decoding", photo.seconds)
    except BrokenProcessPool as error:
        raise InputError(
            "A process that reads images died, perhaps for lack of memory. Add --run_mode multi_thread."
        ) from error
    finally:
        running = [future for future in reading if not future.cancel()]
        executor.shutdown(wait=not wait(running, timeout=END_SECONDS).not_done)


def _readers_for(filepaths: Iterable[str], run_mode: RunMode) -> int:
    # Only a list is looked through: other iterables may be endless, or slow.
    known = filepaths if isinstance(filepaths, Sequence) else ()
    is_remote = run_mode == "multi_thread" and any(map(scheme_of, known))
    return REMOTE_READERS if is_remote else min(available_cpus(), MAX_READERS)


def _executor(run_mode: RunMode, readers: int) -> Executor:
    if run_mode != "multi_process":
        return ThreadPoolExecutor(readers, thread_name_prefix="read")
    # Not a fork: the frameworks' threads do not survive one.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(readers, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """In a child process: leaves Ctrl-C to the parent, and ends when the parent dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


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
    photos: Iterable[Photo], preprocess: Preprocess, profile: Profile | None = None
) -> Generator[Photo, None, None]:
    """The third stage: cuts the classifier's input out of whole images, as ``preprocess`` does.

    Raises:
        InputError: The first detection of an image is malformed.
    """
    profile = profile or Profile()
    for photo in photos:
        try:
            best = (photo.detections or [])[:1]
            bboxes = [BBox(*map(float, detection["bbox"])) for detection in best]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"The detections of {photo.filepath} are malformed ({type(error).__name__}: {error}). "
                "Run the detector again."
            ) from error
        with profile.timing("cropping"):
            photo.crop = preprocess(photo.image, bboxes)
        photo.image = None
        yield photo


def classify(
    photos: Iterable[Photo],
    classifier: SpeciesNetClassifier,
    batch_size: int = 8,
    progress: Progress = no_progress,
    profile: Profile | None = None,
    lock: Lock | None = None,
) -> Generator[Photo, None, None]:
    """The last stage: batches fill across images."""
    profile = profile or Profile()
    for batch in _batches(photos, batch_size):
        with lock or nullcontext(), profile.timing("classifier"):
            answers = iter(classifier.classify([p.crop for p in batch if p.crop]))
        for photo in batch:
            if photo.crop:
                photo.classifications, photo.crop = next(answers), None
            progress("Classifier")
        yield from batch


def _batches(photos: Iterable[Photo], size: int) -> Iterator[list[Photo]]:
    """Consecutive photos in lists of at most ``size``."""
    batch: list[Photo] = []
    for photo in photos:
        batch.append(photo)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _in_foreground(items: Generator[Photo, None, None], ahead: int) -> Generator[Photo, None, None]:
    return items


def _in_background(
    items: Generator[Photo, None, None], ahead: int, stop: threading.Event
) -> Generator[Photo, None, None]:
    """Runs a generator in its own thread, at most ``ahead`` items before its consumer.

    ``stop`` is set once the consumer closes it, or something goes wrong.
    """
    waiting: queue.Queue[Photo | BaseException | None] = queue.Queue(max(ahead, 1))
    stopped = threading.Event()

    def put(item: Photo | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.2)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    break
            put(None)
        except BaseException as error:  # or the consumer would wait forever
            put(error)
        finally:
            items.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            try:
                item = waiting.get(timeout=1)  # with a time-out, or Windows delays Ctrl-C
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    except BaseException:  # including GeneratorExit
        stop.set()
        raise
    finally:
        stopped.set()
        thread.join()
