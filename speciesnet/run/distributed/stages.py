"""The stages of the pipeline as Ray Data runs them: each takes a table and returns tables.

A table has one column, in which each image is pickled with what the stages found. The image in full
resolution goes no further than the detector's stage, which crops it for the classifier.
"""

from __future__ import annotations

import pickle
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import pyarrow as pa

from speciesnet import classifier, pipeline
from speciesnet.detector import InputShape
from speciesnet.files.storage import scheme_of
from speciesnet.images.instances import Instance
from speciesnet.pipeline import Crop, Photo
from speciesnet.pipeline.films import FilmReader, is_film_inside, read_films, split_films
from speciesnet.predictions.layout import encode_record
from speciesnet.run import decide, decide_film
from speciesnet.run.model import ModelOptions, SpeciesNet

if TYPE_CHECKING:
    from speciesnet.run.distributed.job import Job
    from speciesnet.run.distributed.progress import ProgressReporter

BLOCK_BYTES = 2**26  # of images per table, unless a single image is larger
REMOTE_READERS = 8  # threads of a task that reads images over a network

_T = TypeVar("_T")


class Item(NamedTuple):
    """An image or a frame between the first two stages: its instance, and what was read.

    ``position`` is a frame's number among the examined frames of its film, from 0.
    """

    instance: Instance
    photo: Photo
    position: int = 0


class CroppedItem(NamedTuple):
    """An image or a frame between the last two stages, with its inputs for the classifier."""

    instance: Instance
    crops: list[Crop]
    position: int


class NamedFrame(NamedTuple):
    """A frame of a film that has passed all stages; ``FilmsInParts`` waits for the others."""

    instance: Instance
    photo: Photo
    position: int


def pack(items: Iterable[object]) -> pa.Table:
    """Pickles items into a table with one column."""
    pickles = [pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL) for item in items]
    return pa.table({"item": pa.array(pickles, pa.large_binary())})


def unpack(table: pa.Table, kind: type[_T]) -> Iterator[_T]:
    """Yields the items that ``pack`` was given, which are all of one class."""
    for scalar in table["item"]:
        item = pickle.loads(scalar.as_buffer())  # noqa: S301 (of another process of this run)
        assert isinstance(item, kind)
        yield item


def input_shape_of(model: ModelOptions) -> InputShape:
    """Loads the detector and returns how images are fitted into its input."""
    return model.load().detector.input_shape


def read(
    table: pa.Table, job: Job, input_shape: InputShape, reporter: ProgressReporter
) -> Iterator[pa.Table]:
    """Reads the images of instances, and the frames of films, decoded and letterboxed."""
    instances = {instance.filepath: instance for instance in unpack(table, Instance)}
    group: list[Item] = []
    size = position = 0
    for photo in _photos(list(instances), job, input_shape):
        if group and size + photo.nbytes > BLOCK_BYTES:
            yield pack(group)
            group, size = [], 0
        group.append(Item(instances[photo.filepath], photo, position))
        size += photo.nbytes
        position = 0 if _ends(photo) else position + 1
        reporter.count("Reading", int(_ends(photo)))
    yield pack(group)


def _photos(paths: list[str], job: Job, input_shape: InputShape) -> Iterator[Photo]:
    photographs, films = split_films(paths) if job.run.films else (paths, [])
    for photo in pipeline.read_photos(
        photographs,
        partial(pipeline.read_photo, input_shape=input_shape),
        # Other tasks use the other cores, but waiting for a network takes none.
        readers=job.run.readers or (REMOTE_READERS if any(map(scheme_of, paths)) else 1),
    ):
        if job.run.films and is_film_inside(photo):
            films.append(photo.filepath)
        else:
            yield photo
    if job.run.films:
        yield from read_films(films, FilmReader(job.run.films, input_shape), "single_thread")


def _ends(photo: Photo) -> bool:
    """Whether this is a photograph or the last frame of a film."""
    return photo.frame is None or photo.frame.is_last


