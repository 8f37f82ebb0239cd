from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Outcome, run_here
from photographs import photograph
from surveys import BLANK, FOX, correction, record, write_predictions

from speciesnet.survey.corrections import CorrectionsFile, corrections_path


def report(*arguments: str | Path) -> Outcome:
    return run_here("report", *arguments)


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    paths = [photograph(tmp_path / "survey" / f"{name}.jpg") for name in "ab"]
    records = [record(paths[0], FOX), record(paths[1], BLANK)]
    for one in records:
        del one["metadata"]
    return write_predictions(tmp_path / "predictions.json", *records)


def test_report_is_made_and_updated(predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        done = report(predictions, "--out", out)
        assert done.code == 0
        assert done.err.startswith("2 of 2 images done")
        assert len(done.err.splitlines()) == 1
        assert done.out == f"Report of 2 images: {out / 'index.html'}\n"
    assert (out / "species-red-fox.html").is_file()
    assert predictions.read_text(encoding="utf-8").startswith("{")


def test_photographs_that_moved(predictions: Path, tmp_path: Path) -> None:
    (tmp_path / "survey").rename(tmp_path / "now")
    (tmp_path / "now" / "b.jpg").unlink()
    out = tmp_path / "out"
    done = report(predictions, "--out", out)
    assert done.code == 0
    assert "2 of 2 photographs are not where the predictions say, such as " in done.err
    assert "; the report shows them without" in done.err
    assert "--image_root" in done.err
    done = report(predictions, "--out", out, "--image_root", tmp_path / "now")
    assert "1 of 2 photographs is not where" in done.err
    assert len(list((out / "thumbs").rglob("*.jpg"))) == 1


def test_corrections_are_applied_by_default(predictions: Path, tmp_path: Path) -> None:
    with CorrectionsFile(corrections_path(predictions)) as file:
        file.add([correction(tmp_path / "survey" / "b.jpg", FOX, BLANK)])
    out = tmp_path / "out"
    assert report(predictions, "--out", out).code == 0
    assert not (out / "species-blank.html").exists()
    assert report(predictions, "--out", out, "--corrections", "none").code == 0
    assert (out / "species-blank.html").exists()


def test_unknown_model(predictions: Path, tmp_path: Path) -> None:
    predictions.with_name("predictions.json.run.json").unlink()
    out = tmp_path / "out"
    done = report(predictions, "--out", out)
    assert done.code == 0
    assert "Name the model with --model" in done.err
    assert "--model" not in report(predictions, "--out", out, "--model", "demo").err


def test_mistakes_end_in_one_sentence(predictions: Path, tmp_path: Path) -> None:
    out, mine = tmp_path / "out", tmp_path / "survey"
    assert "such as --out report" in report(predictions).sentence
    assert "Pass one predictions file" in report("--out", out).sentence
    assert "cannot be read" in report(tmp_path / "gone.json", "--out", out).sentence
    assert "contains other files" in report(predictions, "--out", mine).sentence
    assert "is not a folder" in report(predictions, "--out", predictions).sentence
    assert "is not a folder" in report(predictions, "--out", out, "--image_root", "gone").sentence
    assert (
        "There is no file gone"
        in report(predictions, "--out", out, "--corrections", "gone").sentence
    )
    assert "gone" in report(predictions, "--out", out, "--model", "gone").sentence
    assert "See --help" in report(predictions, "--out", out, "--sequence_gap", "-1").sentence
    empty = write_predictions(tmp_path / "empty.json")
    assert "contains no records yet" in report(empty, "--out", out).sentence
    empty.write_text(json.dumps([]), encoding="utf-8")
    assert "is not a predictions file" in report(empty, "--out", out).sentence
    assert not out.exists()
    assert sorted(path.name for path in mine.iterdir()) == ["a.jpg", "b.jpg"]


def test_help_is_short() -> None:
    done = report("--help")
    assert (done.code, done.err) == (0, "")
    assert "--blur_humans" in done.out


def test_answers_below_their_thresholds_are_not_shown(predictions: Path, tmp_path: Path) -> None:
    table, out = tmp_path / "t.csv", tmp_path / "out"
    table.write_text("species,threshold\nred fox,0.95\n")
    done = report(predictions, "--out", out, "--thresholds", table)
    assert done.code == 0, done.err
    assert "1 answer below its threshold" in done.err
    assert (out / "species-animal.html").is_file() and not (out / "species-red-fox.html").exists()
