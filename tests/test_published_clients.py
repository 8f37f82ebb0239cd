"""Programs that were written for the published package, with this one in its place."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from megadetector_package import module_of_megadetector
from PIL import Image

from speciesnet import DEFAULT_MODEL, SpeciesNet, SpeciesNetClassifier, SpeciesNetDetector
from speciesnet.ensemble import SpeciesNetEnsemble
from speciesnet.ensemble.taxonomy import split_label
from speciesnet.ensemble_prediction_combiner import combine_predictions
from speciesnet.export.megadetector import write_megadetector
from speciesnet.geofence_utils import (
    geofence_animal_classification,
    roll_up_labels_to_first_matching_level,
)
from speciesnet.images.instances import SAMPLE_IMAGES
from speciesnet.utils import (
    BBox,
    build_classifier_result,
    load_json,
    make_predictions_dict,
    save_predictions,
    select_detections_for_classification,
    whole_image_detection,
    write_json,
)

CAMERA = SAMPLE_IMAGES / "cam03_forest_gate"
ENOUGH = 0.1  # confidence from which on run_md_and_speciesnet classifies a box
LEVELS = ["species", "genus", "family", "order", "class", "kingdom"]


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    """The boxes of one camera's pictures, and the classes of the best one of each."""
    found = SpeciesNet("demo").predict(folders=[str(CAMERA)])
    assert found is not None
    return [dict(record) for record in found["predictions"]]


def boxes_of(record: dict[str, Any]) -> list[BBox]:
    return [
        BBox(xmin=x, ymin=y, width=width, height=height)
        for x, y, width, height in (
            box["bbox"] for box in record["detections"] if box["conf"] >= ENOUGH
        )
    ]


def test_every_box_is_classified_as_run_md_and_speciesnet_does(
    records: list[dict[str, Any]],
) -> None:
    cutter, namer = SpeciesNetClassifier("demo", device="cpu"), SpeciesNetClassifier("demo")

    def crops(record: dict[str, Any]) -> list[Any]:
        image = Image.open(record["filepath"]).convert("RGB")
        return [cutter.preprocess(image, bboxes=[box], resize=True) for box in boxes_of(record)]

    with ThreadPoolExecutor(4) as executor:
        cut = list(executor.map(crops, records))
    assert max(map(len, cut)) > 1
    for record, ready in zip(records, cut, strict=True):
        names = [f"{record['filepath']}_{number}" for number in range(len(ready))]
        answers: list[Any] = namer.batch_predict(names, ready)
        assert [answer["filepath"] for answer in answers] == names
        for answer in answers:
            assert "failures" not in answer
            [classifications] = answer["classifications_list"]  # as the package has it since 5.0.6
            assert classifications == answer["classifications"]  # as it had it before
            assert {len(split_label(label)) for label in classifications["classes"]} == {7}
        if ready:
            best, expected = answers[0]["classifications"], record["classifications"]
            assert best["classes"][0] == expected["classes"][0]
            np.testing.assert_allclose(best["scores"], expected["scores"], atol=1e-3)


def test_crop_that_cannot_be_classified_is_a_failure() -> None:
    answers = SpeciesNetClassifier("demo", device="cpu").batch_predict(["a_0"], [None])
    assert answers == [{"filepath": "a_0", "failures": ["CLASSIFIER"]}]


def test_an_image_with_a_list_of_inputs_has_a_list_of_answers(
    records: list[dict[str, Any]],
) -> None:
    classifier = SpeciesNetClassifier("demo", device="cpu")
    record = max(records, key=lambda each: len(boxes_of(each)))
    image = Image.open(record["filepath"]).convert("RGB")
    inputs = classifier.preprocess_boxes(image, boxes_of(record))
    assert inputs is not None
    found: Any = classifier.predict("a.jpg", inputs, num_classes=2)
    assert list(found) == ["filepath", "classifications_list"]
    assert [len(each["classes"]) for each in found["classifications_list"]] == [2] * len(inputs)
    several: Any = classifier.batch_predict(["a", "b", "c"], [inputs, [], None], num_classes=None)
    assert len(several[0]["classifications_list"][0]["classes"]) == len(classifier.labels)
    assert several[1:] == [
        {"filepath": "b", "classifications_list": []},
        {"filepath": "c", "failures": ["CLASSIFIER"]},
    ]
    assert classifier.preprocess_boxes(None, []) is None


