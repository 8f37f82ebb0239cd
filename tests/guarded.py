"""Networks whose errors are known, for tests of the guard.

Each picture is grey, and its shade is its number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import clips
import numpy as np
import pytest
from PIL import Image

from speciesnet.detector import InputShape
from speciesnet.ensemble.geofence import Rules
from speciesnet.ensemble.taxonomy import build_taxonomy_map
from speciesnet.images.decoding import PreprocessedImage
from speciesnet.images.films import Sampling
from speciesnet.pipeline import Photo
from speciesnet.pipeline.guard import trial
from speciesnet.pipeline.guard.answers import moved
from speciesnet.pipeline.guard.bands import Evidence
from speciesnet.pipeline.guard.cache import EvidenceCache
from speciesnet.pipeline.guard.guard import Guard
from speciesnet.pipeline.guard.ledger import Ledger
from speciesnet.pipeline.guard.passes import Passes
from speciesnet.pipeline.guard.stability import Decisions

FOX = "1;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
DEER = "4;mammalia;artiodactyla;cervidae;cervus;elaphus;red deer"
RULES = Rules(build_taxonomy_map([FOX, DEER]), {})
PICTURES = 240

Noise = Callable[[int], float]


class Fake:
    """A detector and a classifier; scores of foxes lie evenly in (0, 1), plus an error in log odds.

    Args:
        noise: The errors of scores.
        of_boxes: The errors of confidences.
        precision: The name of their precision.
        seconds: What an image takes on the clock ``Fake.spent``.
    """

    spent: ClassVar[float] = 0.0

    def __init__(
        self,
        noise: Noise,
        of_boxes: Noise = lambda number: 0.0,
        precision: str = "bf16",
        seconds: float = 1.0,
    ) -> None:
        self.noise, self.of_boxes, self.seconds = noise, of_boxes, seconds
        self.detector: Any = self
        self.classifier: Any = self
        self.engine = self
        self.on_cpu, self.batch_size, self.name = True, 4, "fake"
        self.batches_alike = True
        self.input_shape = InputShape(64, 32)
        self.model_info: Any = type("Info", (), {"always_crops": True})
        self.precisions = {"detector": precision, "classifier": precision}
        self.detected: list[int] = []
        self.classified: list[int] = []

    def load(self, names: Sequence[str] = ()) -> None:
        """Nothing to load."""

    def unload(self) -> None:
        """Nothing to free."""

    def detect(
        self, imgs: Sequence[PreprocessedImage], threshold: float = 0.01
    ) -> list[list[dict[str, Any]]]:
        found = []
        for img in imgs:
            number = int(img.arr[32, 32, 0])
            Fake.spent += self.seconds
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


def allow_short_trials(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets runs of 8 images in bf16 have a trial of 4, whatever it saves; PyTorch has bf16 everywhere."""
    monkeypatch.setenv("SPECIESNET_CACHE", str(cache))
    monkeypatch.setattr("speciesnet.pipeline.networks.reduced_precision", lambda options: "bf16")
    monkeypatch.setattr(trial, "WORTH_A_TRIAL", 8)
    monkeypatch.setattr(trial, "TRIAL", (4, 4))
    monkeypatch.setattr(trial, "NEEDED_READABLE", 4)
    monkeypatch.setattr(trial, "WORTHWHILE", math.inf)


def wave(size: float) -> Noise:
    return lambda number: size * math.sin(7.3 * number)


def make_pictures(folder: Path) -> list[str]:
    """Pictures whose shade is their number, in order."""
    paths = [folder / f"{number:03}.png" for number in range(PICTURES)]
    for number, path in enumerate(paths):
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(path)
    return [str(path) for path in paths]


DECISIONS = Decisions(lambda _: RULES, lambda _: {(None, None)})


def passes(**more: Any) -> Passes:
    options: Any = {"batch_size": 4, "readers": 1, "run_mode": "single_thread", **more}
    return Passes(DECISIONS, films=Sampling(), **options)


def resumed(exact: Fake, fast: Fake, ledger: Ledger) -> Guard | None:
    return Guard.resumed(passes(), exact, fast, EvidenceCache("fakes"), ledger)  # type: ignore[arg-type]


def with_evidence(
    exact: Fake, fast: Fake, evidence: Evidence, ledger: Ledger | None = None, **more: Any
) -> Guard:
    cache = EvidenceCache("fakes")
    made = Passes(DECISIONS, films=Sampling(), **more)
    return Guard(made, exact, fast, cache, ledger or Ledger(), evidence)  # type: ignore[arg-type]


def decisions(photos: Sequence[Photo]) -> list[object]:
    return [DECISIONS.decision_of(photo) for photo in sorted(photos, key=lambda p: p.filepath)]


def known(error: float) -> Evidence:
    """What a lucky trial has shown: errors up to a size, and margins far from any limit."""
    evidence = Evidence(detector=0.1, classifier=0.1, crop=0.1)
    evidence.errors = [error * i / 40 / 0.1 for i in range(40)]
    evidence.margins = [100.0] * 400
    return evidence


def make_films(folder: Path, count: int = 60, frames: int = 3) -> list[str]:
    """Films of gray frames whose shades differ a little; those of all films are spread evenly."""
    return [
        clips.film(
            folder / f"{number:03}.mp4",
            size=(64, 48),
            fps=1,
            shown=[
                np.full((48, 64, 3), number * PICTURES // count + 2 * shade, np.uint8)
                for shade in range(frames)
            ],
        )
        for number in range(count)
    ]
