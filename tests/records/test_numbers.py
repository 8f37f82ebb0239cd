"""Numbers in files from other programs: NaN, scores out of range, boxes outside the image."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from commands import run_here

from speciesnet.errors import InputError, MalformedRecordError
from speciesnet.predictions.lookup import RecordsByFile
from speciesnet.predictions.reading import read_records
from speciesnet.records import wrong_classes
from speciesnet.records.boxes import inside_image

FOX = "u;mammalia;carnivora;canidae;vulpes;vulpes;red fox"


def record(**changes: Any) -> dict[str, Any]:
    box = {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]}
    return {
        "filepath": "cam1/a.jpg",
        "classifications": {"classes": [FOX], "scores": [0.9]},
        "detections": [{**box, **changes.pop("box", {})}],
        "prediction": FOX,
        "prediction_score": 0.9,
        "prediction_source": "classifier",
        **changes,
    }


def write(path: Path, found: dict[str, Any], layout: str) -> Path:
    """A predictions file in our layout, one record per line, or in that of another program."""
    line = json.dumps(found)
    is_ours = layout == "ours"
    path.write_text(
        f'{{"predictions": [\n{line}\n]}}\n' if is_ours else f'{{"predictions": [{line}]}}'
    )
    return path


@pytest.mark.parametrize("layout", ["ours", "foreign"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    ("field", "place"),
    [
        (lambda n: {"prediction_score": n}, "prediction_score"),
        (lambda n: {"box": {"conf": n}}, "detection 1: conf"),
        (lambda n: {"box": {"bbox": [n, 0, 1, 1]}}, "detection 1: bbox 1"),
        (lambda n: {"classifications": {"classes": [FOX], "scores": [n]}}, "classifications: scores 1"),
        (lambda n: {"metadata": {"latitude": n}}, "metadata: latitude"),
    ],
)  # fmt: skip
def test_nan_and_infinity_are_refused_with_file_record_and_field(
    tmp_path: Path, layout: str, number: float, field: Any, place: str
) -> None:
    path = write(tmp_path / "out.json", record(**field(number)), layout)
    message = rf"out\.json: The record of cam1/a\.jpg is malformed \({place} is -?(nan|inf);"
    with pytest.raises(MalformedRecordError, match=message):
        list(read_records(path))
    with pytest.raises(MalformedRecordError, match=message):
        RecordsByFile(path, ["cam1/a.jpg"])["cam1/a.jpg"]


@pytest.mark.parametrize("module", ["speciesnet_to_table", "speciesnet_to_md", "merge"])
def test_exports_of_nan_write_nothing(tmp_path: Path, module: str) -> None:
    path = write(tmp_path / "out.json", record(prediction_score=float("nan")), "foreign")
    out = tmp_path / ("result.csv" if "table" in module else "result.json")
    outcome = run_here(module, *([out, path] if module == "merge" else [path, out]))
    assert outcome.code == 1
    assert "cam1/a.jpg" in outcome.sentence and "prediction_score is nan" in outcome.sentence
    assert not out.exists()


@pytest.mark.parametrize(
    ("given", "inside"),
    [
        ([0.5, 0.2, 0.5003, 0.4], [0.5, 0.2, 0.5, 0.4]),
        ([-0.0001, 0.2, 0.5, 0.81], [0.0, 0.2, 0.4999, 0.8]),
        ([0.8123, 0.2, 0.1878, 0.4], [0.8123, 0.2, 0.1878, 0.4]),  # the rounding of format 5
        ([0, 0, 1, 1], [0, 0, 1, 1]),
        ([0.1, 0.1, -0.001, 0.2], [0.1, 0.1, 0.0, 0.2]),
    ],
)
def test_boxes_that_exceed_the_image_by_rounding_are_clipped(
    tmp_path: Path, given: list[float], inside: list[float]
) -> None:
    assert [*inside_image(given)] == inside
    path = write(tmp_path / "out.json", record(box={"bbox": given}), "ours")
    assert [r.get("detections", [])[0]["bbox"] for r in read_records(path)] == [inside]
    found = RecordsByFile(path, ["cam1/a.jpg"])["cam1/a.jpg"]
    assert found.get("detections", [])[0]["bbox"] == inside


@pytest.mark.parametrize(
    "changes",
    [
        {"box": {"bbox": [120, 80, 640, 480]}},  # pixels
        {"box": {"bbox": [10.0, 20.0, 30.0, 40.0]}},  # percent
        {"box": {"bbox": [0.6, 0.2, 0.9, 0.6]}},  # left, top, right, bottom
        {"box": {"bbox": [-0.2, 0.2, 0.3, 0.4]}},
        {"box": {"conf": 93.0}},
        {"prediction_score": 93.0},
        {"classifications": {"classes": [FOX], "scores": [93.0]}},
    ],
)
def test_numbers_of_another_unit_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = write(tmp_path / "out.json", record(**changes), "ours")
    message = r"out\.json: The record of cam1/a\.jpg is malformed \(.*from 0 to [15]"
    with pytest.raises(InputError, match=message):
        list(read_records(path))
    with pytest.raises(InputError, match=message):
        RecordsByFile(path, ["cam1/a.jpg"])["cam1/a.jpg"]


@pytest.mark.parametrize("layout", ["ours", "foreign"])
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"box": {"bbox": None}}, "detection 1: bbox must be four numbers"),
        ({"box": {"bbox": [0.1, 0.2, 0.3]}}, "detection 1: bbox must be four numbers"),
        ({"box": {"bbox": ["0.1", 0.2, 0.3, 0.4]}}, "detection 1: bbox must be four numbers"),
        ({"lacks": "bbox"}, "detection 1: bbox must be four numbers"),
        ({"lacks": "conf"}, "detection 1: conf must be a number"),
        ({"lacks": "label"}, "detection 1: label is missing"),
        ({"lacks": "category"}, "detection 1: category is missing"),
        ({"detections": ["fox"]}, "detection 1: it must be an object"),
        ({"detections": {}}, "detections must be a list"),
        (
            {"classifications": {"classes": [FOX]}},
            "classifications must contain the lists classes and scores",
        ),
        (
            {"classifications": {"classes": [FOX], "scores": [0.9, 0.1]}},
            "classifications.scores must contain a number for each class",
        ),
    ],
)
def test_incomplete_records_are_refused_with_file_record_and_field(
    tmp_path: Path, layout: str, changes: dict[str, Any], reason: str
) -> None:
    found = record(**{key: value for key, value in changes.items() if key != "lacks"})
    if "lacks" in changes:
        del found["detections"][0][changes["lacks"]]
    path = write(tmp_path / "out.json", found, layout)
    message = rf"out\.json: The record of cam1/a\.jpg is malformed \({re.escape(reason)}\)"
    with pytest.raises(MalformedRecordError, match=message):
        list(read_records(path))
    with pytest.raises(MalformedRecordError, match=message):
        RecordsByFile(path, ["cam1/a.jpg"])["cam1/a.jpg"]


def test_labels_that_no_rule_expects_are_refused_by_later_steps(tmp_path: Path) -> None:
    path = write(tmp_path / "out.json", record(box={"label": "cow"}), "ours")
    with pytest.raises(
        MalformedRecordError, match="detection 1: label is 'cow'; it must be animal, h"
    ):
        RecordsByFile(path, ["cam1/a.jpg"])["cam1/a.jpg"]


def test_an_unknown_position_is_nan_as_pandas_writes_it(tmp_path: Path) -> None:
    path = write(tmp_path / "out.json", record(latitude=float("nan"), longitude=1.0), "foreign")
    [found] = read_records(path)
    assert "latitude" not in found and found.get("longitude") == 1.0


def test_scores_of_roll_ups_may_exceed_1_and_classes_come_in_any_order(tmp_path: Path) -> None:
    classes = {"classes": [FOX, "u;;;;;;blank"], "scores": [0.1, 0.9]}
    one = record(prediction_score=1.2082, classifications=classes)
    assert [*read_records(write(tmp_path / "out.json", one, "ours"))] == [one]


REPEATED_KEYS = [
    '{"filepath": "cam1/a.jpg", "detections": [], "failures": [], "detections": []}',
    '{"filepath": "cam1/a.jpg","detections":[{"bbox":[],"detections":1,"detections":2}]}',
    '{"filepath":"cam1/a.jpg","detections":[],"detections":[]}',
    '{"filepath": "cam1/a.jpg", "detections": [], "id": "caf\\udce9", "detections": []}',
    '{"filepath": "cam1/a.jpg", "detections": [], "id": 99999999999999999999, "detections": []}',
]


@pytest.mark.parametrize("line", REPEATED_KEYS)
def test_repeated_keys_in_our_own_layout_are_refused_with_file_and_record(
    tmp_path: Path, line: str
) -> None:
    path = tmp_path / "out.json"
    path.write_text(f'{{"predictions": [\n{{"filepath": "b.jpg"}},\n{line}\n]}}\n')
    message = (
        r'out\.json: The record of cam1/a\.jpg is malformed \(an object has the key "detections"'
    )
    with pytest.raises(MalformedRecordError, match=message):
        list(read_records(path))
    with pytest.raises(MalformedRecordError, match=message):
        RecordsByFile(path, ["cam1/a.jpg", "b.jpg"])["cam1/a.jpg"]


@pytest.mark.parametrize("place", ["image", "box"])
@pytest.mark.parametrize("layout", ["ours", "foreign"])
@pytest.mark.parametrize(
    ("classifications", "reason"),
    [
        ({"classes": [FOX, FOX], "scores": [0.6, 0.3]}, f"classifications.classes has '{FOX}' twice"),
        ({"classes": [FOX, 7], "scores": [0.6, 0.3]}, "classifications.classes must contain labels"),
        ({"classes": [FOX], "scores": [True]}, "classifications.scores must contain a number for each"),
        ({"classes": [FOX], "scores": [0.6, 0.3]}, "classifications.scores must contain a number for"),
        ({"classes": [FOX], "scores": [1.2]}, "classifications.scores has 1.2; each must be from 0 to 1"),
        ({"classes": FOX, "scores": [1.0]}, "classifications must contain the lists classes and scores"),
    ],
)  # fmt: skip
def test_there_is_one_rule_for_the_classes_of_images_and_of_boxes(
    tmp_path: Path, classifications: object, reason: str, layout: str, place: str
) -> None:
    wrong = {"classifications": classifications}
    one = record(box=wrong) if place == "box" else record(**wrong)
    path = write(tmp_path / "out.json", one, layout)
    where = "detection 1: " if place == "box" else ""
    message = rf"cam1/a\.jpg is malformed \({where}{re.escape(reason)}"
    with pytest.raises(MalformedRecordError, match=message):
        list(read_records(path))
    assert wrong_classes(classifications) is not None


@pytest.mark.parametrize("place", ["image", "box"])
def test_classes_of_another_form_are_refused_only_where_the_rules_use_them(
    tmp_path: Path, place: str
) -> None:
    classes = {"classifications": {"classes": [FOX, "red fox"], "scores": [0.6, 0.3]}}
    one = record(box=classes) if place == "box" else record(**classes)
    path = write(tmp_path / "out.json", one, "ours")
    assert len([*read_records(path)]) == 1
    assert RecordsByFile(path, ["cam1/a.jpg"], for_classes=False)["cam1/a.jpg"]
    where = "detection 1: " if place == "box" else ""
    message = (
        rf"a\.jpg is malformed \({where}the class 'red fox' is not of the form uuid;class;order"
    )
    with pytest.raises(MalformedRecordError, match=message):
        RecordsByFile(path, ["cam1/a.jpg"])["cam1/a.jpg"]
