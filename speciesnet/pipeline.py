"""The stages of a run: images in, results out, in order, with bounded queues between them.

    read and decode -> letterbox -> DETECTOR -> crop and resize -> CLASSIFIER

A stage is a generator that knows only the stage before it. An image lives from its decoding to its
last crop, so memory does not grow with the number of images.
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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciesnet.boxes import BBox
from speciesnet.classifier import SpeciesNetClassifier
from speciesnet.constants import RunMode
from speciesnet.detector import InputShape, SpeciesNetDetector
from speciesnet.errors import ImageError, InputError
from speciesnet.files.storage import scheme_of
from speciesnet.images import NO_MEMORY, PreprocessedImage, read_photograph, to_array
from speciesnet.machine import available_cpus
from speciesnet.metadata import PhotoMetadata
from speciesnet.progress import Profile
from speciesnet.records import Record

MAX_READERS = 8
REMOTE_READERS = 32  # they wait for the network, and do not compute
READ_AHEAD = 2  # images for each reader that are being read, or decoded and waiting ...
READ_AHEAD_BYTES = 2**28  # ... and the memory that they may take together, but for a single one
SHAPES_AHEAD = 2  # batches of images among which those of one shape are looked for
ASSUMED_BYTES = 2**26  # of the first images, whose size is not known yet ...
ENOUGH_SEEN = 4  # ... until there are so many that it is
END_SECONDS = 2.0  # given to readers when a run is given up; a server may let them wait for minutes

Turn = AbstractContextManager[Any]  # entered by a network while it computes
Progress = Callable[[str], None]  # called with the name of a stage for each image that leaves it


def _untold(stage: str) -> None:
    pass


@dataclass
class Photo:
    """An image on its way through the stages.

    Attributes:
        filepath: Path or URL.
        error: Why it cannot be read, or None.
        seconds: How long it took to read it and to fit it into the detector's input.
        image: Shape (H, W, 3) in full resolution, until nobody needs it any more.
        letterboxed: The detector's input, until it has been used.
        crop: The classifier's input, until it has been used.
        detections: The detector's answer.
        classifications: The classifier's answer.
        metadata: What the camera wrote.
    """

    filepath: str
    error: str | None = None
    seconds: float = 0.0
    image: NDArray[np.uint8] | None = field(default=None, repr=False)
    letterboxed: PreprocessedImage | None = field(default=None, repr=False)
    crop: PreprocessedImage | None = field(default=None, repr=False)
    detections: Sequence[Record] | None = None
    classifications: Mapping[str, Any] | None = None
    metadata: PhotoMetadata | None = None

    @property
    def nbytes(self) -> int:
        """Memory that its pictures take, in bytes."""
        fitted = self.letterboxed.arr.nbytes if self.letterboxed else 0
        return fitted + (0 if self.image is None else self.image.nbytes)


def run(
    filepaths: Iterable[str],
    *,
    detector: SpeciesNetDetector | None = None,
    classifier: SpeciesNetClassifier | None = None,
    known_detections: Mapping[str, Record] | None = None,
    run_mode: RunMode = "multi_thread",
    batch_size: int = 8,
    readers: int | None = None,
    progress: Progress = _untold,
    profile: Profile | None = None,
) -> Generator[Photo, None, None]:
    """Takes images through the stages whose model is given.

    Args:
        filepaths: Images, each once.
        detector: Finds boxes, or None to leave the stage out.
        classifier: Names species, or None to leave the stage out.
        known_detections: Detector records of an earlier run by filepath, for a classifier alone.
        run_mode: ``single_thread`` does one thing after the other; ``multi_thread`` reads images and
            runs the networks in threads; ``multi_process`` reads images in processes.
        batch_size: Images that a network takes at once, where batches pay.
        readers: Threads or processes that read images; None is as many as there are cores, at most 8,
            but ``REMOTE_READERS`` threads where images come over a network.
        progress: Told of each image that leaves a stage.
        profile: Where the seconds of each stage are added up.

    Yields:
        One photo for each path, in order. Closing the generator stops every thread, but for readers
        that wait for a network: they end with their image.
    """
    given_up = threading.Event()
    in_background = partial(_in_background, given_up=given_up)
    if run_mode == "single_thread":
        in_background = _in_foreground
    read = read_photo
    if detector is not None:
        read = partial(
            read_photo, input_shape=detector.input_shape, keep_image=classifier is not None
        )
    profile = profile or Profile()
    # Two networks at once on one processor take longer than one after the other.
    shared = detector and classifier and detector.engine.on_cpu and classifier.engine.on_cpu
    turn: Turn | None = threading.Lock() if shared else None
    photos: Generator[Photo, None, None] = read_photos(
        filepaths, read, run_mode, readers, profile, given_up
    )
    if detector is not None:
        photos = profile.waiting("detector: waiting", photos)
        photos = detect(photos, detector, batch_size, progress, profile, turn)
    if classifier is not None:
        photos = crop(photos, classifier.preprocess, known_detections, profile)
        photos = profile.waiting("classifier: waiting", in_background(photos, batch_size))
        photos = classify(photos, classifier, batch_size, progress, profile, turn)
    return in_background(photos, batch_size)


def read_photo(
    filepath: str, input_shape: InputShape | None = None, keep_image: bool = True
) -> Photo:
    """Reads an image; one that cannot be read says so in its ``error``.

    Args:
        filepath: Path or URL.
        input_shape: Of the detector's input, if it is needed.
        keep_image: Whether the full resolution is needed later.
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
        seconds=time.perf_counter() - start,
        image=image if keep_image else None,
        letterboxed=letterboxed,
        metadata=metadata,
    )


