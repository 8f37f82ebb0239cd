from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest
from megadetector_package import module_of_megadetector

from speciesnet.constants import Classification
from speciesnet.errors import InputError, OutputError
from speciesnet.export.megadetector import write_megadetector
from speciesnet.export.megadetector_info import Origin
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


def test_boxes_of_animals_carry_the_answer_of_their_image(tmp_path: Path) -> None:
    found = written(tmp_path, record())
    assert found["info"]["format_version"] == "1.6"
    assert found["detection_categories"] == {"1": "animal", "2": "person", "3": "vehicle"}
    assert found["classification_categories"] == {"0": "white-tailed deer"}
    assert found["classification_category_descriptions"] == {"0": DEER}
    box = {"category": "1", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]}
    assert found["images"] == [
        {"file": "a.jpg", "detections": [box | {"classifications": [["0", 0.8]]}]}
    ]


def test_boxes_of_animals_carry_even_a_blank_answer(tmp_path: Path) -> None:
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
    boxes = [[one for one in found if one["category"] != "4"] for found in table["detections"]]
    assert list(map(len, boxes)) == [len(r.get("detections", [])) for r in records]


def box(kind: str, conf: float = 0.9) -> Box:
    category = {"animal": "1", "human": "2", "person": "2", "vehicle": "3"}[kind]
    return {"category": category, "label": kind, "conf": conf, "bbox": [0.1, 0.2, 0.3, 0.4]}


MIXED = [box("animal"), box("human"), box("vehicle")]


@pytest.mark.parametrize(
    ("answer", "boxes", "carriers"),
    [
        (DEER, MIXED, ["1"]),
        (Classification.ANIMAL.value, MIXED, ["1"]),
        (Classification.HUMAN.value, MIXED, ["2"]),
        (Classification.VEHICLE.value, MIXED, ["3"]),
        (Classification.BLANK.value, MIXED, ["1"]),
        (Classification.UNKNOWN.value, MIXED, ["1"]),
        (DEER, [box("animal"), box("animal", 0.1), box("person", 0.2)], ["1", "1"]),
        (DEER, [box("human", 0.3)], ["4"]),
        (Classification.HUMAN.value, [box("animal")], ["4"]),
        (Classification.BLANK.value, [box("human", 0.1)], []),
    ],
)
def test_only_boxes_of_its_category_carry_an_answer(
    tmp_path: Path, answer: str, boxes: list[Box], carriers: list[str]
) -> None:
    (image,) = written(tmp_path, record(prediction=answer, detections=boxes))["images"]
    found = [one["category"] for one in image["detections"] if "classifications" in one]
    assert found == carriers
    assert len(image["detections"]) == len(boxes) + carriers.count("4")


def test_boxes_of_other_programs_may_be_of_a_person(tmp_path: Path) -> None:
    found = written(tmp_path, record(prediction=DEER, detections=[box("person")]))
    assert found["images"][0]["detections"][0]["category"] == "2"


def test_image_without_any_result_is_a_failure(tmp_path: Path) -> None:
    (image,) = written(tmp_path, {"filepath": "/survey/a.jpg"})["images"]
    assert image == {"file": "a.jpg", "failure": "no result", "detections": None}


def test_labels_of_humans_are_one_class(tmp_path: Path) -> None:
    labels = (
        Classification.HUMAN.value,
        "u;mammalia;primates;hominidae;homo;;homo species",
        "u;;;;;;homo species",
    )
    found = written(tmp_path, *(record(prediction=label) for label in (DEER, *labels)))
    assert found["classification_categories"] == {"0": "white-tailed deer", "1": "human"}
    assert found["classification_category_descriptions"]["1"] == Classification.HUMAN.value


@pytest.mark.parametrize(
    ("answers", "names"),
    [
        (["animal", "vehicle", DEER, "human"], ["white-tailed deer", "animal", "vehicle", "human"]),
        (["vehicle", "animal"], ["blank", "vehicle", "animal"]),
        (["human"], ["blank", "human"]),
        (["blank", "animal"], ["blank", "animal"]),
        (["u;;;;;;Animal", DEER], ["white-tailed deer", "Animal"]),
        ([""], ["blank", "unknown"]),
        (
            ["u;aves;;;pica;pica;magpie", "u;aves;;;pica;nuttalli;magpie", DEER],
            ["magpie (Pica pica)", "magpie (Pica nuttalli)", "white-tailed deer"],
        ),
        (
            ["1;aves;;;pica;pica;magpie", "2;aves;;;pica;pica;Magpie"],
            ["magpie (Pica pica) [1]", "Magpie (Pica pica) [2]"],
        ),
        (["u;;;;;; ", "v;;;;;;"], ["blank", "unknown [u]", "unknown [v]"]),
    ],
)
def test_names_of_classes_suit_timelapse(
    tmp_path: Path, answers: list[str], names: list[str]
) -> None:
    labels = {one.name.lower(): one.value for one in Classification}
    found = written(tmp_path, *(record(prediction=labels.get(one, one)) for one in answers))
    assert list(found["classification_categories"].values()) == names
    assert_timelapse_takes(found)
    assert_valid(found)


