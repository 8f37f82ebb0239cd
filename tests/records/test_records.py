from __future__ import annotations

from typing import Any, cast

import pytest

from speciesnet.errors import InputError
from speciesnet.records import Record, answer_of, in_file, record_errors
from speciesnet.records.failures import is_failed

FOX = "u;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
CLASSES = {"classes": [FOX], "scores": [0.7]}
BOX = {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]}


@pytest.mark.parametrize(
    ("values", "failed", "label"),
    [
        ({"failures": ["GEOLOCATION"], "prediction": FOX, "prediction_score": 0.8}, False, FOX),
        ({"failures": ["GEOLOCATION"], "classifications": CLASSES}, False, FOX),
        ({"failures": ["DETECTOR"], "classifications": CLASSES}, True, None),
        ({"failures": ["CLASSIFIER", "GEOLOCATION"], "detections": []}, True, None),
        ({"classifications": CLASSES}, False, FOX),
        ({"detections": []}, False, None),
    ],
)
def test_only_a_missing_place_leaves_the_answer(
    values: dict[str, Any], failed: bool, label: str | None
) -> None:
    record = cast("Record", {"filepath": "a.jpg", **values})
    assert is_failed(record) == failed
    assert answer_of(record)[0] == label


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"prediction": FOX}, "prediction_score must be a number"),
        ({"prediction": 7, "prediction_score": 1}, "prediction must be a label"),
        ({"failures": 1}, "failures must be a list"),
        ({"classifications": []}, "classifications must contain"),
        ({"classifications": {"classes": [FOX], "scores": []}}, "classifications.scores"),
        ({"detections": 3}, "detections must be a list"),
        ({"detections": [BOX, BOX | {"bbox": [0.1, None, 0.2, 0.3]}]}, "detection 2: bbox"),
        ({"detections": [BOX | {"conf": "high"}]}, "detection 1: conf must be a number"),
        ({"detections": [{"conf": 1, "bbox": [0, 0, 1, 1]}]}, "detection 1: category is missing"),
        ({}, "KeyError: 'unknown'"),
    ],
)
def test_malformed_record_is_named_with_its_file_and_field(
    values: dict[str, Any], field: str
) -> None:
    record = cast("Record", {"filepath": "a.jpg", **values})
    with (
        pytest.raises(
            InputError, match=r"^survey.json: The record of a.jpg is malformed"
        ) as caught,
        in_file("survey.json"),
        record_errors(record),
    ):
        raise KeyError("unknown")
    assert field in str(caught.value)
