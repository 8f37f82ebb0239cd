from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from commands import Outcome, run_here, run_module

RECORD = {"filepath": "/survey/a.jpg", "detections": []}


def convert(*arguments: str | Path) -> Outcome:
    return run_here("speciesnet_to_md", *arguments)


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps({"predictions": [RECORD]}), encoding="utf-8")
    return path


def test_file_is_converted(predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "md.json"
    outcome = convert(predictions, out, "--base_folder", "/survey")
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"1 image: {out}\n"
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["images"] == [{"file": "a.jpg", "detections": []}]


@pytest.mark.skipif(os.name == "nt", reason="/dev/stdout")
def test_standard_output_contains_only_the_file(predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    out.symlink_to(
        "/dev/stdout"
    )  # never the device's own name: a mistake may cost the system its own
    outcome = run_module("speciesnet_to_md", predictions, out)
    assert json.loads(outcome.out)["images"] == [{"file": "/survey/a.jpg", "detections": []}]
    assert outcome.err == f"1 image: {out}\n"


def test_help_fits_a_screen() -> None:
    outcome = convert("--help")
    assert outcome.code == 0
    assert "--base_folder" in outcome.out
    assert len(outcome.out.splitlines()) < 24


def test_mistakes_end_in_one_sentence(predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "md.json"
    assert "Pass two files" in convert(predictions).sentence
    assert "'more' does not belong to a flag" in convert(predictions, out, "more").sentence
    assert "would overwrite the predictions" in convert(predictions, predictions).sentence
    said = predictions.with_name("predictions.json.corrections.jsonl")
    said.write_text("")
    assert "would overwrite the corrections" in convert(predictions, said).sentence
    assert "cannot be read" in convert(tmp_path / "missing.json", out).sentence
    (tmp_path / "rubbish.json").write_text("{}")
    assert "is not a predictions file" in convert(tmp_path / "rubbish.json", out).sentence
    (tmp_path / "boxes.json").write_text('{"images": []}')
    assert "as --detections_json to a run" in convert(tmp_path / "boxes.json", out).sentence
    assert not out.exists()
    assert json.loads(predictions.read_text())["predictions"] == [RECORD]
