"""The stages of the pipeline as Ray Data runs them: each takes a table and gives tables.

What an image carries from one to the next is pickled in the table's only column. The full resolution
goes no further than the detector's stage, which cuts out what the classifier looks at.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from speciesnet import classifier, pipeline
from speciesnet.detector import InputShape
from speciesnet.files.storage import scheme_of
from speciesnet.instances import Instance
from speciesnet.model import ModelOptions, SpeciesNet
from speciesnet.pipeline import Photo
from speciesnet.predictions.layout import encode_record
from speciesnet.predictions.settings import RunSettings

if TYPE_CHECKING:
    from speciesnet.distributed.progress import Watch

BLOCK_BYTES = 2**26  # of the pictures that are handed on together, but for a single one
REMOTE_READERS = 8  # threads of a task whose photographs come over a network

Item = tuple[Instance, Photo]


def pack(items: Iterable[Any]) -> pa.Table:
    """A table with one column of pickles."""
    pickles = [pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL) for item in items]
    return pa.table({"item": pa.array(pickles, pa.large_binary())})


def unpack(table: pa.Table) -> Iterator[Any]:
    """What ``pack`` was given."""
    for scalar in table["item"]:
        yield pickle.loads(scalar.as_buffer())  # noqa: S301 (of another process of this run)


def input_shape_of(model: ModelOptions) -> InputShape:
    """How images are fitted into the detector's input, from the network itself."""
    return model.load().detector.input_shape


def read(
    table: pa.Table, input_shape: InputShape, readers: int | None, watch: Watch
) -> Iterator[pa.Table]:
    """From instances to photographs, decoded and letterboxed."""
    instances: list[Instance] = list(unpack(table))
    group: list[Item] = []
    paths = [instance.filepath for instance in instances]
    photos = pipeline.read_photos(
        paths,
        partial(pipeline.read_photo, input_shape=input_shape),
        # A task is one of many: other cores are others' business, but waiting costs none.
        readers=readers or (REMOTE_READERS if any(map(scheme_of, paths)) else 1),
    )
    for instance, photo in zip(instances, photos, strict=True):
        if group and sum(p.nbytes for _, p in group) + photo.nbytes > BLOCK_BYTES:
            yield pack(group)
            group = []
        group.append((instance, photo))
        watch.count("Reading", 1)
    yield pack(group)


def _loaded(model: ModelOptions, *networks: str) -> Future[SpeciesNet]:
    """The model with some of its networks, or what went wrong.

    Of what an actor's constructor raises Ray hands on no more than a text: so ``result`` raises it later.
    """
    loading: Future[SpeciesNet] = Future()
    try:
        loaded = model.load()
        for network in networks:
            getattr(loaded, network)
        loading.set_result(loaded)
    except Exception as error:
        loading.set_exception(error)
    return loading


class Detect:
    """From photographs to detections, and to what the classifier looks at."""

    def __init__(self, model: ModelOptions, batch_size: int, watch: Watch) -> None:
        self._loaded = _loaded(model, "detector")
        self._turn = threading.Lock()  # calls come from several threads
        self._batch_size = batch_size
        self._watch = watch

    def __call__(self, table: pa.Table) -> pa.Table:
        """Items of photographs to items without them."""
        model = self._loaded.result()
        items: list[Item] = list(unpack(table))
        photos = (photo for _, photo in items)
        found = pipeline.detect(photos, model.detector, self._batch_size, turn=self._turn)
        fit = partial(classifier.fit, always_crop=model.model_info.always_crops)
        done = [
            (instance, photo)
            for (instance, _), photo in zip(items, pipeline.crop(found, fit), strict=True)
        ]
        self._watch.count("Detector", len(done))
        return pack(done)


class Classify:
    """From detections to finished records."""

    def __init__(
        self, model: ModelOptions, settings: RunSettings, batch_size: int, watch: Watch
    ) -> None:
        self._loaded = _loaded(model, "classifier", "ensemble")
        self._turn = threading.Lock()  # as above
        self._settings = settings
        self._batch_size = batch_size
        self._watch = watch

    def __call__(self, table: pa.Table) -> pa.Table:
        """Items to records, a line of JSON each."""
        model = self._loaded.result()
        items: list[Item] = list(unpack(table))
        photos = pipeline.classify(
            (photo for _, photo in items), model.classifier, self._batch_size, turn=self._turn
        )
        records = [
            model.record_of(photo, self._settings, instance)
            for (instance, _), photo in zip(items, photos, strict=True)
        ]
        failures = [
            f"Cannot read image {photo.filepath}: {photo.error}."
            for _, photo in items
            if photo.error is not None
        ]
        self._watch.count("Classifier", len(records), failures)
        return pa.table({"record": pa.array(map(encode_record, records), pa.binary())})
