"""A worker process: loads the model once, then answers batches of images."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

from absl import logging
from PIL import Image

from speciesnet.engines.memory import return_large_blocks
from speciesnet.errors import ImageError, SpeciesNetError
from speciesnet.files.storage import scheme_of
from speciesnet.geolocation import resolve_locations
from speciesnet.images.decoding import opened
from speciesnet.images.films import Sampling, is_film, open_film, reading
from speciesnet.images.instances import SAMPLE_IMAGES, Instance
from speciesnet.pipeline import Photo
from speciesnet.pipeline.films import with_frames
from speciesnet.pipeline.guard.stability import Place
from speciesnet.records import Record
from speciesnet.run import Run, decide_film, guards_of, photos_of, place_of
from speciesnet.run.model import ModelOptions

MAX_PIXELS = 65_000_000  # of an image: the largest cameras and phones have no more
GROUP_PIXELS = 100_000_000  # of images in memory together: eight of 12 million pixels


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


@dataclass(frozen=True)
class Refused:
    """What a worker returns instead of the record of a film that is too long.

    Attributes:
        reason: One sentence for the client.
    """

    reason: str


def worker_main(
    connection: Connection, options: ModelOptions, run: Run, film_seconds: float
) -> None:
    """Runs a worker process until it receives None or the server has ended.

    It sends ``Ready`` or ``LoadFailed`` first, then a list of records for each list of tasks.

    Args:
        connection: The worker's end of a pipe.
        options: The model.
        run: How it predicts: the batch size, which boxes get answers, the minimum scores of species, and
            which frames are examined.
        film_seconds: The maximum duration of films that it accepts.
    """
    # A terminal or a service manager sends both to every process; the server decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.use_absl_handler()
    logging.set_verbosity(logging.WARNING)
    warnings.filterwarnings("ignore", module="PIL")
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow rejects images of more than twice as many
    reading.MAX_PIXELS = MAX_PIXELS
    return_large_blocks()
    try:
        model = WorkerModel(options, run, film_seconds)
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


class WorkerModel:
    """A model that is loaded and warmed up.

    Args:
        options: The model.
        run: How it predicts.
        film_seconds: The maximum duration of films that it accepts.

    Attributes:
        engines: A description of the engines of both networks, for the log.

    Raises:
        SpeciesNetError: The model cannot be loaded.
    """

    def __init__(self, options: ModelOptions, run: Run, film_seconds: float) -> None:
        self._run = run
        self._film_seconds = film_seconds
        self._model = options.load()
        if run.thresholds is not None:
            run.thresholds.check_names(self._model.ensemble.labels)
        self._instances: dict[str, list[Instance]] = {}
        self._guards = guards_of(run, self._model, self._places_of)
        networks = self._model.networks if self._guards is None else self._guards.networks
        networks.load()
        detector, classifier = networks.detector.engine, networks.classifier.engine
        self.engines = f"detector: {detector.name}; classifier: {classifier.name}"
        # The first image is slower than the others, so it should not be a client's.
        self._photos([str(next(SAMPLE_IMAGES.rglob("*.jpg")))])

    def records_of(self, tasks: Sequence[ImageTask]) -> list[Record | Refused]:
        """One record per task, in order; the record of an unreadable image has failures."""
        photos: dict[str, list[Photo]] = {}
        instances = resolve_locations([task.instance for task in tasks])
        paths = {task.path for task in tasks if task.path is not None}
        too_long = {path: seconds for path in paths if (seconds := self._too_long(path))}
        self._instances = {}
        for task, instance in zip(tasks, instances, strict=True):
            if task.path is not None and task.path not in too_long:
                self._instances.setdefault(task.path, []).append(instance)
        for group in groups_by_pixels(list(self._instances)):
            photos |= self._photos_or_errors(group)
        records: list[Record | Refused] = []
        for task, instance in zip(tasks, instances, strict=True):
            path = task.path or ""
            if path in too_long:
                records.append(Refused(
                    f"{instance.filepath} is a film of {too_long[path]:.0f} s, and the server accepts "
                    f"films of at most {self._film_seconds:g} s. Send a part of it."
                ))  # fmt: skip
                continue
            found = photos.get(path, [Photo(instance.filepath)])
            frames = [replace(photo, filepath=instance.filepath) for photo in found]
            records.append(decide_film(frames, instance, self._run, self._model.ensemble))
        return records

    def _too_long(self, path: str) -> float | None:
        """The duration in seconds of a film on this machine that is too long; None for other files."""
        if not is_film(path):
            return None
        try:
            with open_film(path, Sampling()) as (film, _):
                return film.duration if film.duration > self._film_seconds else None
        except ImageError:  # reported when the pipeline reads the film
            return None

    def _photos_or_errors(self, paths: list[str]) -> dict[str, list[Photo]]:
        try:
            return self._photos(paths)
        except Exception:  # must not spoil the other images
            if len(paths) == 1:
                logging.exception("An image cannot be predicted")
                return {}
            return {
                key: frames
                for path in paths
                for key, frames in self._photos_or_errors([path]).items()
            }

    def _photos(self, paths: list[str]) -> dict[str, list[Photo]]:
        """The photo of each image, or the frames of each film."""
        photos = photos_of(self._run, self._model, self._guards, paths)
        found = {frames[0].filepath: frames for frames in with_frames(photos)}
        if self._guards is not None:
            self._guards.forget_finished()  # their records are sent, and every request has new paths
        return found

    def _places_of(self, photo: Photo) -> set[Place]:
        found = self._instances.get(
            photo.filepath, []
        )  # none for the first image, which is not from a client
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
