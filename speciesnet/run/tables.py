"""Adds answers to a table of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciesnet.errors import InputError
from speciesnet.images.instances import COLUMNS
from speciesnet.predictions.layout import encode_record
from speciesnet.records import Record, answer_of

Table = Mapping[str, Sequence[object] | NDArray[Any]]


def with_answers(
    batch: Table, predict: Callable[..., Mapping[str, Sequence[Record]] | None]
) -> dict[str, Any]:
    """Adds four columns to a table of images; see ``SpeciesNet.__call__``.

    Args:
        batch: The table.
        predict: Predicts the images of ``instances_dict``, see ``SpeciesNet.predict``.

    Raises:
        InputError: The table has no column ``filepath``.
    """
    if "filepath" not in batch:
        raise InputError("The table has no filepath column; add one with the images' paths.")
    names = [name for name in COLUMNS if name in batch]
    instances = [
        dict(zip(names, map(_plain, row), strict=True))
        for row in zip(*(batch[name] for name in names), strict=True)
    ]
    predictions = predict(instances_dict={"instances": instances}) if instances else None
    records = (predictions or {"predictions": []})["predictions"]
    answers = [answer_of(record) for record in records]
    return {
        **batch,
        "prediction": np.array([label for label, _, _ in answers], dtype=object),
        "prediction_score": np.array([score for _, score, _ in answers]),
        "prediction_source": np.array([source for _, _, source in answers], dtype=object),
        "record": np.array([encode_record(r).decode() for r in records], dtype=object),
    }


def _plain(value: object) -> object:
    """A value of a table as a Python object; None for NaN and for pandas' NA."""
    value = value.item() if isinstance(value, np.generic) else value
    try:
        return value if value == value else None
    except TypeError:  # pandas' NA is neither true nor false
        return None
