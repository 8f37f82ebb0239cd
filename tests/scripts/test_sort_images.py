from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import Outcome, run_here
from photographs import photograph
from PIL import ExifTags

FOX = "u;mammalia;carnivora;canidae;vulpes;vulpes;red fox"


def sort(*arguments: str | Path) -> Outcome:
    return run_here("sort_images", *arguments)


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """Two photographs of a survey and their predictions."""
    taken = {ExifTags.Base.DateTimeOriginal: "2024:05:01 06:30:00"}
    records: list[dict[str, Any]] = [
        {
            "filepath": photograph(tmp_path / "survey" / "cam1" / "a.jpg", details=taken),
            "prediction": FOX,
            "prediction_score": 0.8,
        },
        {"filepath": photograph(tmp_path / "survey" / "cam2" / "a.jpg"), "failures": ["DETECTOR"]},
    ]
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps({"predictions": records}), encoding="utf-8")
    return path


def test_doubtful_dates_are_in_the_summary(tmp_path: Path) -> None:
    taken = {ExifTags.Base.DateTimeOriginal: "2000:01:01 00:00:00"}
    photo = photograph(tmp_path / "survey" / "a.jpg", details=taken)
    path = tmp_path / "p.json"
    records = [{"filepath": photo, "prediction": FOX, "prediction_score": 0.8}]
    path.write_text(json.dumps({"predictions": records}), encoding="utf-8")
    outcome = sort(path, "--out", tmp_path / "out", "--by", "sequence")
    assert outcome.code == 0, outcome.err
    assert f"1 photograph has a date before 2001 or in the future, such as {photo}" in outcome.out


def files(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


@pytest.mark.parametrize("how", ["copy", "hardlink", "move"])
def test_sorting_and_taking_back(predictions: Path, tmp_path: Path, how: str) -> None:
    out, survey = tmp_path / "out", tmp_path / "survey"
    before = files(survey)
    dry = sort(predictions, "--out", out, "--how", how, "--dry_run")
    assert f"{how} {survey / 'cam1' / 'a.jpg'} -> {out / 'red fox (Vulpes vulpes)'}" in dry.out
    assert "2 photographs would be sorted" in dry.out
    assert not out.exists()

    done = sort(predictions, "--out", out, "--how", how)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"2 photographs sorted ({how}) into {out}; none was already there.\n"
    sorted_files = ["failed/cam2/a.jpg", "red fox (Vulpes vulpes)/cam1/a.jpg", "undo.jsonl"]
    assert files(out) == sorted_files
    again = sort(predictions, "--out", out, "--how", how)
    assert again.out == f"0 photographs sorted ({how}) into {out}; 2 were already there.\n"

    assert (
        sort("--undo", "--out", out, "--dry_run").out
        == "Sorting would be undone for 2 photographs.\n"
    )
    assert files(out) == sorted_files
    assert sort("--undo", "--out", out).out == "Sorting undone for 2 photographs.\n"
    assert not out.exists()
    assert files(survey) == before


def test_sorting_by_category_and_by_sequence(predictions: Path, tmp_path: Path) -> None:
    sort(predictions, "--out", tmp_path / "a", "--by", "category", "--min_score", "0.9")
    assert files(tmp_path / "a")[0::2] == ["failed/cam2/a.jpg", "unsure/cam1/a.jpg"]
    for _ in range(2):  # moved photographs are opened at their new place
        outcome = sort(
            predictions, "--out", tmp_path / "b", "--by", "sequence", "--how", "move",
            "--sequence_gap", "10",
        )  # fmt: skip
        assert outcome.code == 0, outcome.err
        names = ["2024-05-01_063000_0001/cam1/a.jpg", "undated_0001/cam2/a.jpg", "undo.jsonl"]
        assert files(tmp_path / "b") == names


def test_moved_and_missing_photographs(predictions: Path, tmp_path: Path) -> None:
    (tmp_path / "survey").rename(tmp_path / "now")
    out = tmp_path / "out"
    assert "pass their folder with --image_root" in sort(predictions, "--out", out).sentence
    assert not out.exists()
    (tmp_path / "now" / "cam2" / "a.jpg").unlink()
    found = sort(predictions, "--out", out, "--image_root", tmp_path / "now")
    assert found.code == 0
    assert "1 of 2 photographs is not where the predictions say, such as " in found.err
    assert "cam2/a.jpg; they are not sorted" in found.err


def test_existing_files_end_in_one_sentence(predictions: Path, tmp_path: Path) -> None:
    taken = tmp_path / "out" / "failed" / "cam2" / "a.jpg"
    taken.parent.mkdir(parents=True)
    taken.write_text("someone's")
    outcome = sort(predictions, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "1 of 2 photographs was skipped" in outcome.sentence
    assert f"there is another file at {taken}" in outcome.sentence
    assert taken.read_text() == "someone's"


def test_dry_run_ends_quietly_when_its_reader_ends(predictions: Path, tmp_path: Path) -> None:
    many = json.loads(predictions.read_text())["predictions"][:1] * 2000  # more than a pipe holds
    predictions.write_text(json.dumps({"predictions": many}))
    command = f'"{sys.executable}" -m speciesnet.scripts.sort_images predictions.json --out out'
    done = subprocess.run(
        ["bash", "-c", f"{command} --dry_run | head -1; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (141, b"")
    assert done.stdout.count(b"\n") == 1


def test_mistakes_end_in_one_sentence(predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "such as --out sorted" in sort(predictions).sentence
    assert "Pass one predictions file" in sort("--out", out).sentence
    assert "--undo takes no predictions file" in sort("--undo", predictions, "--out", out).sentence
    assert "there is nothing to undo" in sort("--undo", "--out", out).sentence
    assert "is not a folder; use a different" in sort(predictions, "--out", predictions).sentence
    assert "is not a folder" in sort(predictions, "--out", out, "--image_root", "gone").sentence
    assert "must be a number" in sort(predictions, "--out", out, "--min_score", "nan").sentence
    assert "See --help" in sort(predictions, "--out", out, "--how", "burn").sentence
    assert "is not a folder). Fix" in sort(predictions, "--out", predictions / "out").sentence
    assert not out.exists()


def test_undo_reports_what_it_keeps(predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    sort(predictions, "--out", out)
    (out / "failed" / "cam2" / "a.jpg").write_text("changed")
    outcome = sort("--undo", "--out", out)
    assert outcome.out == "Sorting undone for 1 photograph.\n"
    assert "failed/cam2/a.jpg (it has been changed since)" in outcome.sentence
    assert files(out) == ["failed/cam2/a.jpg", "undo.jsonl"]
