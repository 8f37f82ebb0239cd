"""Stages of a cluster run that read no images, load no networks and always give the same answer."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from speciesnet.images.instances import Instance
from speciesnet.predictions.layout import encode_record
from speciesnet.run.distributed import stages
from speciesnet.run.distributed.job import Job
from speciesnet.run.distributed.progress import ProgressReporter
from speciesnet.run.distributed.stages import pack, unpack

RECORD = {
    "classifications": {
        "classes": ["u;mammalia;cetartiodactyla;cervidae;odocoileus;virginianus;deer"] * 5,
        "scores": [0.9711, 0.0132, 0.0023, 0.0009, 0.0003],
    },
    "detections": [
        {"category": "1", "label": "animal", "conf": 0.93, "bbox": [0.1734, 0.5083, 0.2898, 0.3104]}
    ],
    "prediction": "u;mammalia;cetartiodactyla;cervidae;odocoileus;virginianus;deer",
    "prediction_score": 0.9711,
    "prediction_source": "classifier",
    "model_version": "constant",
}
BLOCK_IMAGES = 5  # of 2048x1536 pixels fit into a table of ``stages.BLOCK_BYTES``


def install() -> None:
    """Replaces the stages in this process; a run needs this in its driver and in each round."""
    for name in ("input_shape_of", "read", "Detect", "Classify"):
        setattr(stages, name, globals()[name])


def input_shape_of(model: object) -> None:
    """Loads nothing: the constant stages need no shape."""


def read(
    table: pa.Table, job: Job, input_shape: None, reporter: ProgressReporter
) -> Iterator[pa.Table]:
    """Passes the instances on, in tables of as many images as would fit."""
    instances = list(unpack(table, Instance))
    reporter.count("Reading", len(instances))
    for start in range(0, len(instances), BLOCK_IMAGES):
        yield pack(instances[start : start + BLOCK_IMAGES])


class Detect:
    """Passes the instances on."""

    def __init__(self, job: Job, reporter: ProgressReporter) -> None:
        self._reporter = reporter

    def __call__(self, table: pa.Table) -> pa.Table:
        """Takes and returns instances."""
        self._reporter.count("Detector", len(table))
        return table


class Classify:
    """Gives every image the same record."""

    def __init__(self, job: Job, reporter: ProgressReporter) -> None:
        self._reporter = reporter

    def __call__(self, table: pa.Table) -> pa.Table:
        """Takes instances and returns encoded records."""
        records = [{"filepath": i.filepath, **RECORD} for i in unpack(table, Instance)]
        self._reporter.count("Classifier", len(records))
        lines = pa.array(map(encode_record, records), pa.binary())
        nothing = {"flaw": pa.nulls(len(lines)), "frame": pa.nulls(len(lines))}
        return pa.table({"record": lines, **nothing})
