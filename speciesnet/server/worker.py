"""A worker process: loads the model once, then answers batches of images."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from absl import logging

from speciesnet.errors import ImageError, SpeciesNetError
from speciesnet.instances import Instance
from speciesnet.model import ModelOptions
from speciesnet.pipeline import Photo
from speciesnet.records import Record
from speciesnet.server.memory import return_large_blocks

MAX_PIXELS = 65_000_000  # of an image: the largest of cameras and phones
TOGETHER_PIXELS = 100_000_000  # of images in memory at once, if more than one: eight of 12 million


@dataclass(frozen=True)
class Ready:
    """The model is loaded.

    Attributes:
        engines: What runs it, in words.
    """

    engines: str


@dataclass(frozen=True)
class Unfit:
    """The model cannot be loaded.

    Attributes:
        sentence: Why.
    """

    sentence: str


@dataclass(frozen=True)
class Task:
    """One image to answer.

    Attributes:
        instance: As it was asked for.
        path: Where to read it, or None for one that could not be had.
    """

    instance: Instance
    path: str | None


def work(connection: Connection, options: ModelOptions, batch_size: int) -> None:
    """What a worker process does, until it is told to end or the other side is gone."""
    # Both go to every process of a terminal or a service; the server says when a worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.use_absl_handler()
    logging.set_verbosity(logging.WARNING)
    warnings.filterwarnings("ignore", module="PIL")
    return_large_blocks()
    try:
        networks = Networks(options, batch_size)
    except SpeciesNetError as error:
        connection.send(Unfit(str(error)))
        return
    except Exception as error:
        logging.exception("The model cannot be loaded")
        connection.send(Unfit(f"The model cannot be loaded ({type(error).__name__}: {error})."))
        return
    connection.send(Ready(networks.engines))
    while True:
        try:
            tasks = connection.recv()
        except (EOFError, OSError):  # the server is gone
            return
        if tasks is None:
            return
        connection.send(networks.predict(tasks))


class Networks:
    """A model that is loaded and warm.

    Args:
        options: Which one, and how it runs.
        batch_size: Images that a network takes at once.

    Attributes:
        engines: What runs it, in words.
    """

    def __init__(self, options: ModelOptions, batch_size: int) -> None:
        from PIL import Image

        from speciesnet.instances import SAMPLE_IMAGES

        # Pillow refuses what has more than twice as many; the server's images are anyone's.
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
        model = options.load()
        # One image settles the precision, and makes the first request as quick as the others.
        model.predict(filepaths=[str(next(SAMPLE_IMAGES.rglob("*.jpg")))])
        self._detector, self._classifier = model.detector, model.classifier
        self._ensemble = model.ensemble
        self._batch_size = batch_size
        self.engines = (
            f"detector: {self._detector.engine.name}; classifier: {self._classifier.engine.name}"
        )

    def predict(self, tasks: Sequence[Task]) -> list[Record]:
        """A record for each task, in order; one that cannot be read has failures."""
        from speciesnet.geolocation import resolve_locations

        photos: dict[Any, Photo] = {}
        for paths in together(list(dict.fromkeys(t.path for t in tasks if t.path is not None))):
            photos |= self._photos(paths)
        instances = resolve_locations([task.instance for task in tasks])
        records = []
        for task, instance in zip(tasks, instances, strict=True):
            photo = photos.get(task.path) or Photo(instance.filepath)
            records.append(
                self._ensemble.combine_one(
                    instance.filepath, photo.classifications, photo.detections, instance.location
                )
            )
        return records

    def _photos(self, paths: list[str]) -> dict[Any, Photo]:
        from speciesnet import pipeline

        options: dict[str, Any] = {
            "detector": self._detector,
            "classifier": self._classifier,
            "batch_size": self._batch_size,
        }
        try:
            return {photo.filepath: photo for photo in pipeline.run(paths, **options)}
        except Exception:  # whatever it is, it must not take the images beside it along
            if len(paths) == 1:
                logging.exception("An image cannot be predicted")
                return {}
            return {key: photo for path in paths for key, photo in self._photos([path]).items()}


def together(paths: Sequence[str]) -> Iterator[list[str]]:
    """Images in groups that may be in memory at the same time, in order; see ``TOGETHER_PIXELS``."""
    group: list[str] = []
    pixels = 0
    for path in paths:
        more = _pixels(path)
        if group and pixels + more > TOGETHER_PIXELS:
            yield group
            group, pixels = [], 0
        group.append(path)
        pixels += more
    if group:
        yield group


def _pixels(path: str) -> int:
    from speciesnet.files.storage import scheme_of
    from speciesnet.images import opened

    if scheme_of(path) is not None:  # in a bucket of our own: to look would be to download it
        return TOGETHER_PIXELS // 8
    try:
        with opened(path) as image:
            return image.width * image.height
    except ImageError:  # which is found again when it is read
        return 0
