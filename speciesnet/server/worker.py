"""A worker process: loads the model once, then answers batches of images."""

from __future__ import annotations

import ctypes
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

from absl import logging
from PIL import Image

from speciesnet.errors import ImageError, SpeciesNetError
from speciesnet.files.storage import scheme_of
from speciesnet.geolocation import resolve_locations
from speciesnet.images import opened
from speciesnet.instances import SAMPLE_IMAGES, Instance
from speciesnet.model import ModelOptions
from speciesnet.pipeline import Photo
from speciesnet.pipeline.guard.stability import Place
from speciesnet.records import Record
from speciesnet.run import Run, decide, guard_of, photos_of, place_of

MAX_PIXELS = 65_000_000  # of an image: the largest cameras and phones have no more
GROUP_PIXELS = 100_000_000  # of images in memory together: eight of 12 million pixels
LARGE_BLOCK = 2**20  # bytes
_M_MMAP_THRESHOLD = -3  # of malloc.h


@dataclass(frozen=True)
class Ready:
    """Message of a worker: the model is loaded.

    Attributes:
        engines: A description of the engines of both networks, for the log.
    """

    engines: str


@dataclass(frozen=True)
class LoadFailed:
    """Message of a worker: the model cannot be loaded.

    Attributes:
        reason: One sentence for the user.
    """

    reason: str


@dataclass(frozen=True)
class ImageTask:
    """One image to predict.

    Attributes:
        instance: The image as the client named it, and its location.
        path: The file or URL to read, or None if the image could not be fetched.
    """

    instance: Instance
    path: str | None


def worker_main(connection: Connection, options: ModelOptions, run: Run) -> None:
    """Runs a worker process until it receives None or the server is gone.

    It sends ``Ready`` or ``LoadFailed`` first, then a list of records for each list of tasks.

    Args:
        connection: The worker's end of a pipe.
        options: The model.
        run: How it predicts: the size of batches, and which boxes get answers.
    """
    # A terminal or a service manager sends both to every process; the server decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.use_absl_handler()
    logging.set_verbosity(logging.WARNING)
    warnings.filterwarnings("ignore", module="PIL")
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow rejects images of more than twice as many
    return_large_blocks()
    try:
        model = WorkerModel(options, run)
    except Exception as error:
        reason = f"The model cannot be loaded ({type(error).__name__}: {error})."
        if isinstance(error, SpeciesNetError):
            reason = str(error)
        else:
            logging.exception("The model cannot be loaded")
        connection.send(LoadFailed(reason))
        return
    connection.send(Ready(model.engines))
    while True:
        try:
            tasks = connection.recv()
        except (EOFError, OSError):  # the server is gone
            return
        if tasks is None:
            return
        connection.send(model.records_of(tasks))


def return_large_blocks() -> None:
    """Makes the C library return large blocks to the system as soon as they are freed.

    By default, glibc keeps freed blocks of up to 32 MiB per thread, so memory grows with large requests
    and photographs. Other C libraries are not changed.
    """
    with suppress(OSError, AttributeError, TypeError):  # no such function
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK)


class WorkerModel:
    """A model that is loaded and warmed up.

    Args:
        options: The model.
        run: How it predicts.

    Attributes:
        engines: A description of the engines of both networks, for the log.

    Raises:
        SpeciesNetError: The model cannot be loaded.
    """

    def __init__(self, options: ModelOptions, run: Run) -> None:
        self._run = run
        self._model = options.load()
        self._instances: dict[str, list[Instance]] = {}
        self._guard = guard_of(run, self._model, self._places_of, may_try=False)
        networks = self._model.networks if self._guard is None else self._guard.networks
        networks.load()
        detector, classifier = networks.detector.engine, networks.classifier.engine
        self.engines = f"detector: {detector.name}; classifier: {classifier.name}"
        # The first image is slower than the others, and should not be a client's.
        self._photos([str(next(SAMPLE_IMAGES.rglob("*.jpg")))])

    def records_of(self, tasks: Sequence[ImageTask]) -> list[Record]:
        """One record per task, in order; the record of an unreadable image has failures."""
        photos: dict[str, Photo] = {}
        instances = resolve_locations([task.instance for task in tasks])
        self._instances = {}
        for task, instance in zip(tasks, instances, strict=True):
            if task.path is not None:
                self._instances.setdefault(task.path, []).append(instance)
        for group in groups_by_pixels(list(self._instances)):
            photos |= self._photos_or_errors(group)
        records = []
        for task, instance in zip(tasks, instances, strict=True):
            photo = photos.get(task.path or "", Photo(instance.filepath))
            photo = replace(photo, filepath=instance.filepath)
            records.append(decide(photo, instance, self._run, self._model.ensemble))
        return records

    def _photos_or_errors(self, paths: list[str]) -> dict[str, Photo]:
        try:
            return self._photos(paths)
        except Exception:  # must not spoil the other images
            if len(paths) == 1:
                logging.exception("An image cannot be predicted")
                return {}
            return {
                key: photo
                for path in paths
                for key, photo in self._photos_or_errors([path]).items()
            }

    def _photos(self, paths: list[str]) -> dict[str, Photo]:
        photos = photos_of(self._run, self._model, self._guard, paths)
        return {photo.filepath: photo for photo in photos}

    def _places_of(self, photo: Photo) -> set[Place]:
        found = self._instances.get(photo.filepath, [])  # none for the first image, of nobody
        return {place_of(photo, instance, self._run) for instance in found}


def groups_by_pixels(paths: Sequence[str]) -> Iterator[list[str]]:
    """Splits images into groups of at most ``GROUP_PIXELS`` or one image, in order."""
    group: list[str] = []
    pixels = 0
    for path in paths:
        more = _pixels(path)
        if group and pixels + more > GROUP_PIXELS:
            yield group
            group, pixels = [], 0
        group.append(path)
        pixels += more
    if group:
        yield group


def _pixels(path: str) -> int:
    if scheme_of(path) is not None:  # in a bucket, where reading the size means a download
        return GROUP_PIXELS // 8
    try:
        with opened(path) as image:
            return image.width * image.height
    except ImageError:  # reported when the pipeline reads the image
        return 0
