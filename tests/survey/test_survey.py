from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from photographs import NAIROBI, photograph
from PIL import ExifTags
from surveys import (
    BLANK,
    DEER,
    FOX,
    LABELS,
    UNKNOWN,
    box,
    correction,
    record,
    survey_of,
    write_predictions,
)

from speciesnet import ModelInfo, SpeciesNet
from speciesnet.errors import InputError, ModelError, OutputError
from speciesnet.files.moved_photographs import Photographs
from speciesnet.predictions.settings import is_geofenced, model_of_run
from speciesnet.survey.survey import Survey, load_survey


def load(path: Path, **options: object) -> Survey:
    given = {"photographs": Photographs(), "corrections": {}, **options}
    return load_survey(path, **given)  # type: ignore[arg-type]


def members(survey: Survey) -> list[list[int]]:
    return [sequence.pictures for sequence in survey.sequences]


def test_sequence_belongs_to_one_camera(tmp_path: Path) -> None:
    at = "2024-05-01T06:30:{}"
    survey = survey_of(
        tmp_path,
        record("s/cam2/a.jpg", taken=at.format("00")),
        record("s/cam1/b.jpg", taken=at.format("05")),
        record("s/cam1/a.jpg", taken=at.format("00")),
        record("s\\cam1\\c.jpg", taken=at.format("10")),
        record("s/cam1/d.jpg", taken="2024-05-01T06:40:00"),
    )
    assert members(survey) == [[2, 1, 3], [4], [0]]
    assert [(s.camera, s.number) for s in survey.sequences] == [
        ("s/cam1", 1), ("s/cam1", 2), ("s/cam2", 1),
    ]  # fmt: skip
    assert [picture.sequence for picture in survey.pictures] == [2, 0, 0, 0, 1]
    assert members(load(tmp_path / "predictions.json", gap=1)) == [[2], [1], [3], [4], [0]]


def test_photographs_without_dates_are_sequences_of_their_own(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, record("a.jpg"), record("b.jpg"), record("c.jpg", taken="soon"))
    assert members(survey) == [[0], [1], [2]]
    assert {picture.camera for picture in survey.pictures} == {""}


def test_dates_and_positions_come_from_the_photographs(tmp_path: Path) -> None:
    taken = {ExifTags.Base.DateTimeOriginal: "2024:05:01 06:30:00"}
    name = photograph(tmp_path / "cam" / "a.jpg", details=taken, gps=NAIROBI)
    bare = record(name, latitude=1.0, longitude=2.0)
    del bare["metadata"]
    (picture,) = survey_of(tmp_path, bare).pictures
    assert (picture.taken, picture.position) == ("2024-05-01T06:30:00", (1.0, 2.0))
    del bare["latitude"], bare["longitude"]
    (picture,) = survey_of(tmp_path, bare).pictures
    assert picture.position == (-1.29, 36.82)
    Path(name).rename(tmp_path / "a.jpg")
    (picture,) = survey_of(tmp_path, bare).pictures
    assert (picture.taken, picture.position) == (None, None)
    moved = Photographs(str(tmp_path))
    (picture,) = survey_of(tmp_path, bare, photographs=moved).pictures
    assert picture.taken == "2024-05-01T06:30:00"


def test_runs_of_one_component(tmp_path: Path) -> None:
    survey = survey_of(
        tmp_path,
        {"filepath": "a.jpg", "detections": [box("human", 0.9), box(conf=0.04)]},
        {"filepath": "b.jpg", "classifications": {"classes": [FOX, DEER], "scores": [0.6, 0.2]}},
        {"filepath": "c.jpg", "failures": ["CLASSIFIER"]},
    )
    detected, classified, failed = survey.pictures
    assert (detected.answer, detected.boxes is None) == (None, False)
    assert [found.kind for found in detected.boxes or ()] == ["human"]
    assert (classified.answer, classified.score, classified.boxes) == (FOX, 0.6, None)
    assert classified.classes == ((FOX, 0.6), (DEER, 0.2))
    assert (failed.answer, failed.failures) == (None, ("CLASSIFIER",))
    assert [sequence.answer for sequence in survey.sequences] == [None, None, None]


def test_file_of_the_published_program(shared: Path) -> None:
    survey = load(shared / "golden" / "output_ensemble.json")
    first, second = survey.pictures
    assert (first.filepath, first.place[0]) == ("african_elephants.jpg", "KEN")
    assert first.answer == LABELS["african elephant"]
    assert second.answer is not None
    assert len(first.classes) == 5
    assert first.boxes
    assert first.boxes[0].conf == pytest.approx(0.9353, abs=1e-4)
    assert survey.sequences[0].answer is not None
    assert survey.sequences[0].answer[0] == first.answer
    assert survey.model_version == "4.0.0a"


