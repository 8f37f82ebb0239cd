"""The guard on networks whose errors are known: each picture is gray, and its shade is its number."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from speciesnet.detector import InputShape
from speciesnet.geofence import Rules
from speciesnet.images import PreprocessedImage
from speciesnet.pipeline import Photo
from speciesnet.pipeline.guard import trial
from speciesnet.pipeline.guard.bands import Evidence
from speciesnet.pipeline.guard.cache import EvidenceCache
from speciesnet.pipeline.guard.guard import Guard
from speciesnet.pipeline.guard.ledger import Ledger
from speciesnet.pipeline.guard.passes import Passes
from speciesnet.pipeline.guard.stability import Decisions, moved
from speciesnet.taxonomy import build_taxonomy_map

FOX = "1;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
DEER = "4;mammalia;artiodactyla;cervidae;cervus;elaphus;red deer"
RULES = Rules(build_taxonomy_map([FOX, DEER]), {})
PICTURES = 240

Noise = Callable[[int], float]


class Fake:
    """A detector and a classifier; scores of foxes lie evenly in (0, 1), plus an error in log odds."""

    def __init__(self, noise: Noise, of_boxes: Noise = lambda number: 0.0) -> None:
        self.noise, self.of_boxes = noise, of_boxes
        self.detector: Any = self
        self.classifier: Any = self
        self.engine = self
        self.on_cpu, self.batch_size, self.name = True, 4, "fake"
        self.input_shape = InputShape(64, 32)
        self.model_info: Any = type("Info", (), {"always_crops": True})
        self.precisions = {"detector": "bf16", "classifier": "bf16"}
        self.detected: list[int] = []
        self.classified: list[int] = []

    def load(self, names: Sequence[str] = ()) -> None:
        """Nothing to load."""

    def detect(
        self, imgs: Sequence[PreprocessedImage], threshold: float = 0.01
    ) -> list[list[dict[str, Any]]]:
        found = []
        for img in imgs:
            number = int(img.arr[32, 32, 0])
            self.detected.append(number)
            confidence = moved(0.9, self.of_boxes(number))
            box = {"category": "1", "label": "animal", "conf": confidence, "bbox": [0, 0, 1, 1]}
            found.append([box])
        return found

    def preprocess(self, img: Any, bboxes: Any = None) -> PreprocessedImage | None:
        return None if img is None else PreprocessedImage(img[:1, :1], 1, 1)

    def classify(
        self, imgs: Sequence[PreprocessedImage], num_classes: int | None = None
    ) -> list[dict[str, Any]]:
        found = []
        for img in imgs:
            number = int(img.arr[0, 0, 0])
            self.classified.append(number)
            score = moved((number + 0.5) / PICTURES, self.noise(number))
            pairs = sorted([(score, FOX), (1 - score, DEER)], reverse=True)
            found.append({"classes": [c for _, c in pairs], "scores": [s for s, _ in pairs]})
        return found


def wave(size: float) -> Noise:
    return lambda number: size * math.sin(7.3 * number)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{number:03}.png" for number in range(PICTURES)]
    for number, path in enumerate(paths):
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(path)
    return [str(path) for path in paths]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECIESNET_CACHE", str(tmp_path / "cache"))


DECISIONS = Decisions(lambda _: RULES, lambda _: {(None, None)})


def guard(exact: Fake, fast: Fake, predictions: Path | None = None, **more: Any) -> Guard:
    cache = EvidenceCache("fakes")
    made = Guard.resumed(
        Passes(DECISIONS, batch_size=4, readers=1, run_mode="single_thread", **more),
        exact,  # type: ignore[arg-type]
        fast,  # type: ignore[arg-type]
        cache,
        Ledger(predictions, cache.key),
    )
    assert made is not None
    return made


def decisions(photos: Sequence[Photo]) -> list[object]:
    return [DECISIONS.decision_of(photo) for photo in sorted(photos, key=lambda p: p.filepath)]


@pytest.fixture
def truth(pictures: list[str]) -> list[object]:
    fake: Any = Fake(wave(0.0))
    return decisions(list(Passes(DECISIONS).run(pictures, fake)))


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "WORTHWHILE", math.inf)  # fakes take no time, or any


@pytest.mark.usefixtures("_quick")
def test_decisions_are_those_of_float32_and_most_images_take_the_fast_networks_alone(
    pictures: list[str], truth: list[object]
) -> None:
    exact, fast = Fake(wave(0.0)), Fake(wave(0.05))
    made = guard(exact, fast)
    photos = list(made.photos(pictures))
    assert sorted(photo.filepath for photo in photos) == pictures
    assert decisions(photos) == truth
    again = len(exact.classified) - trial.TRIAL[0]
    assert 0 < again < PICTURES / 2
    assert made.tally.images == PICTURES


@pytest.mark.usefixtures("_quick")
def test_without_a_band_decisions_differ(
    pictures: list[str], truth: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Evidence, "band", lambda self: 0.0)
    exact, fast = Fake(wave(0.0)), Fake(wave(0.3))
    assert decisions(list(guard(exact, fast).photos(pictures))) != truth


@pytest.mark.usefixtures("_quick")
def test_evidence_serves_later_and_shorter_runs(pictures: list[str], truth: list[object]) -> None:
    first = guard(Fake(wave(0.0)), Fake(wave(0.05)))
    list(first.photos(pictures))
    first.finish()
    exact, fast = Fake(wave(0.0)), Fake(wave(0.05))
    later = guard(exact, fast)
    assert later.is_fast
    photos = list(later.photos(pictures[:40]))
    assert decisions(photos) == truth[:40]
    assert sorted(set(fast.detected)) == list(range(40))
    assert len(exact.detected) < 20
    assert "of 40 images were processed in bf16 and" in later.summary()


def test_short_runs_without_evidence_stay_in_float32(pictures: list[str]) -> None:
    exact, fast = Fake(wave(0.0)), Fake(wave(0.05))
    assert len(list(guard(exact, fast).photos(pictures[:50]))) == 50
    assert not fast.detected


@pytest.mark.usefixtures("_quick")
def test_networks_with_large_errors_do_not_pay(
    pictures: list[str], truth: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "WORTHWHILE", 0.5)
    exact, fast = Fake(wave(0.0)), Fake(wave(4.0))
    assert decisions(list(guard(exact, fast).photos(pictures))) == truth
    assert len(fast.detected) == trial.TRIAL[0]
    cache = EvidenceCache("fakes")
    nothing = Guard.resumed(Passes(DECISIONS), exact, fast, cache, Ledger(None, cache.key))  # type: ignore[arg-type]
    assert nothing is None  # later runs do not even try


@pytest.mark.usefixtures("_quick")
def test_a_network_that_fails_in_a_trial_is_not_used(
    pictures: list[str], truth: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(number: int) -> float:
        raise RuntimeError("this machine cannot do that")

    made = guard(Fake(wave(0.0)), Fake(fail))
    assert decisions(list(made.photos(pictures))) == truth
    assert "this machine cannot do that" in caplog.text
    assert not made.is_fast


def known(error: float) -> Evidence:
    """What a lucky trial has shown: errors up to a size, and margins far from any limit."""
    evidence = Evidence(detector=0.1, classifier=0.1, crop=0.1)
    evidence.errors = [error * i / 40 / 0.1 for i in range(40)]
    evidence.margins = [100.0] * 400
    return evidence


def test_audits_widen_the_band_and_reach_finished_images(
    pictures: list[str], truth: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("speciesnet.pipeline.guard.guard.AUDITED", 3)
    cache = EvidenceCache("fakes")
    ledger = Ledger(tmp_path / "out.json", cache.key)
    exact, fast = Fake(wave(0.0)), Fake(wave(0.6))
    made = Guard(Passes(DECISIONS), exact, fast, cache, ledger, known(0.05))  # type: ignore[arg-type]
    before = made.band
    found = {photo.filepath: photo for photo in made.photos(pictures)}
    assert made.band > 2 * before
    assert made.tally.audited > 50
    reached = made.reached(found)
    assert reached
    found |= {photo.filepath: photo for photo in made.again(reached)}
    made.finish()
    assert decisions(list(found.values())) == truth
    assert not (tmp_path / "out.json.precision.jsonl").exists()


def test_a_later_run_knows_the_margins_of_an_interrupted_one(
    pictures: list[str], tmp_path: Path
) -> None:
    cache = EvidenceCache("fakes")
    made = Guard(
        Passes(DECISIONS),
        Fake(wave(0.0)),  # type: ignore[arg-type]
        Fake(wave(0.05)),  # type: ignore[arg-type]
        cache,
        Ledger(tmp_path / "out.json", cache.key),
        known(0.2),
    )
    photos = made.photos(pictures)
    finished = [next(photos).filepath for _ in range(150)]
    photos.close()
    lines = (tmp_path / "out.json.precision.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["key"] == cache.key
    with (tmp_path / "out.json.precision.jsonl").open("a") as file:
        file.write('["cut o')
    ledger = Ledger(tmp_path / "out.json", cache.key)
    assert ledger.evidence == known(0.2)
    assert set(ledger.margins) >= {json.loads(line)[0] for line in lines[1:]} & set(finished)
    assert not Ledger(tmp_path / "out.json", "another machine").margins
    later = Guard(made._passes, made._exact, made._fast, cache, ledger, ledger.evidence)
    assert not later.has_unsettled
    later._band.width *= 1.9
    assert later.has_unsettled


def test_classes_alone_are_decided_again_where_the_box_is_certain(
    pictures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Audits go through both networks; which images are audited depends on the temporary folder.
    monkeypatch.setattr("speciesnet.pipeline.guard.guard.AUDITED", 10)
    exact, fast = Fake(wave(0.0)), Fake(wave(0.05))
    evidence = known(0.5)
    evidence.crop = 1e-3
    cache = EvidenceCache("fakes")
    made = Guard(Passes(DECISIONS), exact, fast, cache, Ledger(None, cache.key), evidence)  # type: ignore[arg-type]
    list(made.photos(pictures))
    assert made.tally.classified_again > made.tally.detected_again > 0
    assert len(exact.detected) == made.tally.detected_again


@pytest.mark.parametrize("stage", ["detector", "classifier"])
def test_steps_apart(pictures: list[str], stage: str) -> None:
    steps = {"has_detector": stage == "detector", "has_classifier": stage == "classifier"}
    exact, fast = Fake(wave(0.0)), Fake(wave(0.05), wave(0.05))
    cache = EvidenceCache("fakes")
    made = Guard(
        Passes(DECISIONS, **steps),  # type: ignore[arg-type]
        exact,  # type: ignore[arg-type]
        fast,  # type: ignore[arg-type]
        cache,
        Ledger(None, cache.key),
        known(0.1),
    )
    photos = list(made.photos(pictures))
    assert [photo.filepath for photo in photos] == pictures
    assert (photos[0].detections is None) == (stage == "classifier")
    assert made.tally.detected_again < PICTURES / 2


def test_images_that_cannot_be_read_stay_where_they_are(pictures: list[str]) -> None:
    paths = [*pictures[:5], "nowhere.jpg", *pictures[5:9]]
    cache = EvidenceCache("fakes")
    exact, fast = Fake(wave(0.0)), Fake(wave(0.05))
    made = Guard(Passes(DECISIONS), exact, fast, cache, Ledger(None, cache.key), known(0.1))  # type: ignore[arg-type]
    photos = list(made.photos(paths))
    assert [photo.filepath for photo in photos] == paths
    assert photos[5].error == "there is no such file"
