from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from deciding import CLASSES, DOUBTING, LISTED, RULES, answer, box, classes_of, named

from speciesnet.ensemble.geofence import Rules
from speciesnet.ensemble.thresholds import Thresholds
from speciesnet.pipeline import WHOLE, Photo
from speciesnet.pipeline.guard.answers import log_odds, moved
from speciesnet.pipeline.guard.stability import (
    Decisions,
    is_detection_stable,
    lowest_confidence,
    rivals,
)
from speciesnet.records import Box, Classifications
from speciesnet.records.boxes import BoxSelection


def photo(classes: Classifications, *boxes: Box) -> Photo:
    return Photo("a.jpg", detections=list(boxes), classifications=classes)


def at(
    country: str | None = None, boxes: BoxSelection | None = None, rules: Rules = RULES
) -> Decisions:
    return Decisions(lambda _: rules, lambda _: {(country, None)}, boxes)


@pytest.mark.parametrize("country", [None, "KEN"])
@pytest.mark.parametrize("band", [0.1, 0.5, 1.5])
@pytest.mark.parametrize("rules", [RULES, DOUBTING, LISTED])
def test_no_error_within_the_bands_changes_a_stable_answer(
    country: str | None, band: float, rules: Rules
) -> None:
    rng = np.random.default_rng(7)
    stable = 0
    for _ in range(600):
        logits = rng.normal(0, rng.choice([1, 3, 6]), len(CLASSES))
        label = str(rng.choice(["animal", "human", "vehicle"]))
        found = box(float(rng.uniform(0.02, 0.98)), label)
        original = photo(classes_of(logits), found)
        if not at(country, rules=rules).is_stable(original, band, band):
            continue
        stable += 1
        wanted = answer(classes_of(logits), [found], country, rules)
        for _ in range(8):
            # Logits that move by half of the band move the log odds of no sum by more than all of it.
            shift = rng.choice([-1, 1], len(CLASSES)) * rng.choice([1, 0.5, 0]) * band / 2
            sign = rng.choice([-1, 0, 1])
            moved_box: Box = {**found, "conf": moved(found["conf"], float(sign) * band)}
            assert answer(classes_of(logits + shift), [moved_box], country, rules) == wanted
    assert 30 < stable < 590


@pytest.mark.parametrize(
    ("classes", "found"),
    [
        (named(fox=0.66, deer=0.3), box(0.9)),  # 0.65 with a box above 0.2
        (named(fox=0.81, deer=0.1), box(0.1)),  # 0.8 without one
        (named(fox=0.9, deer=0.05), box(0.71, "human")),  # 0.7 of a person
        (named(blank=0.51, deer=0.3), box(0.1)),  # 0.5 of a blank
        (named(fox=0.33, fennec=0.33, deer=0.3), box(0.9)),  # the sum of the foxes
        (named(deer=0.34, tit=0.32), box(0.3)),  # the sum of all animals
    ],
)
def test_numbers_near_a_limit_are_doubtful(classes: Classifications, found: Box) -> None:
    assert not at().is_stable(photo(classes, found), 0.2, 0.2)
    assert at().is_stable(photo(classes, found), 1e-4, 1e-4)


def test_which_class_is_best_matters_only_if_it_changes_the_answer() -> None:
    foxes = photo(named(fox=0.47, fennec=0.46, deer=0.01), box(0.9))
    assert at().is_stable(foxes, 0.2, 0.2)  # the genus either way


def test_geofenced_class_is_stable_although_its_ancestor_has_the_same_score() -> None:
    assert at("KEN").is_stable(photo(named(fox=0.9, deer=0.02), box(0.9)), 0.3, 0.3)


def test_rivals_are_the_boxes_of_which_any_could_be_the_best() -> None:
    boxes = [box(0.6), box(0.55, left=0.4), box(0.2, left=0.7)]
    assert rivals(photo(named(fox=1.0), *boxes), 0.2) == [0, 1]
    assert rivals(photo(named(fox=1.0), box(0.011)), 0.3) == [0, WHOLE]
    blank = photo(named(blank=1.0))
    blank.faint = [box(0.009)]
    assert rivals(blank, 0.3) == [0, WHOLE]
    assert rivals(blank, 0.05) == [WHOLE]
    assert lowest_confidence(0.3) < 0.009 < lowest_confidence(0.05)


def test_two_boxes_of_one_answer_are_as_good_as_one() -> None:
    two = photo(named(deer=0.95), box(0.6), box(0.58, left=0.5))
    assert not at().is_stable(two, 0.2, 0.2)  # what the second one shows is unknown
    two.rivals[1] = named(deer=0.9)
    assert at().is_stable(two, 0.2, 0.2)
    two.rivals[1] = named(fox=0.9)
    assert not at().is_stable(two, 0.2, 0.2)
    whole = Decisions(lambda _: RULES, lambda _: {(None, None)}, crops=False)
    assert whole.is_stable(two, 0.2, 0.2)  # which box is best matters to no crop


