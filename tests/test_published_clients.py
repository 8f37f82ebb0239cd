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

import speciesnet
from speciesnet import DEFAULT_MODEL, SpeciesNet, SpeciesNetClassifier, SpeciesNetDetector
from speciesnet.ensemble import SpeciesNetEnsemble
from speciesnet.export.megadetector import write_megadetector
from speciesnet.geofence_utils import (
    geofence_animal_classification,
    roll_up_labels_to_first_matching_level,
)
from speciesnet.taxonomy import split_label
from speciesnet.utils import BBox

CAMERA = Path(speciesnet.__file__).parent / "demo" / "images" / "cam03_forest_gate"
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
        timeout=120,  # it waits for ever when one of its threads fails
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
