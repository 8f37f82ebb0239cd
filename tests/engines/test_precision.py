from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from speciesnet import SpeciesNet
from speciesnet.engines.base import EngineOptions
from speciesnet.engines.precision import TrialCache, first_difference
from speciesnet.engines.select import reduced_precision
from speciesnet.networks import Networks
from speciesnet.records import Record

RECORD: Record = {
    "filepath": "a.jpg",
    "classifications": {"classes": ["x;fox", "y;deer", "z;bear"], "scores": [0.8, 0.15, 0.02]},
    "detections": [
        {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]},
        {"category": "2", "label": "human", "conf": 0.05, "bbox": [0.5, 0.5, 0.1, 0.1]},
    ],
    "prediction": "x;fox",
    "prediction_score": 0.8,
    "prediction_source": "classifier",
}


def changed(**paths: Any) -> Record:
    """The record with other values at paths such as ``detections__0__conf``."""
    record = copy.deepcopy(RECORD)
    for path, value in paths.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("__")]
        place: Any = record
        for part in parents:
            place = place[part]
        place[last] = value
    return record


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"prediction_score": 0.808},
        {"classifications__scores": [0.792, 0.158, 0.02]},
        {"classifications__classes": ["x;fox", "y;deer", "w;bird"]},
        {"detections__0__conf": 0.893},
        {"detections__0__bbox": [0.101, 0.199, 0.3, 0.4]},
        {"detections__1__bbox": [0.6, 0.5, 0.1, 0.1]},
    ],
)
def test_small_changes_do_not_count_as_a_difference(change: dict[str, Any]) -> None:
    assert first_difference([RECORD], [changed(**change)]) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prediction": "y;deer"}, "a.jpg: prediction x;fox"),
        ({"prediction_source": "detector"}, "prediction_source classifier"),
        ({"prediction_score": 0.82}, "score 0.800, in lower precision 0.820"),
        ({"failures": ["DETECTOR"]}, "failures"),
        ({"classifications__scores": [0.8, 0.13, 0.02]}, "deer 0.150"),
        ({"classifications__classes": ["x;fox", "w;bird", "z;bear"]}, "deer 0.150"),
        ({"detections__0__conf": 0.88}, "animal 0.900"),
        ({"detections__0__bbox": [0.103, 0.2, 0.3, 0.4]}, "animal 0.900"),
        ({"detections__0__category": "2"}, "animal 0.900"),
        ({"detections__1__conf": 0.2}, "human 0.200"),
        ({"detections__0__conf": float("nan")}, "animal 0.900"),
        ({"prediction_score": float("nan")}, "in lower precision nan"),
        ({"classifications__classes": ["x;fox", "w;bird", "y;deer"]}, "0.150"),
    ],
)
def test_larger_changes_are_named(change: dict[str, Any], said: str) -> None:
    difference = first_difference([RECORD, RECORD], [RECORD, changed(**change)])
    assert difference is not None
    assert said in difference


def test_detector_alone_is_compared_by_its_boxes() -> None:
    one: Record = {"filepath": "a.jpg", "detections": RECORD.get("detections", [])}
    assert first_difference([one], [copy.deepcopy(one)]) is None
    assert first_difference([one], [{"filepath": "a.jpg", "detections": []}]) is not None


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPECIESNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_verdict_is_kept_for_the_same_parts(cache: Path) -> None:
    TrialCache("model", 1).write(None)
    TrialCache("model", 3).write("a score is another")
    assert TrialCache("model", 1).read() is True
    assert TrialCache("model", 2).read() is None
    assert TrialCache("model", 3).read() is False
    for file in (cache / "precision").iterdir():
        file.write_text("rubbish")
    assert TrialCache("model", 1).read() is None


def test_cache_that_cannot_be_written_is_done_without(cache: Path) -> None:
    cache.write_text("a file is in the way of the folder")
    TrialCache("model").write(None)
    assert TrialCache("model").read() is None


needs_bf16 = pytest.mark.skipif(
    reduced_precision(EngineOptions(device="cpu")) is None, reason="this CPU computes in fp32 only"
)


def run(materials: Path, monkeypatch: pytest.MonkeyPatch) -> SpeciesNet:
    """A run of enough images for a trial."""
    monkeypatch.setattr("speciesnet.run.WORTH_A_TRIAL", 3)
    monkeypatch.setattr("speciesnet.run.TRIAL_IMAGES", 2)
    monkeypatch.setattr("speciesnet.engines.precision.NEEDED_IMAGES", 2)
    model = SpeciesNet(str(materials / "packages" / "small_random"), device="cpu")
    model.predict(folders=[str(materials / "images" / "ena24")])
    return model


@needs_bf16
def test_precision_that_decides_otherwise_is_not_used(
    materials: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # These networks are random: bf16 moves their boxes and scores far more than a trained one's.
    model = run(materials, monkeypatch)
    assert "fp32" in model.detector.engine.name
    assert caplog.text.count("not used, as it decides otherwise") == 1
    (file,) = (cache / "precision").iterdir()
    assert json.loads(file.read_text())["same"] is False
    caplog.clear()
    run(materials, monkeypatch)
    assert "not used" not in caplog.text


@needs_bf16
def test_precision_that_decides_the_same_is_used(
    materials: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speciesnet.engines.precision.first_difference", lambda one, two: None)
    model = run(materials, monkeypatch)
    assert "bf16" in model.detector.engine.name
    assert "bf16" in model.classifier.engine.name


@needs_bf16
def test_trial_that_fails_leaves_the_run_in_fp32(
    materials: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    load = Networks.load

    def load_float32_only(networks: Networks, names: Any) -> None:
        load(networks, names)
        if "bf16" in networks.detector.engine.name:
            raise AttributeError("this machine cannot do that")

    monkeypatch.setattr(Networks, "load", load_float32_only)
    model = run(materials, monkeypatch)
    assert "fp32" in model.detector.engine.name
    assert "AttributeError" in caplog.text
    assert not (cache / "precision").exists()


@needs_bf16
def test_unreadable_images_decide_nothing(
    materials: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speciesnet.run.WORTH_A_TRIAL", 3)
    model = SpeciesNet(str(materials / "packages" / "small_random"), device="cpu")
    model.predict(filepaths=[str(tmp_path / f"{i}.jpg") for i in range(4)])
    assert "fp32" in model.detector.engine.name
    assert not (cache / "precision").exists()


def test_few_images_are_not_worth_a_trial(materials: Path, cache: Path) -> None:
    model = SpeciesNet(str(materials / "packages" / "small_random"), device="cpu")
    model.predict(filepaths=[str(materials / "images" / "blank.jpg")])
    assert "fp32" in model.detector.engine.name
    assert not (cache / "precision").exists()
