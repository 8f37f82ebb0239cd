"""Runs with ``classify="all"``, on the demo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from speciesnet import SpeciesNet
from speciesnet.ensemble import combine_predictions_for_single_item
from speciesnet.errors import InputError, OutputError
from speciesnet.images.instances import SAMPLE_IMAGES
from speciesnet.records import Box, Record
from speciesnet.records.boxes import CLASSIFIED_FROM

CREEK = SAMPLE_IMAGES / "cam02_mill_creek"
OF_A_BOX = ("classifications", "prediction", "prediction_score", "prediction_source")


@pytest.fixture(scope="module")
def model() -> SpeciesNet:
    return SpeciesNet("demo", precision="fp32")


@pytest.fixture(scope="module")
def best(model: SpeciesNet) -> list[Record]:
    return records_of(model.predict(folders=["demo"]))


@pytest.fixture(scope="module")
def every(model: SpeciesNet) -> list[Record]:
    return records_of(model.predict(folders=["demo"], classify="all"))


def records_of(predictions: Any) -> list[Record]:
    return predictions["predictions"]


def bare(record: Record) -> Any:
    """A record without the answers of its boxes."""
    copy: Any = json.loads(json.dumps(record))
    for box in copy.get("detections", ()):
        for key in OF_A_BOX:
            box.pop(key, None)
    return copy


def boxes_of(records: list[Record]) -> Iterator[Box]:
    for record in records:
        yield from record.get("detections", ())


def by_path(predictions: Any) -> dict[str, Record]:
    return {record["filepath"]: record for record in predictions["predictions"]}


def test_the_answer_of_the_image_is_the_one_it_always_had(
    best: list[Record], every: list[Record]
) -> None:
    assert [bare(record) for record in every] == best


def test_boxes_from_the_threshold_on_have_answers(every: list[Record]) -> None:
    boxes = list(boxes_of(every))
    assert sum("prediction" in box for box in boxes) > 30
    for box in boxes:
        assert ("prediction" in box) == (box["conf"] >= CLASSIFIED_FROM)


def test_each_box_is_decided_as_if_it_were_the_only_one(
    model: SpeciesNet, every: list[Record]
) -> None:
    for record in every:
        for box in record.get("detections", ()):
            if "prediction" not in box:
                continue
            answer = combine_predictions_for_single_item(
                classifications=box.get("classifications", {"classes": [], "scores": []}),
                detections=[box],
                country=record.get("country"),
                admin1_region=record.get("admin1_region"),
                taxonomy_map=model.ensemble.taxonomy_map,
                geofence_map=model.ensemble.geofence_map,
                enable_geofence=True,
            )
            assert answer == tuple(box[key] for key in OF_A_BOX[1:])  # type: ignore[literal-required]


def test_the_best_box_has_the_answer_of_the_image(every: list[Record]) -> None:
    for record in every:
        boxes = record.get("detections", ())
        if boxes and "prediction" in boxes[0]:
            assert boxes[0]["prediction"] == record.get("prediction")
            assert boxes[0].get("classifications") == record.get("classifications")


def test_steps_apart_give_the_records_of_one_run(model: SpeciesNet, every: list[Record]) -> None:
    detections = by_path(model.detect(folders=["demo"]))
    classes = by_path(model.classify(folders=["demo"], detections_dict=detections, classify="all"))
    apart = model.ensemble_from_past_runs(
        folders=["demo"],
        detections_dict=detections,
        classifications_dict=classes,
        classify="all",
    )
    assert records_of(apart) == every


def test_a_limit_keeps_the_most_confident_boxes(model: SpeciesNet, every: list[Record]) -> None:
    path = next(r["filepath"] for r in every if sum(map(is_answered, r.get("detections", ()))) > 2)
    (record,) = records_of(
        model.predict(filepaths=[path], classify="all", max_classifications_per_image=2)
    )
    assert [is_answered(box) for box in record.get("detections", ())][:3] == [True, True, False]


def is_answered(box: Box) -> bool:
    return "prediction" in box


def test_one_box_at_a_time_gives_the_same_answers(model: SpeciesNet, every: list[Record]) -> None:
    path = every[1]["filepath"]
    (record,) = records_of(model.predict(filepaths=[path], classify="all", batch_size=1))
    assert [box.get("prediction") for box in boxes_of([record])] == [
        box.get("prediction") for box in boxes_of(every[1:2])
    ]


def test_a_run_continues_only_with_the_same_choice(model: SpeciesNet, tmp_path: Path) -> None:
    paths = [str(path) for path in sorted(CREEK.iterdir())]
    output = str(tmp_path / "p.json")
    model.predict(filepaths=paths[:2], classify="all", predictions_json=output)
    with pytest.raises(OutputError, match="classify all there, best here"):
        model.predict(filepaths=paths, predictions_json=output)
    with pytest.raises(
        OutputError, match=r"detection_threshold_for_classification 0\.1 there, 0\.5"
    ):
        model.predict(
            filepaths=paths,
            classify="all",
            detection_threshold_for_classification=0.5,
            predictions_json=output,
        )
    model.predict(filepaths=paths, classify="all", predictions_json=output)
    whole = json.loads(Path(output).read_text())["predictions"]
    assert whole == records_of(model.predict(filepaths=paths, classify="all"))


@pytest.mark.parametrize(("first", "second"), [("all", "best"), ("best", "all")])
def test_the_records_show_the_choice_without_the_settings(
    model: SpeciesNet, tmp_path: Path, first: Any, second: Any
) -> None:
    paths = [str(path) for path in sorted(CREEK.iterdir())]
    output = tmp_path / "p.json"
    model.predict(filepaths=paths[:2], classify=first, predictions_json=str(output))
    Path(f"{output}.run.json").unlink()
    with pytest.raises(OutputError, match=f"has classify {first} there, {second} here"):
        model.predict(filepaths=paths, classify=second, predictions_json=str(output))


def test_a_file_of_an_earlier_version_is_one_without_answers_for_boxes(
    model: SpeciesNet, tmp_path: Path
) -> None:
    path = str(next(CREEK.iterdir()))
    output = tmp_path / "p.json"
    model.predict(filepaths=[path], predictions_json=str(output))
    settings = Path(f"{output}.run.json")
    earlier = {k: v for k, v in json.loads(settings.read_text()).items() if "classif" not in k}
    settings.write_text(json.dumps(earlier))
    with pytest.raises(OutputError, match="classify best there, all here"):
        model.predict(filepaths=[path], classify="all", predictions_json=str(output))
    model.predict(filepaths=[path], predictions_json=str(output))


def test_a_choice_of_boxes_without_answers_for_boxes_is_refused(model: SpeciesNet) -> None:
    with pytest.raises(InputError, match="add classify all, or leave them out"):
        model.predict(folders=["demo"], max_classifications_per_image=3)
    with pytest.raises(InputError, match="must be best or all"):
        model.predict(folders=["demo"], classify="some")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="must be from 0 to 1"):
        model.predict(folders=["demo"], classify="all", detection_threshold_for_classification=1.5)