def test_the_ensemble_combines_boxes_as_since_5_0_6(records: list[dict[str, Any]]) -> None:
    ensemble = SpeciesNetEnsemble("demo")
    classes = records[0]["classifications"]
    boxes: list[Any] = [
        {"category": "1", "label": "animal", "conf": conf, "bbox": [0.1, 0.1, 0.5, 0.5]}
        for conf in (0.9, 0.05)
    ]
    classified = [{**boxes[0], "raw_classifications": classes}, boxes[1]]

    def combined(classifier: Any, detector: Any, place: Any = "KEN", **options: Any) -> Any:
        places: Any = {} if place is None else {"a": {"country": place}}
        [record] = ensemble.combine(["a"], classifier, detector, places, **options)
        return record

    detector: Any = {"a": {"filepath": "a", "detections": boxes}}
    found = combined({"a": {"filepath": "a", "detections": classified}}, detector)
    assert list(found) == ["filepath", "country", "detections", "model_version"]
    assert found["detections"][1] == boxes[1]
    best = found["detections"][0]
    assert len(best["raw_classifications"]["classes"]) == 2
    [answer] = combine_predictions(
        classifications_list=[classes],
        detections=boxes[:1],
        country="KEN",
        admin1_region=None,
        taxonomy_map=ensemble.taxonomy_map,
        geofence_map=ensemble.geofence_map,
        enable_geofence=True,
    )
    assert best["processed_classification"] == answer
    assert list(answer) == ["class", "score", "source"]
    # What the published program 5.0.6 returns for failures.
    bare = {"filepath": "a", "detections": boxes}
    failed: Any = {"a": {"filepath": "a", "failures": ["CLASSIFIER"]}, "b": bare}
    assert combined(failed, detector) == {
        "filepath": "a", "failures": ["CLASSIFIER"], "country": "KEN", "detections": boxes,
        "model_version": "demo-1",
    }  # fmt: skip
    whole = {**whole_image_detection(), "raw_classifications": classes}
    without_boxes = combined(
        {"a": {"filepath": "a", "detections": [whole]}},
        {},
        None,
        max_classifications_per_detection=None,
    )
    assert without_boxes == {
        "filepath": "a", "failures": ["DETECTOR", "GEOLOCATION"], "detections": [whole],
        "model_version": "demo-1",
    }  # fmt: skip
    with_boxes = combined({"a": {"filepath": "a", "detections": [whole]}}, detector)
    assert with_boxes["detections"][1:] == boxes
    assert "processed_classification" in with_boxes["detections"][0]
    with pytest.raises(ValueError, match="different boxes"):
        combined({"a": {"filepath": "a", "detections": classified[:1]}}, detector)


def test_the_kind_of_the_classifier_is_known() -> None:
    assert not SpeciesNet("demo", force_model_download=True).whole_image_classifier


def test_helpers_of_the_published_program_exist(tmp_path: Path) -> None:
    boxes: list[Any] = [{"conf": 0.05}, {"conf": 0.9}, {"conf": 0.1}]
    assert select_detections_for_classification(boxes, 0.1) == [1, 2]
    assert select_detections_for_classification(boxes, 0.1, 1) == [1]
    answers = {"filepath": "a", "classifications_list": [{"classes": ["x"], "scores": [0.5]}]}
    found: Any = build_classifier_result(answers, boxes, [1], whole_image=False)
    assert found["detections"] == [
        boxes[0], {**boxes[1], "raw_classifications": answers["classifications_list"][0]}, boxes[2]
    ]  # fmt: skip
    found = build_classifier_result(answers, boxes, [], whole_image=True)
    [whole] = found["detections"]
    assert (whole["category"], whole["conf"]) == ("0", 1.0)
    failed = {"filepath": "a", "failures": ["CLASSIFIER"]}
    assert build_classifier_result(failed, boxes, [1], whole_image=False) == failed
    nothing = {"filepath": "a", "classifications_list": []}
    assert build_classifier_result(nothing, None, [], whole_image=False) == failed
    target = tmp_path / "p.json"
    save_predictions(make_predictions_dict([{"filepath": "a", "latitude": 1.23456}]), str(target))
    assert load_json(target) == {
        "info": {"format_version": "20261015"},
        "predictions": [{"filepath": "a", "latitude": 1.2346}],
    }
    write_json({"a": [0.123456, 1, "é"]}, target, num_decimals=2)
    assert load_json(target) == {"a": [0.12, 1, "é"]}