class NetworkStage:
    """A stage in a process that keeps its network and other needed parts of ``SpeciesNet`` loaded."""

    needed: tuple[str, ...]

    def __init__(self, job: Job, reporter: ProgressReporter) -> None:
        self._job = job
        self._reporter = reporter
        self._lock = threading.Lock()  # Ray calls the stage from several threads
        # Ray passes on only the text of an exception raised in a constructor: ``result`` raises it later.
        self._model: Future[SpeciesNet] = Future()
        try:
            model = job.model.load()
            for name in self.needed:
                getattr(model, name)
            self._model.set_result(model)
        except Exception as error:
            self._model.set_exception(error)


class Detect(NetworkStage):
    """Finds detections in images, and makes the crops that the classifier needs."""

    needed = ("detector",)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Takes items and returns cropped ones, which have no image in full resolution."""
        model = self._model.result()
        items = list(unpack(table, Item))
        photos = (item.photo for item in items)
        found = pipeline.detect(photos, model.detector, self._job.run.batch_size, lock=self._lock)
        always_crop = model.model_info.always_crops
        fit = partial(classifier.fit, always_crop=always_crop)
        boxes = self._job.run.boxes if always_crop else None
        crops = pipeline.crop(found, fit, boxes)
        done = [CroppedItem(i.instance, _crops_of_one(crops), i.position) for i in items]
        self._reporter.count("Detector", sum(_ends(item.photo) for item in items))
        return pack(done)


def _crops_of_one(crops: Iterator[Crop]) -> list[Crop]:
    taken = []
    for crop in crops:
        taken.append(crop)
        if crop.is_last:
            break
    return taken


class Classify(NetworkStage):
    """Makes finished records from detections."""

    needed = ("classifier", "ensemble")

    def __call__(self, table: pa.Table) -> pa.Table:
        """Takes cropped items; returns a row for each, with empty values in the columns of the others.

        A photograph has a record, a JSON object, and its flaw; a frame of a film is pickled.
        """
        model = self._model.result()
        run = self._job.run
        items = list(unpack(table, CroppedItem))
        crops = (crop for item in items for crop in item.crops)
        named = pipeline.classify(crops, model.classifier, run.batch_size, lock=self._lock)
        lines: list[bytes | None] = []
        frames: list[bytes | None] = []
        for item, photo in zip(items, named, strict=True):
            is_film = photo.frame is not None
            frame = NamedFrame(item.instance, photo, item.position)
            frames.append(pickle.dumps(frame, pickle.HIGHEST_PROTOCOL) if is_film else None)
            record = None if is_film else decide(photo, item.instance, run, model.ensemble)
            lines.append(None if record is None else encode_record(record))
        photos = [item.crops[0].photo for item in items]
        self._reporter.count("Classifier", sum(map(_ends, photos)), failures_of(photos))
        flaws = [photo.flaw for photo in photos]
        return pa.table(
            {
                "record": pa.array(lines, pa.binary()),
                "flaw": pa.array(flaws, pa.string()),
                "frame": pa.array(frames, pa.large_binary()),
            }
        )


def failures_of(photos: Iterable[Photo]) -> list[str]:
    """A sentence for each image that cannot be read."""
    return [
        f"Cannot read {'film' if photo.frame else 'image'} {photo.filepath}: {photo.error}."
        for photo in photos
        if photo.error is not None
    ]


class FilmsInParts:
    """Collects the frames of films, which arrive in any order, and makes the records of whole films.

    Args:
        job: The run.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._model: SpeciesNet | None = None
        self._frames: defaultdict[str, dict[int, NamedFrame]] = defaultdict(dict)

    def lines_of(self, frames: Iterable[bytes | None]) -> Iterator[bytes]:
        """Takes the column ``frame`` of ``Classify``; yields the records of films that are complete."""
        for pickled in filter(None, frames):
            frame: NamedFrame = pickle.loads(pickled)  # noqa: S301 (of another process of this run)
            found = self._frames[frame.instance.filepath]
            found[frame.position] = frame
            last = found[max(found)]
            if _ends(last.photo) and len(found) == last.position + 1:
                photos = [found[position].photo for position in sorted(found)]
                del self._frames[frame.instance.filepath]
                self._model = self._model or self._job.model.load()
                rules = self._model.ensemble
                yield encode_record(decide_film(photos, frame.instance, self._job.run, rules))