def test_each_box_with_its_own_answer_counts() -> None:
    two = photo(named(deer=0.95), box(0.9), box(0.3, left=0.5))
    two.box_classifications = {0: named(deer=0.95), 1: named(fox=0.66, deer=0.2)}
    assert at().is_stable(photo(named(deer=0.95), box(0.9), box(0.3, left=0.5)), 0.2, 0.2)
    assert not at(boxes=BoxSelection()).is_stable(two, 0.2, 0.2)
    two.box_classifications[1] = named(fox=0.97)
    assert at(boxes=BoxSelection()).is_stable(two, 0.2, 0.2)
    assert not at(boxes=BoxSelection(0.29)).is_stable(
        two, 0.2, 0.2
    )  # it may be below the threshold
    near = photo(named(deer=0.95), box(0.9), box(0.86, left=0.5))
    near.rivals = near.box_classifications = {0: named(deer=0.95), 1: named(deer=0.95)}
    assert not at(boxes=BoxSelection(limit=1)).is_stable(near, 0.3, 0.2)


def test_classes_alone_must_fit_every_box_that_a_detector_may_find() -> None:
    alone = Photo("a.jpg", classifications=named(fox=0.99))
    assert at().is_stable(alone, 0.0, 0.2)
    alone.classifications = named(fox=0.66, deer=0.3)
    assert not at().is_stable(alone, 0.0, 0.2)


def test_detections_alone_must_keep_their_order_and_stay_away_from_limits() -> None:
    assert is_detection_stable(photo(named(), box(0.9), box(0.3, left=0.5)), 0.2)
    assert not is_detection_stable(photo(named(), box(0.9), box(0.89, left=0.5)), 0.2)
    assert not is_detection_stable(photo(named(), box(0.51)), 0.2)
    assert is_detection_stable(photo(named()), 0.2)


def test_answers_that_are_not_numbers_are_doubtful() -> None:
    assert not at().is_stable(photo(named(fox=math.nan), box(0.9)), 0.1, 0.1)
    assert not at().is_stable(photo(named(fox=0.99), box(math.nan)), 0.1, 0.1)


def test_images_that_cannot_be_read_are_not_doubtful() -> None:
    assert at().is_stable(Photo("a.jpg", error="it is damaged"), 0.1, 0.1)


def test_nothing_moves_beyond_what_rules_ask_for() -> None:
    assert log_odds(1.0) == log_odds(0.9999) == -log_odds(0.0)
    assert moved(1.0, 0.0) == 1.0
    assert moved(0.2, 1.0) > 0.2 > moved(0.2, -1.0)


def test_decisions_are_compared_without_scores() -> None:
    one, two = photo(named(fox=0.9), box(0.9)), photo(named(fox=0.95), box(0.7))
    assert at().decision_of(one) == at().decision_of(two)
    assert at().decision_of(one) != at().decision_of(photo(named(deer=0.9), box(0.9)))


@pytest.mark.parametrize(
    ("classes", "found", "name", "threshold"),
    [
        (named(fox=0.9, deer=0.05), box(0.9), "red fox", 0.9),
        (named(fox=0.4, fennec=0.4, deer=0.1), box(0.9), "fox", 0.8),  # a sum
        (named(fox=0.3, deer=0.2, tit=0.2), box(0.9, "human"), "human", 0.9),  # a confidence
        (named(fox=0.999), box(0.9), "red fox", 0.998),  # beyond what log odds measure
    ],
)
def test_scores_near_the_threshold_of_their_species_are_doubtful(
    classes: Classifications, found: Box, name: str, threshold: float
) -> None:
    near = Thresholds("t.csv", {name: threshold})
    other = Thresholds("t.csv", {name: threshold - 0.2})
    one = photo(classes, found)
    assert at(rules=replace(RULES, enforce_thresholds=other.enforce)).is_stable(one, 0.2, 0.2)
    assert not at(rules=replace(RULES, enforce_thresholds=near.enforce)).is_stable(one, 0.2, 0.2)


def test_decisions_differ_if_only_one_is_above_a_threshold() -> None:
    sides = [photo(named(fox=score), box(0.9)) for score in (0.89, 0.91)]
    assert at().decision_of(sides[0]) == at().decision_of(sides[1])
    doubting = at(rules=DOUBTING)
    assert doubting.decision_of(sides[0]) != doubting.decision_of(sides[1])