def test_info_describes_detector_classifier_and_times(tmp_path: Path) -> None:
    predictions = tmp_path / "p.json"
    predictions.write_text('{"predictions": []}')
    os.utime(predictions, (1_700_000_000, 1_700_000_000))
    settings = {"components": "all", "detector_name": "md_v5a.0.1.pt"}
    (tmp_path / "p.json.run.json").write_text(json.dumps(settings))
    walk = record(detections=MIXED, model_version="4.0.0a")
    failed: Record = {"filepath": "/survey/<b>.jpg", "failures": ["DETECTOR"]}
    write_megadetector([walk, failed], tmp_path / "md.json", None, Origin.of(predictions))
    info = json.loads((tmp_path / "md.json").read_text())["info"]
    time = datetime.fromtimestamp(1_700_000_000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    summary = info.pop("summary_report")
    assert info.pop("custom_metadata")["converter"].startswith("speciesnet ")
    assert info == {
        "format_version": "1.6",
        "detector": "md_v5a.0.1.pt",
        "detection_completion_time": time,
        "detector_metadata": {
            "megadetector_version": "v5a.0.1",
            "typical_detection_threshold": 0.2,
            "conservative_detection_threshold": 0.05,
        },
        "classifier": "speciesnet 4.0.0a",
        "classification_completion_time": time,
    }
    assert "<tr><td>people next to a different answer</td><td>1</td></tr>" in summary
    assert "<tr><td>failed</td><td>1</td></tr>" in summary


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"detector_name": "own.pt", "components": "detector"}, "own.pt"),
        ({"model": {"files": {"detector": "https://h/md_v5b.0.0.pt?raw=1"}}}, "md_v5b.0.0.pt"),
        ({"model": {"files": {"detector": "123-abc"}}}, "unknown"),
        ({"detector_name": "md_v5a.0.1.pt", "components": "classifier"}, "unknown"),
        ({"detector_name": "md_v5a.0.1.pt", "inputs": {"detections_json": "0"}}, "unknown"),
        (
            {
                "detector_name": "a.pt",
                "given_detector": "md_v5b.0.1.pt",
                "inputs": {"detections_json": "0"},
                "components": "ensemble",
            },
            "md_v5b.0.1.pt",
        ),
        ({"detector_name": "a.pt", "given_detector": "b.pt", "components": "all"}, "a.pt"),
        ({"model": {"files": 5}, "detector_name": ["a"]}, "unknown"),
        ([], "unknown"),
    ],
)
def test_detector_is_that_of_the_run(tmp_path: Path, settings: object, name: str) -> None:
    (tmp_path / "p.json.run.json").write_text(json.dumps(settings))
    assert Origin.of(tmp_path / "p.json") == Origin(name)


def test_file_follows_the_rules_of_its_readers(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        record("a.jpg", prediction=Classification.ANIMAL.value, detections=MIXED),
        record("b.jpg", detections=[], prediction_score=1),
        record("c.jpg", detections=[box("human") | {"conf": 1}]),
        record("d.jpg", detections=[], prediction=Classification.BLANK.value),
        {"filepath": "/survey/e.jpg", "failures": ["CLASSIFIER"], "detections": [box("human")]},
        {"filepath": "/survey/f.MP4", "failures": ["DETECTOR", "CLASSIFIER"]},
        {"filepath": "/survey/g.jpg", "detections": []},
        {"filepath": "/survey/h.jpg", "detections": MIXED},
        {"filepath": "/survey/i.jpg", "failures": ["GEOLOCATION"]},
    )
    assert_valid(found)
    assert_timelapse_takes(found)
    empty = [one["file"] for one in found["images"] if one["detections"] == []]
    assert empty == ["d.jpg", "g.jpg"]


def assert_valid(found: Any) -> None:
    """The rules of format 1.6, as validate_batch_results of megadetector 10.0.28 checks them."""
    version = found["info"]["format_version"]
    assert isinstance(version, str)
    assert float(version) == 1.6
    kinds, classes = found["detection_categories"], found["classification_categories"]
    assert found["classification_category_descriptions"].keys() == classes.keys()
    for number, name in [*kinds.items(), *classes.items()]:
        assert int(number) >= 0
        assert name.strip()
    for image in found["images"]:
        boxes = image["detections"]
        assert isinstance(image.get("failure"), str) == (boxes is None)
        assert image.get("failure") != ""
        if image["file"].lower().endswith((".mp4", ".avi", ".mov")):
            assert image["frame_rate"] < 0
            assert image["frames_processed"] == []
            assert "failure" in image
        for one in boxes or []:
            assert one["category"] in kinds
            assert isinstance(one["conf"], float)
            assert len(one["bbox"]) == 4
            for number, score in one.get("classifications", []):
                assert number in classes
                assert isinstance(score, float)


def assert_timelapse_takes(found: Any) -> None:
    """What Timelapse would report, or refuse to read."""
    kinds, classes = found["detection_categories"], found["classification_categories"]
    for names in (kinds, classes):
        assert len({name.casefold() for name in names.values()}) == len(names)
    assert classes[min(classes)].casefold() not in {name.casefold() for name in kinds.values()}
    for image in found["images"]:
        for one in image["detections"] or []:
            assert one.get("classifications", "absent") is not None