def test_boxes_and_crops_go_between_processes(records: list[dict[str, Any]]) -> None:
    box = boxes_of(records[0])[0]
    assert pickle.loads(pickle.dumps(box)) == box
    crop = SpeciesNetClassifier("demo", device="cpu").preprocess(
        Image.open(records[0]["filepath"]), bboxes=[box], resize=True
    )
    copy = pickle.loads(pickle.dumps(crop))
    assert crop is not None
    assert (copy.arr == crop.arr).all()
    assert (copy.orig_width, copy.orig_height) == (crop.orig_width, crop.orig_height)


def test_answers_are_fenced_and_rolled_up_from_outside(records: list[dict[str, Any]]) -> None:
    ensemble = SpeciesNetEnsemble("demo", geofence=True)
    maps = {"taxonomy_map": ensemble.taxonomy_map, "geofence_map": ensemble.geofence_map}
    giraffe = next(label for label in ensemble.taxonomy_map.values() if label.endswith(";giraffe"))
    scored: dict[str, Any] = {"labels": [giraffe], "scores": [0.9], "admin1_region": None, **maps}
    for country, is_fenced_out in (("KEN", False), ("USA", True)):
        label, score, source = geofence_animal_classification(
            country=country, enable_geofence=True, **scored
        )
        assert (label != giraffe) == is_fenced_out
        assert source.startswith("classifier+geofence") == is_fenced_out
        assert score == pytest.approx(0.9)
    rolled_up = roll_up_labels_to_first_matching_level(
        country=None,
        target_taxonomy_levels=LEVELS,
        non_blank_threshold=0.65,
        enable_geofence=False,
        **scored,
    )
    assert rolled_up == (giraffe, 0.9, "classifier+rollup_to_species")
    assert (
        roll_up_labels_to_first_matching_level(
            country=None,
            target_taxonomy_levels=LEVELS,
            non_blank_threshold=0.95,
            enable_geofence=False,
            **scored,
        )
        is None
    )


def test_every_part_takes_the_wish_to_download_again() -> None:
    for part in (SpeciesNetClassifier, SpeciesNetDetector, SpeciesNetEnsemble):
        assert part("demo", force_model_download=True).model_info.version == "demo-1"


def test_default_model_is_one_that_others_can_name() -> None:
    assert DEFAULT_MODEL.startswith("kaggle:google/speciesnet/")


def test_run_md_and_speciesnet_runs_with_this_package(
    records: list[dict[str, Any]], tmp_path: Path
) -> None:
    module_of_megadetector("detection.run_md_and_speciesnet")
    boxes: list[Any] = [{key: r[key] for key in ("filepath", "detections")} for r in records]
    write_megadetector(boxes, tmp_path / "boxes.json", str(CAMERA))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "megadetector.detection.run_md_and_speciesnet"),
            *(str(CAMERA), str(tmp_path / "out.json"), "--country", "DEU"),
            *("--classification_model", "demo", "--detections_file", str(tmp_path / "boxes.json")),
            *("--include_raw_classifications", "--force_model_download"),
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=120,  # it waits forever when one of its threads fails
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    labels = found["classification_category_descriptions"]
    assert len(found["images"]) == len(records)
    for image, record in zip(found["images"], records, strict=True):
        assert "failure" not in image
        for box in image["detections"]:
            assert ("classifications" in box) == (box["conf"] >= ENOUGH)
        if boxes_of(record):
            [category, score] = image["detections"][0]["raw_classifications"][0]
            assert labels[category] == record["classifications"]["classes"][0]
            assert score == pytest.approx(record["classifications"]["scores"][0], abs=2e-3)
