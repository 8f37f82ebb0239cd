from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Outcome, run_here

WHO = ("--title", "Lions", "--contributor", "Jane", "--timezone", "+03:00")


def convert(*arguments: str | Path) -> Outcome:
    return run_here("speciesnet_to_camtrap_dp", *arguments)


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    path = tmp_path / "predictions.json"
    metadata = {"datetime": "2024-05-01T06:30:00", "latitude": -1.29, "longitude": 36.82}
    record = {"filepath": "/survey/cam/a.jpg", "detections": [], "metadata": metadata}
    path.write_text(json.dumps({"predictions": [record]}), encoding="utf-8")
    return path


def test_package_is_written(predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "package"
    outcome = convert(predictions, out, *WHO)
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"1 photograph in 1 event of 1 deployment: {out}\n"
    assert sorted(path.name for path in out.iterdir()) == [
        "datapackage.json", "deployments.csv", "media.csv", "observations.csv",
    ]  # fmt: skip


def test_mistakes_end_in_one_sentence(predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "package"
    assert "Pass a file and a folder" in convert(predictions).sentence
    assert "add --contributor" in convert(predictions, out, "--title", "Lions").sentence
    assert "must be simpleRandom" in convert(predictions, out, *WHO, "--sampling_design=x").sentence
    assert "cannot be made" in convert(predictions, tmp_path / "a" / "b", *WHO).sentence
    assert "cannot be read" in convert(tmp_path / "gone.json", out, *WHO).sentence
    missing = convert(predictions, out, *WHO, "--deployments", tmp_path / "gone.csv")
    assert "deployments" in missing.sentence
    assert not out.exists()


def test_summary_counts_what_needs_a_look(predictions: Path, tmp_path: Path) -> None:
    table = tmp_path / "deployments.csv"
    table.write_text("deploymentID,deploymentEnd\ncam,2024-04-01T00:00:00\n")
    outcome = convert(predictions, tmp_path / "package", *WHO, "--deployments", table)
    assert "ends at 2024-04-01" in outcome.sentence
    table.write_text(
        "deploymentID,deploymentStart,deploymentEnd\ncam,2024-04-01T00:00:00,2024-04-02T00:00:00\n"
    )
    outcome = convert(predictions, tmp_path / "package", *WHO, "--deployments", table)
    *_, note = outcome.out.splitlines()
    assert note.startswith("1 photograph is outside the period of its deployment: a.jpg (2024-")
    assert note in outcome.err


def test_several_contributors_and_licences(predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "package"
    licences = ("--license_data", "CC0-1.0", "--license_media", "CC-BY-4.0")
    outcome = convert(predictions, out, *WHO, "--contributor", "Trust; rightsHolder", *licences)
    assert outcome.code == 0, outcome.err
    descriptor = json.loads((out / "datapackage.json").read_text())
    assert [one["title"] for one in descriptor["contributors"]] == ["Jane", "Trust"]
    assert descriptor["licenses"][0] == {"name": "CC0-1.0", "scope": "data"}
    wrong = convert(predictions, out, *WHO, "--contributor", "Jane; boss")
    assert "it must be a role" in wrong.sentence
    assert "add --license_media" in convert(predictions, out, *WHO, *licences[:2]).sentence
