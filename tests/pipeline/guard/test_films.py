"""The margins of films."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from deciding import CLASSES, DOUBTING, LISTED, RULES, answer, box, classes_of, named

from speciesnet.constants import Classification
from speciesnet.ensemble.geofence import Rules
from speciesnet.ensemble.sequences import sequence_answer
from speciesnet.images.films import Film
from speciesnet.pipeline import Photo
from speciesnet.pipeline.guard.answers import moved
from speciesnet.pipeline.guard.films import (
    film_decision,
    is_film_detection_stable,
    is_film_stable,
)
from speciesnet.pipeline.guard.stability import Decisions
from speciesnet.pipeline.photo import FilmFrame
from speciesnet.records import Box, Classifications
from speciesnet.records.boxes import BoxSelection

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
    for _ in range(100):
        logits, boxes = random_film(rng)
        frames = film(*((classes_of(one), b) for one, b in zip(logits, boxes, strict=True)))
        if not is_film_stable(frames, at(country, rules), band, band):
            continue
        stable += 1
        wanted = answer_of(frames, country, rules)
        for _ in range(5):
            # Logits that move by half of the band move the log odds of no sum by more than all of it.
            size = rng.choice([1, 0.5]) * band / 2
            shifted = [one + rng.choice([-1, 0, 1], len(CLASSES)) * size for one in logits]
            others = [{**b, "conf": moved(b["conf"], rng.choice([-1, 0, 1]) * band)} for b in boxes]
            changed = film(*((classes_of(one), b) for one, b in zip(shifted, others, strict=True)))
            assert answer_of(changed, country, rules) == wanted
    assert 10 < stable < 95


def test_a_mean_near_a_limit_is_doubtful() -> None:
    near = film((named(fox=0.9, deer=0.05), box(0.9)), (named(fox=0.42, deer=0.3), box(0.9)))
    assert not is_film_stable(near, at(), 0.2, 0.2)  # 0.66, and 0.65 is the limit
    assert is_film_stable(near, at(), 1e-4, 1e-4)
    far = film((named(fox=0.9, deer=0.05), box(0.9)), (named(fox=0.8, deer=0.1), box(0.9)))
    assert is_film_stable(far, at(), 0.2, 0.2)


def test_a_frame_that_may_be_blank_matters_only_if_it_changes_the_answer() -> None:
    fox, blank = (named(fox=0.97, deer=0.01), box(0.9)), named(blank=0.52, fox=0.3)
    assert is_film_stable(film(fox, fox, (blank, box(0.1))), at(), 0.2, 0.2)
    assert not is_film_stable(film(fox, (blank, box(0.1))), at(), 0.2, 0.2)  # 0.97, or 0.635
    assert not is_film_stable(film((blank, box(0.1)), (EMPTY,)), at(), 0.2, 0.2)
    assert is_film_stable(film((EMPTY,), (EMPTY,), (EMPTY,)), at(), 0.2, 0.2)


def test_the_best_box_of_all_frames_must_be_certain_if_it_decides() -> None:
    doubt = named(deer=0.3, tit=0.3, human=0.2)
    one = (doubt, box(0.9, "human")), (doubt, box(0.88))
    assert not is_film_stable(film(*one), at(), 0.2, 0.1)
    assert is_film_stable(film((doubt, box(0.9, "human")), (doubt, box(0.5))), at(), 0.2, 0.1)


def test_two_boxes_that_could_be_the_best_of_a_frame_both_count() -> None:
    frames = film((named(fox=0.9), box(0.6), box(0.58, left=0.5)), (named(fox=0.9), box(0.9)))
    assert not is_film_stable(frames, at(), 0.2, 0.2)  # what the second box shows is unknown
    frames[0].rivals[1] = named(fox=0.95)
    assert is_film_stable(frames, at(), 0.2, 0.2)
    frames[0].rivals[1] = named(deer=0.95)
    assert not is_film_stable(frames, at(), 0.2, 0.2)


def test_each_box_with_its_own_answer_counts() -> None:
    frames = film((named(fox=0.95), box(0.9)), (named(fox=0.95), box(0.9), box(0.5, left=0.5)))
    assert is_film_stable(frames, at(), 0.2, 0.2)
    frames[1].box_classifications = {0: named(fox=0.95), 1: named(deer=0.66, fox=0.2)}
    every = at(boxes=BoxSelection())
    assert not is_film_stable(frames, every, 0.2, 0.2)
    frames[1].box_classifications[1] = named(deer=0.97)
    assert is_film_stable(frames, every, 0.2, 0.2)
    assert film_decision(frames, every) != film_decision(frames[:1], every)


def test_scores_that_are_not_measured_can_have_any_value_below_the_limit() -> None:
    fox, other = named(fox=0.9, deer=0.05), named(deer=0.9, fox=0.001)
    frames = film(*[(fox, box(0.9))] * 5, *[(other, box(0.9))] * 2)  # 0.643, or 0.657
    assert film_decision(frames, at()) == film_decision(frames[-1:] + frames[:-1], at())
    assert not is_film_stable(frames, at(), 0.001, 0.001)


def test_classes_alone_must_fit_every_box_that_a_detector_may_find() -> None:
    frames = film((named(fox=0.97),), (named(fox=0.95),))
    for one in frames:
        one.detections = None
    assert is_film_stable(frames, at(), 0.0, 0.2)
    frames[1].classifications = named(fox=0.36, deer=0.3)  # 0.665
    assert not is_film_stable(frames, at(), 0.0, 0.2)


def test_detections_alone_must_keep_the_best_box_of_any_frames_that_may_count() -> None:
    def stable(*boxes: Box) -> bool:
        frames = film(*((named(), box) for box in boxes))
        return is_film_detection_stable(frames, 0.2)

    assert stable(box(0.9), box(0.88), box(0.6, "human"))
    assert not stable(box(0.9), box(0.88, "human"))
    assert not stable(box(0.9), box(0.51))
    assert stable(box(0.06), box(0.05, "human"))  # below all limits


def test_a_film_that_cannot_be_read_is_not_doubtful() -> None:
    broken = [Photo("a.mp4", error="it is damaged")]
    assert is_film_stable(broken, at(), 0.1, 0.1)


def test_decisions_differ_if_the_answer_does() -> None:
    one, two = film((named(fox=0.9), box(0.9))), film((named(fox=0.95), box(0.7)))
    assert film_decision(one, at()) == film_decision(two, at())
    assert film_decision(one, at()) != film_decision(film((named(deer=0.9), box(0.9))), at())
    alone = film((named(), box(0.9))), film((named(), box(0.4)))
    for frames in alone:
        frames[0].classifications = None
    assert film_decision(alone[0], at()) != film_decision(alone[1], at())
