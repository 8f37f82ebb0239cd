"""The command that finds cameras that failed."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from commands import run_here
from PIL import Image
from surveys import BLANK, FOX, box, record, write_predictions

START = datetime(2024, 5, 1, 10)
TABLE = (
    "deploymentID,deploymentStart,deploymentEnd\ncam1,2024-05-01,2024-06-10\n"
    "cam2,2024-05-01,2024-05-20\n"
)


def picture(path: Path, seed: int) -> None:
    """A landscape of colored cells, with some noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), np.uint8)
    Image.fromarray(cells).resize((96, 72), Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """A camera that stops early, and one that falls over on its tenth day."""
    records = []
    for name, count in (("cam1", 20), ("cam2", 20)):
        for day in range(count):
            path = tmp_path / "s" / name / f"{day:02}.jpg"
            picture(path, 1 if name == "cam1" or day < 10 else 2)
            taken = (START + timedelta(days=day)).isoformat()
            records.append(record(path, FOX if day % 2 else BLANK, taken=taken))
    (tmp_path / "deployments.csv").write_text(TABLE, encoding="utf-8")
    return write_predictions(tmp_path / "p.json", *records)


def test_findings_are_printed_and_written(predictions: Path, tmp_path: Path) -> None:
    table, out, page = (tmp_path / name for name in ("table.csv", "new.csv", "page"))
    done = run_here(
        "cameras", predictions, "--deployments", tmp_path / "deployments.csv", "--csv", table,
        "--deployments_out", out, "--html", page,
    )  # fmt: skip
    assert done.code == 0
    assert "2 cameras, 2 with findings; they worked on 38 of 59 trap nights." in done.out
    assert (
        "    40      19  cam1\n  2024-05-20  stopped early: No photographs for 21 days" in done.out
    )
    assert "    19      19  cam2\n  2024-05-11  view changed: The view changed" in done.out
    assert max(map(len, done.out.replace(str(tmp_path), "").splitlines())) <= 80
    with table.open(newline="") as file:
        kinds = [row["finding"] for row in csv.DictReader(file)]
    assert kinds == ["effort", "stopped", "effort", "view"]
    assert "deploymentEnd was 2024-06-10: stopped early" in out.read_text()
    html = (page / "index.html").read_text(encoding="utf-8")
    assert html.count("<article") == 2 and html.count("<img") == 2
    again = run_here("cameras", predictions, "--html", page)
    assert again.code == 0 and "Without --deployments" in again.out


def test_pictures_can_be_left_out(predictions: Path) -> None:
    done = run_here("cameras", predictions, "--no_pictures")
    assert "0 with findings;" in done.out
    assert (
        "Because of --no_pictures, the command did not look for changes in the scene." in done.out
    )


def test_missing_photographs_are_counted(predictions: Path, tmp_path: Path) -> None:
    first, *others = (tmp_path / "s" / "cam2").iterdir()
    first.unlink()
    done = run_here("cameras", predictions)
    assert "1 of 40 chosen photographs was not found" in " ".join(done.out.split())
    for path in others:
        path.unlink()
    done = run_here("cameras", predictions)
    assert "20 of 40 chosen photographs were not found" in " ".join(done.out.split())


def test_pictures_of_people_are_not_shown(tmp_path: Path) -> None:
    records = []
    for day in range(20):
        path = tmp_path / "s" / "cam1" / f"{day:02}.jpg"
        picture(path, 1 if day < 10 else 2)
        taken = (START + timedelta(days=day)).isoformat()
        records.append(record(path, FOX, taken=taken, boxes=[box("human")]))
    page = tmp_path / "page"
    run_here("cameras", write_predictions(tmp_path / "p.json", *records), "--html", page)
    html = (page / "index.html").read_text(encoding="utf-8")
    assert "View changed" in html and "<img" not in html


def test_films_are_counted(tmp_path: Path) -> None:
    films = [record(tmp_path / f"{n}.mp4", FOX, taken=f"2024-05-0{n}T10:00:00") for n in (1, 2)]
    done = run_here("cameras", write_predictions(tmp_path / "p.json", *films))
    assert "The scenes of 2 films were not compared." in done.out


def test_one_photograph_has_no_findings(tmp_path: Path) -> None:
    path = tmp_path / "s" / "a.jpg"
    picture(path, 1)
    one = record(path, FOX, taken="2024-05-01T10:00:00")
    done = run_here("cameras", write_predictions(tmp_path / "p.json", one))
    assert "1 camera, 0 with findings; it worked on 0 of 0 trap nights." in done.out


def error_of(*arguments: str | Path) -> str:
    done = run_here("cameras", *arguments)
    assert done.code == 1
    return " ".join(done.err.split())


def test_bad_input_is_explained(predictions: Path, tmp_path: Path) -> None:
    undated = write_predictions(tmp_path / "u.json", record("cam1/a.jpg"))
    assert "None of the photographs has a date" in error_of(undated)
    empty = write_predictions(tmp_path / "e.json")
    assert "contains no records yet" in error_of(empty)
    table = tmp_path / "deployments.csv"
    table.write_text("deploymentID\nother\n", encoding="utf-8")
    assert "do not belong to any deployment in" in error_of(predictions, "--deployments", table)
    assert "would overwrite the table of deployments" in error_of(
        predictions, "--deployments", table, "--deployments_out", table
    )
    assert "would overwrite the predictions" in error_of(predictions, "--csv", predictions)
    assert "name the same file" in error_of(
        predictions, "--csv", "a.csv", "--deployments_out", "a.csv"
    )
    assert "must end with .csv or .parquet" in error_of(
        predictions, "--no_pictures", "--csv", "a.txt"
    )
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    assert "contains other files" in error_of(
        predictions, "--no_pictures", "--html", tmp_path / "full"
    )


def test_report_of_another_command_is_not_overwritten(predictions: Path, tmp_path: Path) -> None:
    run_here("report", predictions, "--out", tmp_path / "report")
    error = error_of(predictions, "--no_pictures", "--html", tmp_path / "report")
    assert "contains other files. Pass an empty or new folder to --html." in error
