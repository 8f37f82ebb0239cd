"""Stand-ins for the stages of a run on a cluster: no photographs, no networks, always one answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from speciesnet.distributed.stages import pack, unpack
from speciesnet.predictions.layout import encode_record

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


BLOCK_IMAGES = 5  # as many of 2048x1536 pixels have room in a block of ``stages.BLOCK_BYTES``


def input_shape_of(model: Any) -> None:
    """No network, no shape."""


def read(table: pa.Table, input_shape: None, readers: int | None, watch: Any) -> Iterator[pa.Table]:
    """Hands the instances on, in blocks as photographs would be."""
    instances = list(unpack(table))
    watch.count("Reading", len(instances))
    for start in range(0, len(instances), BLOCK_IMAGES):
        yield pack(instances[start : start + BLOCK_IMAGES])


class Detect:
    """Finds nothing."""

    def __init__(self, **options: Any) -> None:
        self._watch = options["watch"]

    def __call__(self, table: pa.Table) -> pa.Table:
        """Hands the instances on."""
        self._watch.count("Detector", len(table))
        return table


class Classify:
    """Names one species."""

    def __init__(self, **options: Any) -> None:
        self._watch = options["watch"]

    def __call__(self, table: pa.Table) -> pa.Table:
        """Makes a record of each instance."""
        records = [{"filepath": instance.filepath, **RECORD} for instance in unpack(table)]
        self._watch.count("Classifier", len(records))
        return pa.table({"record": pa.array(map(encode_record, records), pa.binary())})
