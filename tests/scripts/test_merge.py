"""Parallel jobs, and the file that merges their outputs."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Outcome, run_here

from speciesnet.images.instances import find_images
from speciesnet.predictions.layout import save_predictions

PARTS = 3  # into one of which none of the images falls
DEMO = ("--model", "demo", "--precision", "fp32", "--noprogress_bars")


def check_mistake(outcome: Outcome, *words: str) -> None:
    assert outcome.code == 1 and outcome.out == ""
    assert outcome.err == f"{outcome.sentence}\n"
    for word in words:
        assert word in outcome.sentence


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with six links to sample images."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, sample in enumerate(find_images(["demo"])[:6]):
        (folder / f"{number}.jpg").symlink_to(sample)
    return folder


def test_parts_together_are_the_whole_run(images: Path, tmp_path: Path) -> None:
    given = (
        *DEMO,
        "--folders",
        images.name,
    )  # relative, so that the parts are always the same
    outcome = run_here("run_model", *given, "--predictions_json", "whole.json", cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    parts = []
    for number in range(1, PARTS + 1):
        part = tmp_path / f"part-{number}.json"
        shard = ("--shard", f"{number}/{PARTS}")
        outcome = run_here("run_model", *given, *shard, "--predictions_json", part, cwd=tmp_path)
        assert outcome.code == 0, outcome.err
        if part.exists():
            parts.append(part)
        else:
            assert outcome.err == ""
            assert outcome.out == f"Part {number}/{PARTS} contains no images; nothing is written.\n"
    assert 1 < len(parts) < PARTS
    merged = tmp_path / "merged.json"
    # As a shell pattern expands, with their companion files.
    outcome = run_here("merge", merged, *sorted(tmp_path.glob("part-*")))
    assert outcome.out == f"6 images, 0 of them failed: {merged}\n"
    for name in ("{}.json", "{}.json.run.json"):
        content = [(tmp_path / name.format(run)).read_bytes() for run in ("merged", "whole")]
        assert content[0] == content[1]


def test_invalid_part(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    outcome = run_here(
        "run_model", "--folders", images, "--shard", "4/3", "--predictions_json", out
    )
    check_mistake(outcome, "--shard", "'4/3'", "I/N")
    assert not out.exists()


@pytest.fixture
def part(tmp_path: Path) -> Path:
    path = tmp_path / "part.json"
    save_predictions({"predictions": [{"filepath": "a", "prediction": "blank"}]}, str(path))
    return path


def test_mistakes(part: Path, tmp_path: Path) -> None:
    check_mistake(run_here("merge"), "out.json out-1.json")
    check_mistake(run_here("merge", part), "out.json out-1.json")
    check_mistake(run_here("merge", part, part), "overwrite the part")
    check_mistake(run_here("merge", tmp_path, part), "The output", "is a folder")
    check_mistake(run_here("merge", tmp_path / "no" / "out.json", part), "Create")
    check_mistake(run_here("merge", "https://example.org/out.json", part), "on the web")
    out = tmp_path / "out.json"
    check_mistake(run_here("merge", out, tmp_path / "no.json"), "no.json", "cannot be read")
    part.write_text("[]")
    check_mistake(run_here("merge", out, part), str(part))
    assert not out.exists()
