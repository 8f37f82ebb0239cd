"""Files for flags that repeat themselves, contradict themselves, or lack what they should contain."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from absl import logging
from commands import Outcome, run_here
from PIL import Image
from surveys import FOX, correction, record, write_predictions

from speciesnet.errors import InputError
from speciesnet.files.csv_rows import read_table
from speciesnet.files.input_notes import InputNotes
from speciesnet.images.instances import prepare_instances
from speciesnet.predictions.lookup import RecordsByFile

BOX = {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.1, 0.3, 0.3]}


def lines_of(tmp_path: Path, *instances: Mapping[str, object]) -> list[str]:
    path = tmp_path / "in.json"
    path.write_text(json.dumps({"instances": instances}))
    notes = InputNotes()
    prepare_instances(instances_json=str(path), notes=notes)
    return notes.lines()


def test_images_that_are_listed_again_are_counted(tmp_path: Path) -> None:
    images = ("a.jpg", "b.jpg", "a.jpg", "./a.jpg", "s3://x/a.jpg")
    [line] = lines_of(tmp_path, *({"filepath": name} for name in images))
    assert line.startswith(
        "2 images are listed again, and have a separate record each time, such as a.jpg"
    )


def test_half_a_position_is_counted(tmp_path: Path) -> None:
    [line] = lines_of(
        tmp_path,
        {"filepath": "a.jpg", "latitude": 1.5},
        {"filepath": "b.jpg", "latitude": 1.5, "longitude": 2},
    )
    assert line.startswith(
        "1 image has only a latitude or only a longitude, which is ignored, such as a.jpg"
    )


def test_unknown_fields_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "_log_counter_per_token", {})  # or another test has used it up
    lines_of(tmp_path, {"filepath": "a.jpg", "habitat": "wood"})
    assert 'has the field "habitat", which is not read' in caplog.text


def records_in(tmp_path: Path, *records: dict[str, object]) -> RecordsByFile:
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({"predictions": records}))
    return RecordsByFile(path, ["a.jpg", "b.jpg"])


def test_two_different_results_of_an_image_are_refused(tmp_path: Path) -> None:
    boxes: dict[str, object] = {"filepath": "a.jpg", "detections": [BOX]}
    assert len(records_in(tmp_path, boxes, {**boxes, "country": "KEN"})) == 1
    with pytest.raises(InputError, match=r"boxes\.json has two different entries for a\.jpg"):
        records_in(tmp_path, boxes, {"filepath": "a.jpg", "detections": []})


@pytest.mark.parametrize("text", ["", '{"predictions": [\n', '{"predictions": []}'])
def test_results_without_records_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "boxes.json").write_text(text)
    with pytest.raises(Exception, match=r"boxes\.json contains no records"):
        RecordsByFile(tmp_path / "boxes.json", ["a.jpg"])


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ({**BOX, "conf": "0.9"}, "conf is '0.9'"),
        ({**BOX, "conf": None}, "conf is None"),
        ({**BOX, "bbox": [0.1, 0.1, "0.3", 0.3]}, "bbox must be four numbers"),
        ({**BOX, "bbox": [0.1, 0.1, 0.3]}, "bbox must be four numbers"),
    ],
)
def test_numbers_as_text_are_refused(tmp_path: Path, box: object, reason: str) -> None:
    with pytest.raises(InputError, match=rf"detection 1: {reason}"):
        records_in(tmp_path, {"filepath": "a.jpg", "detections": [box]})


def test_workbook_in_place_of_a_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "deployments.csv"
    path.write_bytes(b"PK\x03\x04\x14\x00\xff\xfe")
    with pytest.raises(InputError, match="are in a spreadsheet workbook"):
        read_table(str(path), "deployments", [])


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("speciesnet_to_table", ["t.csv"]),
        ("speciesnet_to_table", ["t.csv", "--rows", "sequence"]),
        ("report", ["--out", "report"]),
        ("cameras", ["--no_pictures"]),
        ("sort_images", ["--out", "sorted"]),
        ("sort_images", ["--out", "sorted", "--by", "sequence"]),
        ("write_keywords", []),
        ("crops", ["--out", "crops"]),
        ("draw", ["--out", "drawn"]),
    ],
)
def test_corrections_of_other_images_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    one = record("s/cam1/a.jpg", taken="2024-05-01T06:30:00")
    predictions = write_predictions(tmp_path / "out.json", one)
    (tmp_path / "s" / "cam1").mkdir(parents=True)
    Image.new("RGB", (64, 48)).save(tmp_path / "s" / "cam1" / "a.jpg")
    lines = [
        json.dumps(correction(name, FOX).as_json()) for name in ("s/cam1/a.jpg", "s/cam9/z.jpg")
    ]
    path = tmp_path / "corrections.jsonl"
    path.write_text("\n".join(lines) + "\n")

    def run() -> Outcome:
        outcome = run_here(module, predictions, *arguments, "--corrections", path)
        assert outcome.code == 0, outcome.err
        return outcome

    note = "1 correction is for an image that the predictions do not contain, such as s/cam9/z.jpg."
    first = run()
    out = " ".join(first.out.split())  # lines may be filled
    assert out.count(note) == 1 and first.err.count(note) == 1
    path.write_text(lines[0] + "\n")
    again = run()
    assert "correction is of" not in again.out + again.err
