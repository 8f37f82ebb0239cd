"""Estimates of a run that is not executed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from commands import Outcome, run_here, run_module

from speciesnet.images.instances import find_images
from speciesnet.predictions.layout import save_predictions

SAMPLES = find_images(["demo"])
DEMO = ("--model", "demo", "--folders", "demo", "--dry_run", "--log_level", "warning")
GIVEN = ("--images_per_second", "2", "--machines", "3", "--price_per_hour", "0.5")


def check_mistake(outcome: Outcome, *words: str) -> None:
    assert outcome.code == 1 and outcome.out == ""
    assert outcome.err == f"{outcome.sentence}\n"
    for word in words:
        assert word in outcome.sentence


def test_speed_that_is_given(tmp_path: Path) -> None:
    outcome = run_here("run_model", *DEMO, *GIVEN, cwd=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    first, speed, hours, cost = outcome.out.splitlines()
    left = len(SAMPLES)
    assert first == f"{left} images, 0 of them already done: {left} to do."
    assert speed == "2 images/s on a machine, as specified."
    assert hours == "3 machines: 0.00 hours (00:03), not counting start-up."
    assert cost == "0.00 at 0.50 per machine per hour."
    assert not list(tmp_path.iterdir())


def test_finished_images_count_once_and_nothing_is_written(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    records = [
        {"filepath": SAMPLES[0], "prediction": "blank"},
        {"filepath": SAMPLES[1], "failures": ["DETECTOR"]},
        {"filepath": "/another.jpg", "prediction": "blank"},
    ]
    save_predictions({"predictions": records}, str(out))
    before = out.read_bytes()
    outcome = run_here("run_model", *DEMO, *GIVEN, "--predictions_json", out)
    assert f"{len(SAMPLES)} images, 1 of them already done" in outcome.out
    assert out.read_bytes() == before and [*tmp_path.iterdir()] == [out]


def test_all_is_done(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    records = [{"filepath": path, "prediction": "blank"} for path in SAMPLES]
    save_predictions({"predictions": records}, str(out))
    outcome = run_here("run_model", *DEMO, "--predictions_json", out)
    assert outcome.out == f"{len(SAMPLES)} images, all of them already done.\n"


def test_speed_that_is_measured(tmp_path: Path) -> None:
    few = tmp_path / "few.txt"
    few.write_text("\n".join(SAMPLES[:5]))
    outcome = run_here("run_model", "--model", "demo", "--filepaths_txt", few, "--dry_run")
    assert outcome.code == 0, outcome.err
    assert "images/s on a machine, measured here on some of the images." in outcome.out
    assert [*tmp_path.iterdir()] == [few]


@pytest.mark.parametrize(
    "flag", ["images_per_second=0", "images_per_second=nan", "machines=0", "price_per_hour=-1",
             "price_per_hour=inf", "images_per_second=fast"]
)  # fmt: skip
def test_invalid_values(flag: str) -> None:
    check_mistake(run_here("run_model", *DEMO, f"--{flag}"), f"--{flag.partition('=')[0]}")


def test_single_steps_cannot_be_estimated() -> None:
    check_mistake(run_here("run_model", *DEMO, "--detector_only"), "--dry_run", "--detector_only")


@pytest.mark.parametrize("flag", ["machines", "price_per_hour", "images_per_second"])
def test_prices_require_a_dry_run(tmp_path: Path, flag: str) -> None:
    out = tmp_path / "out.json"
    outcome = run_here(
        "run_model", *DEMO, "--nodry_run", "--predictions_json", out, f"--{flag}", "2"
    )
    check_mistake(outcome, f"--{flag}", "--dry_run")
    assert not out.exists()


def test_file_of_another_kind(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    out.write_text("[]")
    check_mistake(run_here("run_model", *DEMO, "--predictions_json", out), str(out))
    assert out.read_text() == "[]"


# On a cluster, before it is connected.


def on_ray(*arguments: str | Path) -> Outcome:
    return run_here("run_on_ray", "--model", "demo", *arguments)


@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="needs speciesnet[ray]")
def test_mistakes_in_a_run_on_a_cluster(tmp_path: Path) -> None:
    out = ("--output", tmp_path / "out")
    images = ("--instances", "demo")
    file = tmp_path / "file"
    file.touch()
    check_mistake(on_ray(*out), "--instances is missing")
    check_mistake(on_ray(*images), "--output is missing")
    check_mistake(on_ray(*images, "--output", file), "--output", "is a file")
    check_mistake(on_ray(*images, "--output", "https://site.org/out"), "on the web")
    check_mistake(on_ray(*images, *out, "--model", tmp_path / "none"), "none")
    check_mistake(on_ray(*images, *out, "--format", "csv"), "--format")
    auto = ("--precision", "auto", "--classifiers", "2")
    check_mistake(on_ray(*images, *out, *auto), "--classifiers", "--precision auto")
    for flag in ("shard_size=0", "batch_size=0", "threads=0", "readers=0", "detector_cpus=-1",
                 "classifier_gpus=nan", "precision=int8"):  # fmt: skip
        check_mistake(on_ray(*images, *out, f"--{flag}"), f"--{flag.partition('=')[0]}")
    check_mistake(on_ray(*images, *out, "--address", "ray://h:1"), "ray job submit")
    outcome = run_module("run_on_ray", *images, *out, "--model", "demo", "--address", "127.0.0.1:1")
    check_mistake(outcome, "no Ray cluster at 127.0.0.1:1")
    assert [*tmp_path.iterdir()] == [file]
