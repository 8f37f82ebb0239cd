from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import Outcome, run_here
from photographs import photograph

try:
    import pyexiv2  # noqa: F401
except (ImportError, OSError) as error:
    pytest.skip(f'pyexiv2 is missing ({error}): the extra "xmp"', allow_module_level=True)

FOX = "u;mammalia;carnivora;canidae;vulpes;vulpes;red fox"


def write(*arguments: str | Path) -> Outcome:
    return run_here("write_keywords", *arguments)


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """Two photographs of a survey and their predictions."""
    records: list[dict[str, Any]] = [
        {
            "filepath": photograph(tmp_path / "survey" / "cam1" / "a.jpg"),
            "prediction": FOX,
            "prediction_score": 0.8,
        },
        {"filepath": photograph(tmp_path / "survey" / "cam2" / "a.jpg"), "failures": ["DETECTOR"]},
    ]
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps({"predictions": records}), encoding="utf-8")
    return path


def files(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def test_sidecars(predictions: Path, tmp_path: Path) -> None:
    survey = tmp_path / "survey"
    before = files(survey)
    dry = write(predictions, "--dry_run")
    assert dry.out == (
        f"{survey / 'cam1' / 'a.jpg.xmp'}: Red fox, Vulpes vulpes, animal\n"
        "1 sidecar would be written, 0 unchanged; 1 photograph has no answer.\n"
    )
    assert files(survey) == before
    done = write(predictions)
    assert (done.code, done.err) == (0, "")
    assert done.out == "1 sidecar written, 0 unchanged; 1 photograph has no answer.\n"
    assert write(predictions).out.startswith("0 sidecars written, 1 unchanged")
    assert files(survey) == ["cam1/a.jpg", "cam1/a.jpg.xmp", "cam2/a.jpg"]
    assert write(predictions, "--min_score", "0.9").out.startswith("1 sidecar written")
    assert files(survey) == before
    write(predictions, "--naming", "base", "--out", tmp_path / "out")
    assert files(tmp_path / "out") == ["cam1/a.xmp"]


def test_embedding(predictions: Path, tmp_path: Path) -> None:
    before = files(tmp_path)
    assert write(predictions, "--embed").out.startswith("1 photograph written, 0 unchanged")
    assert write(predictions, "--embed").out.startswith("0 photographs written, 1 unchanged")
    assert files(tmp_path) == before
    assert b"Vulpes vulpes" in (tmp_path / "survey" / "cam1" / "a.jpg").read_bytes()


def test_mistakes_end_in_one_sentence(predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "Pass one predictions file" in write().sentence
    assert "leave out --embed or --out" in write(predictions, "--embed", "--out", out).sentence
    assert "is not a folder; use a different" in write(predictions, "--out", predictions).sentence
    assert "is not a folder" in write(predictions, "--image_root", "gone").sentence
    assert "See --help" in write(predictions, "--naming", "odd").sentence
    sidecar = tmp_path / "survey" / "cam1" / "a.jpg.xmp"
    sidecar.write_text("junk")
    outcome = write(predictions)
    assert outcome.code == 1
    assert f"1 sidecar was skipped, such as {sidecar} (it contains no XMP)" in outcome.sentence
    assert sidecar.read_text() == "junk"


def test_photographs_that_moved(predictions: Path, tmp_path: Path) -> None:
    (tmp_path / "survey").rename(tmp_path / "now")
    assert "pass their folder with --image_root" in write(predictions).sentence
    assert write(predictions, "--image_root", tmp_path / "now").out.startswith("1 sidecar written")
