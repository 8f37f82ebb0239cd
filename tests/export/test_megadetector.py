from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from megadetector_package import module_of_megadetector

from speciesnet.constants import Classification
from speciesnet.errors import InputError, OutputError
from speciesnet.export.megadetector import write_megadetector
from speciesnet.predictions.reading import read_records
from speciesnet.records import Box, Classifications, Record

DEER = "uuid;mammalia;cetartiodactyla;cervidae;odocoileus;virginianus;white-tailed deer"
BOX: Box = {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]}


def record(name: str = "a.jpg", **values: object) -> Record:
    answer = {"prediction": DEER, "prediction_score": 0.8, "prediction_source": "classifier"}
    found = {"filepath": f"/survey/{name}", "detections": [BOX], **answer, **values}
    return cast("Record", found)  # values may be malformed, to test that


def written(tmp_path: Path, *records: Record, base: str | None = "/survey") -> Any:
    assert write_megadetector(records, tmp_path / "md.json", base) == len(records)
    return json.loads((tmp_path / "md.json").read_text(encoding="utf-8"))


def test_boxes_carry_the_answer_of_their_image(tmp_path: Path) -> None:
    found = written(tmp_path, record())
    assert found["info"]["format_version"] == "1.5"
    assert found["detection_categories"] == {"1": "animal", "2": "human", "3": "vehicle"}
    assert found["classification_categories"] == {"0": "white-tailed deer"}
    assert found["classification_category_descriptions"] == {"0": DEER}
    box = {"category": "1", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]}
    assert found["images"] == [
        {"file": "a.jpg", "detections": [box | {"classifications": [["0", 0.8]]}]}
    ]


def test_boxes_carry_even_a_blank_answer(tmp_path: Path) -> None:
    blank = {"prediction": Classification.BLANK.value, "prediction_score": 0.7}
    first, second = written(tmp_path, record(**blank), record(detections=[], **blank))["images"]
    assert first["detections"][0]["classifications"] == [["0", 0.7]]
    assert second["detections"] == []


def test_answer_without_boxes_gets_one_around_the_image(tmp_path: Path) -> None:
    found = written(tmp_path, record(detections=[]))
    assert found["detection_categories"]["4"] == "unknown"
    assert found["images"][0]["detections"] == [
        {"category": "4", "conf": 0.8, "bbox": [0, 0, 1, 1], "classifications": [["0", 0.8]]}
    ]


def test_failures_are_kept(tmp_path: Path) -> None:
    failed: Record = {"filepath": "/survey/b.jpg", "failures": ["CLASSIFIER", "DETECTOR"]}
    assert written(tmp_path, failed)["images"] == [
        {"file": "b.jpg", "failure": "CLASSIFIER, DETECTOR", "detections": None}
    ]


def test_image_without_a_location_keeps_answer_and_boxes(tmp_path: Path) -> None:
    with_place, without = written(tmp_path, record(), record(failures=["GEOLOCATION"]))["images"]
    assert without == with_place


def test_label_without_a_common_name_has_its_scientific_one(tmp_path: Path) -> None:
    found = written(tmp_path, record(prediction="u;aves;;;pica;pica;"))
    assert found["classification_categories"] == {"0": "Pica pica"}


def test_runs_of_one_component_are_converted(tmp_path: Path) -> None:
    boxes: Record = {"filepath": "/survey/a.jpg", "detections": [BOX]}
    classes: Classifications = {"classes": [DEER, "x"], "scores": [0.6, 0.1]}
    classified: Record = {"filepath": "/survey/a.jpg", "classifications": classes}
    first, second = written(tmp_path, boxes, classified)["images"]
    assert "classifications" not in first["detections"][0]
    assert second["detections"][0]["classifications"] == [["0", 0.6]]


@pytest.mark.parametrize(
    ("path", "base", "expected"),
    [
        ("/survey/cam 1/a.jpg", "/survey/", "cam 1/a.jpg"),
        ("C:\\survey\\cam\\a.jpg", "C:\\survey", "cam/a.jpg"),
        ("/survey2/a.jpg", "/survey", "/survey2/a.jpg"),
        ("/survey/a.jpg", None, "/survey/a.jpg"),
        ("https://host/a.jpg", "/survey", "https://host/a.jpg"),
        ("https://host/survey/a.jpg", "https://host/survey/", "a.jpg"),
        ("survey/cam/a.jpg", ".\\survey\\", "cam/a.jpg"),
        (".\\survey\\cam\\a.jpg", "survey", "cam/a.jpg"),
        ("./a.jpg", ".", "a.jpg"),
        ("../a.jpg", ".", "../a.jpg"),
        ("../survey/a.jpg", "../survey", "a.jpg"),
        ("survey/a.jpg", os.path.abspath("survey"), "a.jpg"),  # noqa: PTH100
        (os.path.abspath("survey/a.jpg"), "survey", "a.jpg"),  # noqa: PTH100
    ],
)
def test_paths_are_relative_to_the_folder(
    tmp_path: Path, path: str, base: str | None, expected: str
) -> None:
    assert written(tmp_path, record(filepath=path), base=base)["images"][0]["file"] == expected


def test_paths_outside_the_folder_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written(tmp_path, record(), {"filepath": "/other/b.jpg", "detections": []})
    assert "1 of 2 files are not under /survey" in caplog.text


def test_malformed_record_is_named_and_no_file_is_left(tmp_path: Path) -> None:
    bad = record(detections=[{"conf": 0.5}])
    with pytest.raises(InputError, match=r"record of /survey/a.jpg is malformed"):
        write_megadetector([bad], tmp_path / "md.json")
    assert not list(tmp_path.iterdir())


def test_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_megadetector([record()], tmp_path / "missing" / "md.json")


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def many(number: int) -> Iterator[Record]:
        return (record(f"{i}.jpg") for i in range(number))

    def peak(number: int) -> int:
        tracemalloc.start()
        write_megadetector(many(number), tmp_path / "md.json")
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10)
    assert peak(5000) < peak(500) + 20_000


@pytest.mark.parametrize("name", ["output_ensemble.json", "small_random_predictions.json"])
def test_tools_of_megadetector_accept_the_file(shared: Path, tmp_path: Path, name: str) -> None:
    validate = module_of_megadetector("postprocessing.validate_batch_results")
    loading = module_of_megadetector("postprocessing.load_api_results")
    records = list(read_records(shared / "golden" / name))
    write_megadetector(records, tmp_path / "md.json")
    options = validate.ValidateBatchResultsOptions()
    options.raise_errors = True
    found = validate.validate_batch_results(str(tmp_path / "md.json"), options)
    assert found["validation_results"]["errors"] == []
    assert found["validation_results"]["warnings"] == []
    table, _ = loading.load_api_results(str(tmp_path / "md.json"))
    assert list(table["file"]) == [r["filepath"] for r in records]
    assert [len(boxes) for boxes in table["detections"]] == [
        max(len(r.get("detections", [])), r.get("prediction") != Classification.BLANK.value)
        for r in records
    ]
