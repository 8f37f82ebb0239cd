"""The margins of films."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from deciding import CLASSES, DOUBTING, LISTED, RULES, answer, box, classes_of, named

from speciesnet.boxes import BoxSelection
from speciesnet.constants import Classification
from speciesnet.ensemble.sequences import sequence_answer
from speciesnet.films import Film
from speciesnet.geofence import Rules
from speciesnet.pipeline import Photo
from speciesnet.pipeline.guard.answers import moved
from speciesnet.pipeline.guard.films import (
    is_film_stable,
)
from speciesnet.pipeline.guard.stability import Decisions
from speciesnet.pipeline.photo import FilmFrame
from speciesnet.records import Box, Classifications

NOWHERE = (None, None)
EMPTY = named(blank=0.97, deer=0.01)


def at(
    country: str | None = None, rules: Rules = RULES, boxes: BoxSelection | None = None
) -> Decisions:
    return Decisions(lambda _: rules, lambda _: {(country, None)}, boxes)


def frame(classes: Classifications, *boxes: Box, number: int = 0) -> Photo:
    place = FilmFrame(number, float(number), Film(1.0, 1.0))
    return Photo("a.mp4", detections=list(boxes), classifications=classes, frame=place)


def film(*frames: tuple[Any, ...]) -> list[Photo]:
    return [frame(*one, number=number) for number, one in enumerate(frames)]


def answer_of(frames: Sequence[Photo], country: str | None, rules: Rules) -> tuple[str, str]:
    """The answer that the record of a film gets; see ``speciesnet.run.films``."""
    records: list[Any] = []
    for one in frames:
        classes, boxes = one.classifications, list(one.detections or ())
        assert classes is not None
        label, _ = answer(classes, boxes, country, replace(rules, enforce_thresholds=None))
        found = {"classifications": classes, "detections": boxes, "prediction": label}
        records.append({"filepath": "a.mp4", "country": country, **found})
    label, _, source = sequence_answer(records, rules) or ("", 0.0, "")
    return label, source


def random_film(rng: np.random.Generator) -> tuple[list[np.ndarray], list[Box]]:
    """Frames of the same animal, more or less visible, and some empty ones."""
    animal = rng.normal(0, rng.choice([1, 3, 6]), len(CLASSES))
    size = int(rng.integers(1, 6))
    logits = [animal + rng.normal(0, rng.choice([0.2, 2]), len(CLASSES)) for _ in range(size)]
    for one in logits:
        one[CLASSES.index(Classification.BLANK)] += rng.choice([0, 0, 6])
    labels = rng.choice(["animal", "animal", "human", "vehicle"], size)
    return logits, [box(float(rng.uniform(0.02, 0.98)), str(label)) for label in labels]


@pytest.mark.parametrize("country", [None, "KEN"])
@pytest.mark.parametrize("band", [0.1, 0.5])
@pytest.mark.parametrize("rules", [RULES, DOUBTING, LISTED])
def test_no_error_within_the_bands_changes_a_stable_answer(
    country: str | None, band: float, rules: Rules
) -> None:
    rng = np.random.default_rng(7)
    stable = 0
    for _ in range(300):
        logits, boxes = random_film(rng)
        frames = film(*((classes_of(one), b) for one, b in zip(logits, boxes, strict=True)))
        if not is_film_stable(frames, at(country, rules), band, band):
            continue
        stable += 1
        wanted = answer_of(frames, country, rules)
        for _ in range(8):
            # Logits that move by half of the band move the log odds of no sum by more than all of it.
            size = rng.choice([1, 0.5]) * band / 2
            shifted = [one + rng.choice([-1, 0, 1], len(CLASSES)) * size for one in logits]
            others = [{**b, "conf": moved(b["conf"], rng.choice([-1, 0, 1]) * band)} for b in boxes]
            changed = film(*((classes_of(one), b) for one, b in zip(shifted, others, strict=True)))
            assert answer_of(changed, country, rules) == wanted
    assert 30 < stable < 290
