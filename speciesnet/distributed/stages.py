"""The stages of the pipeline as Ray Data runs them: each takes a table and returns tables.

A table has one column, in which each image is pickled with what the stages found. The image in full
resolution goes no further than the detector's stage, which crops it for the classifier.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import pyarrow as pa

from speciesnet import classifier, pipeline
from speciesnet.detector import InputShape
from speciesnet.files.storage import scheme_of
from speciesnet.instances import Instance
from speciesnet.model import ModelOptions, SpeciesNet
from speciesnet.pipeline import Crop, Photo
from speciesnet.predictions.layout import encode_record
from speciesnet.run import decide

if TYPE_CHECKING:
    from speciesnet.distributed.job import Job
    from speciesnet.distributed.progress import ProgressReporter

BLOCK_BYTES = 2**26  # of images in one table, unless a single one is larger
REMOTE_READERS = 8  # threads of a task that reads images over a network

_T = TypeVar("_T")


class Item(NamedTuple):
    """An image between the first two stages: as it was given, and as it was read."""

    instance: Instance
    photo: Photo


class CroppedItem(NamedTuple):
    """An image between the last two stages: as it was given, and its inputs for the classifier."""

    instance: Instance
    crops: list[Crop]


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
    """Reads the images of instances, decoded and letterboxed."""
    instances = list(unpack(table, Instance))
    paths = [instance.filepath for instance in instances]
    photos = pipeline.read_photos(
        paths,
        partial(pipeline.read_photo, input_shape=input_shape),
        # Other tasks use the other cores, but waiting for a network takes none.
        readers=job.run.readers or (REMOTE_READERS if any(map(scheme_of, paths)) else 1),
    )
    group: list[Item] = []
    size = 0
    for instance, photo in zip(instances, photos, strict=True):
        if group and size + photo.nbytes > BLOCK_BYTES:
            yield pack(group)
            group, size = [], 0
        group.append(Item(instance, photo))
        size += photo.nbytes
        reporter.count("Reading", 1)
    yield pack(group)


class _NetworkStage:
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


class Detect(_NetworkStage):
    """From images to detections, and to the crops that the classifier needs."""

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
        done = [CroppedItem(item.instance, _crops_of_one(crops)) for item in items]
        self._reporter.count("Detector", len(done))
        return pack(done)


def _crops_of_one(crops: Iterator[Crop]) -> list[Crop]:
    taken = []
    for crop in crops:
        taken.append(crop)
        if crop.is_last:
            break
    return taken


class Classify(_NetworkStage):
    """From detections to finished records."""

    needed = ("classifier", "ensemble")

    def __call__(self, table: pa.Table) -> pa.Table:
        """Takes cropped items; returns records, one JSON object each, and the images' flaws."""
        model = self._model.result()
        run = self._job.run
        items = list(unpack(table, CroppedItem))
        crops = (crop for item in items for crop in item.crops)
        named = pipeline.classify(crops, model.classifier, run.batch_size, lock=self._lock)
        records = [
            decide(photo, item.instance, run, model.ensemble)
            for item, photo in zip(items, named, strict=True)
        ]
        flaws = [item.crops[0].photo.flaw for item in items]
        failures = [
            f"Cannot read image {crop.photo.filepath}: {crop.photo.error}."
            for crop in (item.crops[0] for item in items)
            if crop.photo.error is not None
        ]
        self._reporter.count("Classifier", len(records), failures)
        lines = pa.array(map(encode_record, records), pa.binary())
        return pa.table({"record": lines, "flaw": pa.array(flaws, pa.string())})
