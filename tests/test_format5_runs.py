"""Runs whose output has format 5, compared with runs of format 4 and with the published program 5.0.6."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import read_predictions, run_here
from megadetector_package import module_of_megadetector

from speciesnet import SpeciesNet
from speciesnet.errors import InputError
from speciesnet.images.instances import SAMPLE_IMAGES
from speciesnet.predictions.format5 import Form, from_format5, rounded, to_format5
from speciesnet.predictions.reading import read_records

CAMERA = SAMPLE_IMAGES / "cam02_mill_creek"
FEW_BOXES = (
    *("american_black_bear.jpg", "domestic_cattle.jpg", "ocelot.jpg"),
    *("ena24/4383.jpg", "ena24/8831.jpg"),
)
# The published program resizes crops differently, so pixels differ by a level. These random networks
# answer by as much differently; with its resize, the largest difference is 0.00013.
RESIZED = 0.06


@pytest.fixture(scope="module")
def model() -> SpeciesNet:
    return SpeciesNet("demo", precision="fp32")


@pytest.fixture(scope="module")
def every(model: SpeciesNet) -> list[Any]:
    return records_of(model.predict(folders=[str(CAMERA)], classify="all"))


@pytest.fixture(scope="module")
def five(model: SpeciesNet) -> Any:
    return model.predict(folders=[str(CAMERA)], output_format=5)


def records_of(predictions: Any) -> list[Any]:
    return predictions["predictions"]


def by_path(predictions: Any) -> dict[str, Any]:
    return {record["filepath"]: record for record in predictions["predictions"]}


def test_format_5_is_a_conversion_of_the_same_run(every: list[Any], five: Any) -> None:
    assert list(five) == ["info", "predictions"]
    assert five["info"] == {"format_version": "20261015"}
    assert records_of(five) == [to_format5(record) for record in every]
    assert any("processed_classification" in b for r in records_of(five) for b in r["detections"])


def test_a_file_has_the_same_records_with_four_decimals(
    model: SpeciesNet, five: Any, tmp_path: Path
) -> None:
    output = tmp_path / "p.json"
    model.predict(folders=[str(CAMERA)], output_format=5, predictions_json=str(output))
    document = json.loads(output.read_text())
    assert document == rounded(five)
    assert [record["filepath"] for record in read_records(output)] == list(by_path(five))


def test_steps_apart_give_the_records_of_one_run(model: SpeciesNet, five: Any) -> None:
    options: Any = {"folders": [str(CAMERA)], "output_format": 5}
    detections = by_path(model.detect(**options))
    assert {key for record in detections.values() for key in record} == {"filepath", "detections"}
    classes = by_path(model.classify(detections_dict=detections, **options))
    for path, record in classes.items():
        assert list(record) == ["filepath", "detections"]
        for box in record["detections"]:
            assert ("raw_classifications" in box) == (box["conf"] >= 0.1)
            assert len(box.get("raw_classifications", {"classes": []})["classes"]) in (0, 5)
        assert [box["bbox"] for box in record["detections"]] == [
            box["bbox"] for box in detections[path]["detections"]
        ]
    apart = model.ensemble_from_past_runs(
        detections_dict=detections,
        classifications_dict={path: from_format5(record) for path, record in classes.items()},
        **options,
    )
    assert apart == five


@pytest.mark.parametrize(("count", "classes"), [(1, 1), (None, None)])
def test_as_many_classes_as_asked_for(
    model: SpeciesNet, five: Any, count: int | None, classes: int | None
) -> None:
    path = records_of(five)[0]["filepath"]
    found = model.predict(
        filepaths=[path], output_format=5, max_classifications_per_detection=count
    )
    expected = classes or len(model.classifier.labels)
    for box, other in zip(
        records_of(found)[0]["detections"], records_of(five)[0]["detections"], strict=True
    ):
        if "raw_classifications" in box:
            assert len(box["raw_classifications"]["classes"]) == expected
            answer, before = box["processed_classification"], other["processed_classification"]
            assert (
                answer["class"] == before["class"]
            )  # the rules get five classes, whatever is written


def test_contradicting_options_are_refused(model: SpeciesNet) -> None:
    options: Any = {"folders": [str(CAMERA)]}
    with pytest.raises(InputError, match="classify best"):
        model.predict(output_format=5, classify="best", **options)
    with pytest.raises(InputError, match="add output_format 5"):
        model.predict(max_classifications_per_detection=5, **options)
    with pytest.raises(InputError, match="use --detections_json"):
        model.classify(output_format=5, **options)


def test_a_model_of_whole_images_answers_for_the_image(materials: Path) -> None:
    model = SpeciesNet(str(materials / "packages" / "small_random_b"), precision="fp32")
    assert model.whole_image_classifier
    path = str(next((materials / "images" / "ena24").iterdir()))
    four, five = (
        records_of(model.predict(filepaths=[path], output_format=number))[0] for number in (4, 5)
    )
    assert five == to_format5(four, Form(whole_image=True))
    whole, *others = five["detections"]
    assert whole["processed_classification"]["class"] == four["prediction"]
    assert others == four["detections"]
    options: Any = {"filepaths": [path], "output_format": 5}
    classes = records_of(model.classify(**options))
    [only] = classes[0]["detections"]
    assert only["raw_classifications"] == four["classifications"]
    apart = model.ensemble_from_past_runs(
        detections_dict={path: {"filepath": path, "detections": four["detections"]}},
        classifications_dict={path: from_format5(classes[0])},
        **options,
    )
    assert records_of(apart) == [five]


# The command line


def test_flags_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    common = ("--model", "demo", "--folders", "demo", "--predictions_json", tmp_path / "p.json")
    for flags, words in (
        (("--output_format", "5", "--classify", "best"), "use output_format 4"),
        (("--max_classifications_per_detection", "3"), "add output_format 5"),
        (("--output_format", "5", "--max_classifications_per_detection", "0"), "at least 1"),
    ):
        assert words in run_here("run_model", *common, *flags).sentence
    assert not (tmp_path / "p.json").exists()


def test_the_flags_of_the_published_program_exist(tmp_path: Path) -> None:
    output = tmp_path / "p.json"
    done = run_here(
        "run_model",
        *("--model", "demo", "--folders", CAMERA, "--predictions_json", output),
        *("--output_format", "5", "--force_model_download", "--ignore_existing_predictions"),
        *(
            "--detection_threshold_for_classification",
            "0.5",
            "--max_classifications_per_image",
            "1",
        ),
        *("--max_classifications_per_detection", "-1", "--precision", "fp32"),
    )
    assert done.code == 0, done.err
    boxes = [box for record in read_predictions(output) for box in record["detections"]]
    classified = [box for box in boxes if "raw_classifications" in box]
    assert classified and all(box["conf"] >= 0.5 for box in classified)
    assert len(classified[0]["raw_classifications"]["classes"]) > 5


@pytest.fixture
def published(shared: Path) -> Path:
    return shared / "golden" / "published_5.0.6"


def ensemble_of(
    published: Path, output: Path, *flags: str, classes: str = "classifications.json"
) -> Any:
    return run_here(
        "run_model",
        *("--ensemble_only", "--model", published.parents[1] / "packages" / "small_random"),
        *("--instances_json", published / "instances.json"),
        *("--detections_json", published / "detections.json"),
        *("--classifications_json", published / classes, "--predictions_json", output, *flags),
    )


def test_the_ensemble_writes_what_the_published_program_writes(
    published: Path, tmp_path: Path
) -> None:
    output = tmp_path / "p.json"
    done = ensemble_of(published, output, "--output_format", "5")
    assert done.code == 0, done.err
    found, expected = (
        json.loads(path.read_text(encoding="utf-8"))
        for path in (output, published / "published_5.0.6.json")
    )
    assert json.dumps(found) == json.dumps(expected)  # the order of the keys as well


def test_a_published_file_is_complete(published: Path, tmp_path: Path) -> None:
    output = tmp_path / "p.json"
    shutil.copyfile(published / "published_5.0.6.json", output)
    done = ensemble_of(published, output, "--output_format", "5")
    assert done.code == 0, done.err
    assert read_predictions(output) == read_predictions(published / "published_5.0.6.json")


def test_format_4_from_published_files_has_the_answers_of_the_best_boxes(
    published: Path, tmp_path: Path
) -> None:
    output = tmp_path / "p.json"
    done = ensemble_of(published, output)
    expected = list(read_records(published / "published_5.0.6.json"))
    unclassified = 0
    for record, golden in zip(read_predictions(output), expected, strict=True):
        if "classifications" in golden:
            assert record["prediction"] == golden.get("prediction"), record["filepath"]
            assert record["prediction_source"] == golden.get("prediction_source")
            assert round(record["prediction_score"], 4) == golden.get("prediction_score")
        else:
            assert record["failures"] == ["CLASSIFIER"]
            unclassified += 1
    assert f"{unclassified} images fail, because none of their boxes was classified" in done.out
    assert "or add --output_format 5 here" in done.out


def test_the_summary_warns_of_a_file_with_two_classes_a_box(
    published: Path, tmp_path: Path
) -> None:
    done = ensemble_of(published, tmp_path / "p.json", classes="published_5.0.6.json")
    assert "classified boxes have at most 2 classes" in done.out


def test_a_whole_run_finds_and_classifies_the_published_boxes(
    shared: Path, published: Path, tmp_path: Path
) -> None:
    output, images = tmp_path / "p.json", shared / "images"
    package = shared / "packages" / "small_random"  # the published run had its networks in PyTorch
    SpeciesNet(str(package), engine="torch", precision="fp32").predict(
        filepaths=[str(images / name) for name in FEW_BOXES],
        country="USA",
        admin1_region="CA",
        output_format=5,
        predictions_json=str(output),
    )
    expected = {
        record["filepath"]: record
        for record in read_predictions(published / "small_random_pt_predictions.json")
    }
    boxes = moved = (
        0  # those that round to the next pixel, because this processor adds in another order
    )
    for record in read_predictions(output):
        golden = expected[Path(record["filepath"]).relative_to(images).as_posix()]
        boxes += len(golden["detections"])
        assert list(record) == list(golden)
        assert len(record["detections"]) == len(golden["detections"])
        for other in golden["detections"]:  # boxes of one confidence may change places
            same = [box for box in record["detections"] if is_same(box, other)]
            if not same:
                moved += 1
                continue
            box = same[0]
            assert list(box) == list(other)
            if "raw_classifications" in box:
                scores, others = (
                    dict(zip(raw["classes"], raw["scores"], strict=True))
                    for raw in (box["raw_classifications"], other["raw_classifications"])
                )
                for label in scores.keys() & others.keys():
                    assert abs(scores[label] - others[label]) <= RESIZED
    assert moved <= 0.01 * boxes


def is_same(box: Any, other: Any) -> bool:
    """Whether two boxes are equal to the last of four decimals."""
    numbers = [[each["conf"], *each["bbox"]] for each in (box, other)]
    return box["category"] == other["category"] and numbers[0] == pytest.approx(
        numbers[1], abs=1.01e-4
    )


# Other programs


def test_megadetector_reads_the_file(tmp_path: Path) -> None:
    tools = module_of_megadetector("utils.wi_taxonomy_utils")
    output = tmp_path / "p.json"
    done = run_here(
        "run_model",
        *("--model", "demo", "--folders", CAMERA, "--predictions_json", output),
        *("--output_format", "5", "--precision", "fp32"),
    )
    assert done.code == 0, done.err
    found = tools.load_md_or_speciesnet_file(str(output), verbose=False)
    records = {record["filepath"]: record for record in read_predictions(output)}
    assert len(found["images"]) == len(records)
    for image in found["images"]:
        boxes = records[image["file"]]["detections"]
        assert [box["conf"] for box in image["detections"]] == [box["conf"] for box in boxes]
        for box, ours in zip(image["detections"], boxes, strict=True):
            assert ("classifications" in box) == ("processed_classification" in ours)


def test_megadetector_converts_the_file(tmp_path: Path) -> None:
    module_of_megadetector("data_management.speciesnet_to_md")
    import subprocess

    output, converted = tmp_path / "p.json", tmp_path / "md.json"
    SpeciesNet("demo", precision="fp32").predict(
        folders=[str(CAMERA)], output_format=5, predictions_json=str(output)
    )
    program = [sys.executable, "-m", "megadetector.data_management.speciesnet_to_md"]
    done = subprocess.run(
        [*program, output, converted, "--base_folder", CAMERA],
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    images = json.loads(converted.read_text())["images"]
    assert [image["file"] for image in images] == sorted(path.name for path in CAMERA.iterdir())