def test_incomplete_file_gives_its_whole_records(tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    lines = [json.dumps(record(f"{i}.jpg")) for i in range(3)]
    path.write_text('{"predictions": [\n' + ",\n".join(lines)[:-30], encoding="utf-8")
    assert [picture.filepath for picture in load(path).pictures] == ["0.jpg", "1.jpg"]
    path.write_text('{"predictions": [\n' + lines[0] + "\n]}\n", encoding="utf-8")
    assert len(load(path).pictures) == 1


def test_path_that_occurs_twice_is_two_pictures(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, record("a.jpg"), record("a.jpg"), record("b.jpg"))
    assert [picture.filepath for picture in survey.pictures] == ["a.jpg", "a.jpg", "b.jpg"]
    survey.apply_corrections({"a.jpg": correction("a.jpg", DEER)})
    assert [picture.answer for picture in survey.pictures] == [DEER, DEER, FOX]


def test_errors_name_the_file_and_the_record(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be read"):
        load(tmp_path / "gone.json")
    path = write_predictions(tmp_path / "p.json")
    with pytest.raises(InputError, match="contains no records yet"):
        load(path)
    for wrong in (
        {"classifications": {"classes": [FOX], "scores": []}},
        {"detections": [{"label": "animal", "conf": 0.5}]},
        {"detections": [{"label": "ghost", "conf": 0.5, "bbox": [0, 0, 1, 1]}]},
        {"prediction": FOX},
        {"latitude": "north", "longitude": 1},
        {"prediction": 5, "prediction_score": 1.0},
        {"failures": 1},
    ):
        write_predictions(path, {"filepath": "bad.jpg", **wrong})
        with pytest.raises(InputError, match=r"record of bad\.jpg is malformed"):
            load(path)


def test_labels_of_another_program(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, record("a.jpg", "fox", 0.5), record("b.jpg"))
    assert [picture.answer for picture in survey.pictures] == ["fox", FOX]
    assert [bool(sequence.answer) for sequence in survey.sequences] == [False, True]


def test_corrections_are_applied_and_taken_back(tmp_path: Path) -> None:
    at: dict[str, Any] = {"taken": "2024-05-01T06:30:00"}
    survey = survey_of(
        tmp_path, record("a.jpg", FOX, **at), record("b.jpg", BLANK, 0.99, **at),
        corrections=[correction("b.jpg", DEER, BLANK)],
    )  # fmt: skip
    (sequence,) = survey.sequences
    assert [picture.answer for picture in survey.pictures] == [FOX, DEER]
    assert sequence.answer == (DEER, 1.0, "review")
    survey.apply_corrections({})
    assert [picture.answer for picture in survey.pictures] == [FOX, BLANK]
    assert sequence.answer == (FOX, 0.9, "classifier")


def test_failure_is_answered_by_its_correction(tmp_path: Path) -> None:
    failed = {"filepath": "a.jpg", "failures": ["DETECTOR"]}
    survey = survey_of(tmp_path, failed, corrections=[correction("a.jpg", DEER, None)])
    assert survey.pictures[0].answer == DEER
    assert survey.sequences[0].answer == (DEER, 1.0, "review")


def test_rules_and_labels_are_those_of_the_model(tmp_path: Path) -> None:
    fenced = record("a.jpg", DEER, 0.95, country="KEN", taken="2024-05-01T06:30:00")
    survey = survey_of(tmp_path, fenced, dict(fenced, filepath="b.jpg"))
    assert survey.sequences[0].answer is not None
    assert "geofence" in survey.sequences[0].answer[2]
    assert set(survey.labels) == set(LABELS.values())
    path = tmp_path / "predictions.json"
    settings = path.with_name("predictions.json.run.json")
    settings.write_text(json.dumps({"model_name": "demo", "geofence": False}), encoding="utf-8")
    assert load(path).sequences[0].answer == (DEER, pytest.approx(0.95), "classifier")
    assert "geofence" in (load(path, geofence=True).sequences[0].answer or ("", 0, ""))[2]


@pytest.mark.parametrize("noted", [None, "/gone/package"])
def test_unknown_model_leaves_the_labels_of_the_file(
    tmp_path: Path, noted: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_predictions(tmp_path / "p.json", record("a.jpg"), record("b.jpg"), model=noted)
    with caplog.at_level("WARNING", "absl"):
        survey = load(path)
    assert "Name the model with --model" in caplog.text
    assert FOX in survey.labels
    assert UNKNOWN in survey.labels
    assert DEER not in survey.labels
    assert DEER in load(path, model="demo").labels
    with pytest.raises(ModelError):
        load(path, model="/gone/package")


def test_settings_of_a_run_name_its_model_and_geofence(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    for text in ("", "[]", '{"model_name": 5, "geofence": 0}', "{}", "\udce9"):
        settings = path.with_name("p.json.run.json")
        settings.write_text(text, encoding="utf-8", errors="surrogateescape")
        assert (model_of_run(path), is_geofenced(path)) == (None, True)
    past = tmp_path / "past.json"
    past.write_text(json.dumps({"predictions": [record("a.jpg")]}), encoding="utf-8")
    SpeciesNet("demo", components="ensemble", geofence=False).ensemble_from_past_runs(
        filepaths=["a.jpg"],
        detections_dict={"a.jpg": record("a.jpg")},
        classifications_dict={"a.jpg": record("a.jpg")},
        predictions_json=str(path),
    )
    assert (model_of_run(path), is_geofenced(path)) == ("demo", False)


def test_lasting_name_finds_a_package_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ModelInfo("demo").lasting_name == "demo"
    package = ModelInfo("demo").folder
    (tmp_path / "package").symlink_to(package)
    monkeypatch.chdir(tmp_path)
    name = ModelInfo("package").lasting_name
    monkeypatch.chdir("/")
    assert ModelInfo(name).version == "demo-1"