def read_photos(
    filepaths: Iterable[str],
    read: Callable[[str], Photo],
    run_mode: RunMode = "multi_thread",
    readers: int | None = None,
    profile: Profile | None = None,
    given_up: threading.Event | None = None,
) -> Generator[Photo, None, None]:
    """The first stage: images that are read ahead, in order; arguments as those of ``run``.

    ``given_up`` ends it where its consumer cannot: while that waits for an image.
    """
    profile, given_up = profile or Profile(), given_up or threading.Event()
    if run_mode == "single_thread":
        for photo in map(read, filepaths):
            profile.add("reading and decoding", photo.seconds)
            yield photo
            del photo  # or this frame holds the image until the next one is asked for
        return
    if readers is None:
        # Other iterables may be endless, or come slowly.
        known = filepaths if isinstance(filepaths, Sequence) else ()
        is_remote = run_mode == "multi_thread" and any(map(scheme_of, known))
        readers = REMOTE_READERS if is_remote else min(available_cpus(), MAX_READERS)
    if run_mode == "multi_process":
        # Not a fork: the frameworks' threads do not survive one.
        executor: Executor = ProcessPoolExecutor(
            readers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_end_with_parent,
        )
    else:
        executor = ThreadPoolExecutor(readers, thread_name_prefix="read")
    paths = iter(filepaths)
    reading: deque[Future[Photo]] = deque()
    photo: Photo | None = None
    try:
        ahead = readers * READ_AHEAD
        # How large images are is known once they are read; the largest of the last ones counts.
        sizes = deque([ASSUMED_BYTES], maxlen=ahead)
        seen = 0
        while True:
            room = min(max(READ_AHEAD_BYTES // max(sizes), 1), ahead) - len(reading)
            for path in itertools.islice(paths, max(room, 0)):
                reading.append(executor.submit(read, path))
            if photo is not None:
                yield photo
                photo = None  # as above
            if not reading:
                return
            while not wait([reading[0]], timeout=0.2).done:
                if given_up.is_set():
                    return
            photo = reading.popleft().result()
            if photo.nbytes:
                sizes.append(photo.nbytes)
                seen += 1
                if seen == ENOUGH_SEEN and len(sizes) > seen:
                    sizes.popleft()  # what was assumed
            profile.add("reading and decoding", photo.seconds)
    except BrokenProcessPool as error:
        raise InputError(
            "A process that reads images died, perhaps for lack of memory; add --run_mode multi_thread."
        ) from error
    finally:
        running = [future for future in reading if not future.cancel()]
        executor.shutdown(wait=not wait(running, timeout=END_SECONDS).not_done)


def _end_with_parent() -> None:
    """In a child process: Ctrl-C is the parent's business, and its death is the child's too."""
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
    progress: Progress = _untold,
    profile: Profile | None = None,
    turn: Turn | None = None,
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
            with turn or nullcontext(), profile.timing("detector"):
                boxes = detector.detect([p.letterboxed for p in batch if p.letterboxed])
            for photo, found in zip(batch, boxes, strict=True):
                photo.detections, photo.letterboxed = found, None
        for _ in window:
            progress("Detector")
        yield from window


def crop(
    photos: Iterable[Photo],
    preprocess: Callable[[NDArray[np.uint8] | None, list[BBox]], PreprocessedImage | None],
    known_detections: Mapping[str, Record] | None = None,
    profile: Profile | None = None,
) -> Generator[Photo, None, None]:
    """The third stage: from whole images to what the classifier looks at, as ``preprocess`` says."""
    known_detections, profile = known_detections or {}, profile or Profile()
    for photo in photos:
        detections = photo.detections
        if detections is None:
            detections = known_detections.get(photo.filepath, {}).get("detections") or []
        try:
            bboxes = [BBox(*map(float, detection["bbox"])) for detection in detections[:1]]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"The detections of {photo.filepath} are malformed ({type(error).__name__}: {error}); "
                "make them again."
            ) from error
        with profile.timing("cropping"):
            photo.crop = preprocess(photo.image, bboxes)
        photo.image = None
        yield photo


def classify(
    photos: Iterable[Photo],
    classifier: SpeciesNetClassifier,
    batch_size: int = 8,
    progress: Progress = _untold,
    profile: Profile | None = None,
    turn: Turn | None = None,
) -> Generator[Photo, None, None]:
    """The last stage: batches fill across images."""
    profile = profile or Profile()
    for batch in _batches(photos, batch_size):
        with turn or nullcontext(), profile.timing("classifier"):
            answers = iter(classifier.classify([p.crop for p in batch if p.crop]))
        for photo in batch:
            if photo.crop:
                photo.classifications, photo.crop = next(answers), None
            progress("Classifier")
        yield from batch


def _batches(photos: Iterable[Photo], size: int) -> Iterator[list[Photo]]:
    """Photos in a row, at most ``size`` together."""
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
    items: Generator[Photo, None, None], ahead: int, given_up: threading.Event
) -> Generator[Photo, None, None]:
    """Runs a generator in a thread of its own, at most ``ahead`` items before its consumer.

    ``given_up`` is set once that wants no more, or something goes wrong.
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
        except BaseException as error:  # whatever it is, the consumer must not wait forever
            put(error)
        finally:
            items.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            try:
                item = waiting.get(timeout=1)  # with a time-out, or Windows holds back Ctrl-C
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    except BaseException:  # also when it is closed
        given_up.set()
        raise
    finally:
        stopped.set()
        thread.join()
