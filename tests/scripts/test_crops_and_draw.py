from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import run_here
from photographs import photograph
from surveys import DEER, FOX, HUMAN, answered_box, correction, record, write_predictions

from speciesnet.survey.corrections import corrections_path

DEER_FOLDER, FOX_FOLDER = "white-tailed deer (Odocoileus virginianus)", "red fox (Vulpes vulpes)"


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """A deer and a hiker in one photograph, a fox in another one."""
    walk = [
        answered_box(DEER, bbox=(0.1, 0.1, 0.3, 0.5)),
        answered_box(HUMAN, "human", bbox=(0.6, 0.1, 0.3, 0.8)),
    ]
    paths = [photograph(tmp_path / "s" / name) for name in ("cam1/a.jpg", "cam2/b.jpg")]
    records = [record(paths[0], DEER, boxes=walk), record(paths[1], FOX)]
    return write_predictions(tmp_path / "p.json", *records)


def files(folder: Path) -> list[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))
    return sorted(found)


def test_crops(predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run_here("crops", predictions, "--out", out)
    assert done.code == 0
    assert done.out == (
        f"Pictures of boxes in {out}: 2 written, 0 already there, 0 outdated ones removed; 1 left out "
        "because of people.\n"
    )
    assert files(out) == [f"{FOX_FOLDER}/cam2/b.jpg-box1.jpg", f"{DEER_FOLDER}/cam1/a.jpg-box1.jpg"]
    again = run_here("crops", predictions, "--out", out, "--people", "include")
    assert "2 written, 1 already there, 0 outdated ones removed; 0 left out" in again.out


def test_corrections_are_applied_unless_they_are_turned_off(
    predictions: Path, tmp_path: Path
) -> None:
    line = correction(tmp_path / "s" / "cam2" / "b.jpg", DEER).as_json()
    corrections_path(predictions).write_text(json.dumps(line) + "\n", encoding="ascii")
    for flags, folder in (((), DEER_FOLDER), (("--corrections", "none"), FOX_FOLDER)):
        out = tmp_path / f"out{len(flags)}"
        assert run_here("crops", predictions, "--out", out, *flags).code == 0
        assert f"{folder}/cam2/b.jpg-box1.jpg" in files(out)


def test_draw(predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run_here("draw", predictions, "--out", out, "--blur_humans", "--min_confidence", "0.5")
    assert done.out.startswith(f"Pictures in {out}: 2 written, 0 already there")
    assert files(out) == ["cam1/a.jpg", "cam2/b.jpg"]
    assert "1 written, 1 already there" in run_here("draw", predictions, "--out", out).out


def test_photographs_that_moved(predictions: Path, tmp_path: Path) -> None:
    (tmp_path / "s").rename(tmp_path / "moved")
    out = tmp_path / "out"
    lost = run_here("draw", predictions, "--out", out)
    assert lost.code == 1
    assert "None of the 2 photographs with boxes" in lost.err
    found = run_here("draw", predictions, "--out", out, "--image_root", tmp_path / "moved")
    assert found.code == 0
    assert len(files(out)) == 2


@pytest.mark.parametrize("command", ["crops", "draw"])
def test_wrong_folders(predictions: Path, tmp_path: Path, command: str) -> None:
    assert "Pass the folder for the pictures" in run_here(command, predictions).err
    refused = run_here(command, predictions, "--out", tmp_path / "s")
    assert refused.code == 1
    assert "contains other files" in refused.err
    assert "is not a folder" in run_here(command, predictions, "--out", predictions).err


def test_unreadable_photograph_is_reported(predictions: Path, tmp_path: Path) -> None:
    (tmp_path / "s" / "cam2" / "b.jpg").write_bytes(b"no image")
    done = run_here("crops", predictions, "--out", tmp_path / "out")
    assert done.code == 1
    assert "1 photograph or box was skipped" in done.err
    assert files(tmp_path / "out") == [f"{DEER_FOLDER}/cam1/a.jpg-box1.jpg"]
