from __future__ import annotations

import numpy as np
import pytest

from speciesnet.ensemble.geofence import Rules
from speciesnet.ensemble.taxonomy import build_taxonomy_map
from speciesnet.pipeline import Photo
from speciesnet.pipeline.guard.answers import log_odds
from speciesnet.pipeline.guard.bands import (
    WIDEST,
    WRONG_SHARE,
    Errors,
    Evidence,
    errors_of,
    moved_scores,
)
from speciesnet.pipeline.guard.stability import Decisions
from speciesnet.records import Box, Classifications

FOX = "1;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
FENNEC = "2;mammalia;carnivora;canidae;vulpes;zerda;fennec fox"
GENUS = "6;mammalia;carnivora;canidae;vulpes;;fox"
RULES = Rules(build_taxonomy_map([FOX, FENNEC, GENUS]), {})
DECISIONS = Decisions(lambda _: RULES, lambda _: {(None, None)})


def box(confidence: float, left: float = 0.1, category: str = "1") -> Box:
    label = {"1": "animal", "2": "human"}[category]
    return {"category": category, "label": label, "conf": confidence, "bbox": [left, 0.1, 0.2, 0.2]}


def classes(fox: float, fennec: float) -> Classifications:
    return {"classes": [FOX, FENNEC], "scores": [fox, fennec]}


def photo(found: Classifications, *boxes: Box) -> Photo:
    return Photo("a.jpg", detections=list(boxes), classifications=found)


def test_errors_are_those_of_the_best_box_and_the_largest_of_classes_and_sums() -> None:
    exact = photo(classes(0.5, 0.4), box(0.9), box(0.3, left=0.6))
    fast = photo(classes(0.5, 0.45), box(0.8, left=0.11), box(0.1, left=0.6))
    errors = errors_of(fast, exact, DECISIONS)
    assert errors is not None
    assert errors.detector == pytest.approx(log_odds(0.9) - log_odds(0.8))
    assert errors.classifier == pytest.approx(log_odds(0.95) - log_odds(0.9))  # both foxes
    assert errors.crop is None


def test_a_box_that_is_missing_or_another_kind_is_an_error_down_to_the_threshold() -> None:
    exact = photo(classes(0.9, 0.05), box(0.5))
    for fast in (photo(classes(0.9, 0.05)), photo(classes(0.9, 0.05), box(0.5, category="2"))):
        errors = errors_of(fast, exact, DECISIONS)
        assert errors is not None
        assert errors.detector == pytest.approx(log_odds(0.5) - log_odds(0.01))
        assert errors.classifier is None  # of another crop


def test_the_box_that_float32_prefers_is_compared_among_the_rivals() -> None:
    exact = photo(classes(0.9, 0.05), box(0.62, left=0.6), box(0.6))
    fast = photo(classes(0.2, 0.1), box(0.61), box(0.6, left=0.6))
    fast.rivals = {1: classes(0.8, 0.05)}
    errors = errors_of(fast, exact, DECISIONS)
    assert errors is not None
    assert errors.classifier == pytest.approx(log_odds(0.95) - log_odds(0.85))


def test_unreadable_images_have_no_errors() -> None:
    broken = Photo("a.jpg", error="it is damaged")
    assert errors_of(broken, broken, DECISIONS) is None


def test_scores_that_decide_nothing_do_not_count() -> None:
    assert moved_scores(classes(0.9999, 0.0001), classes(0.999, 0.001), RULES) == 0
    assert moved_scores(classes(0.94, 0.01), classes(0.94, 0.02), RULES) < 0.3


def trial(size: int, seed: int = 1, scale: float = 1.0) -> Evidence:
    rng = np.random.default_rng(seed)
    found = [
        Errors(scale * float(d), scale * float(c), scale * 0.01)
        for d, c in rng.exponential((0.02, 0.1), (size, 2))
    ]
    evidence = Evidence.of(found)
    evidence.margins = rng.uniform(0, 60, size).tolist()
    return evidence


def test_the_band_keeps_wrong_decisions_below_the_promised_share() -> None:
    evidence = trial(64)
    band = evidence.band()
    assert evidence.expected_wrong(band) <= WRONG_SHARE * 1.01
    assert evidence.expected_wrong(0.9 * band) > WRONG_SHARE
    # Drawn from what the trial was drawn from: an error beyond a margin beyond the band.
    rng = np.random.default_rng(2)
    drawn = rng.exponential((0.02, 0.1), (1_000_000, 2)) / (evidence.detector, evidence.classifier)
    margins = rng.uniform(0, 60, 1_000_000)
    wrong = np.mean((margins > band) & (drawn.max(axis=1) > margins))
    assert wrong < WRONG_SHARE


def test_more_images_give_a_narrower_band() -> None:
    bands = [np.mean([trial(size, seed).band() for seed in range(10)]) for size in (24, 96, 400)]
    assert bands[0] > bands[1] > bands[2]


def test_larger_errors_and_disagreements_widen_it() -> None:
    evidence = trial(64)
    band = evidence.band()
    evidence.add(Errors(0.0, 50 * evidence.classifier))
    assert evidence.band() > band
    evidence.disagree(margin=500.0)
    assert evidence.band() == 625.0


def test_units_make_the_band_independent_of_the_size_of_errors() -> None:
    assert trial(64, scale=3.0).band() == pytest.approx(trial(64).band(), rel=0.01)


def test_without_evidence_everything_is_doubtful() -> None:
    assert Evidence().band() == WIDEST


def test_rare_errors_of_one_kind_do_not_make_the_band_of_the_others_wide() -> None:
    found = [Errors(0.02 + 0.001 * (i % 40), 0.05, 0.6 if i % 12 == 0 else 0.0) for i in range(96)]
    evidence = Evidence.of(found)
    evidence.margins = [1000.0] * 96
    assert evidence.band() * evidence.crop > 0.6
    assert evidence.band() * evidence.detector < 1.0
