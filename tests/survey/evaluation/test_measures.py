from __future__ import annotations

import pytest
from judging import judged, pair
from surveys import BLANK, DEER, FOX

from speciesnet.survey.evaluation.measures import (
    blank_rules,
    calibration,
    calibration_error,
    groups_of,
    numbers_by_species,
    numbers_of,
    time_of_day,
)

DOGS = ";mammalia;carnivora;canidae;;;"


def test_scores_that_are_probabilities_have_no_error() -> None:
    right = [pair(FOX, FOX, 0.75) for _ in range(75)]
    wrong = [pair(DEER, FOX, 0.75) for _ in range(25)]
    (one,) = calibration(judged(*right, *wrong))
    assert (one.low, one.high, one.mean, one.true.value) == (0.7, 0.8, 0.75, 0.75)
    assert calibration_error([one]) == 0


def test_calibration_error_weighs_bins_by_photographs() -> None:
    bins = calibration(judged(*[pair(FOX, FOX, 0.9)] * 3, pair(DEER, FOX, 0.5)))
    assert calibration_error(bins) == pytest.approx((3 * 0.1 + 0.5) / 4)


def test_score_of_a_higher_taxon_is_about_that_taxon() -> None:
    (one,) = calibration(judged(pair(FOX, DOGS, 1.0), pair(FOX, None)))
    assert (one.high, one.true.hits, one.true.total) == (1.0, 1, 1)


def test_blanks_save_work_and_lose_animals() -> None:
    rules = blank_rules(
        judged(
            pair(BLANK, BLANK, 0.99),
            pair(FOX, BLANK, 0.6, sequence=-1),
            pair(FOX, FOX, sequence=-1),
            pair(DEER, BLANK, 0.6, sequence=-2),
        )
    )
    loose, strict = rules
    assert (loose.threshold, loose.saved.hits, loose.lost.hits, loose.lost.total) == (0, 3, 2, 3)
    assert (loose.visits_lost.hits, loose.visits_lost.total) == (1, 2)  # the fox was seen as well
    assert (strict.threshold, strict.saved.hits, strict.lost.hits) == (0.7, 1, 0)


def test_without_blanks_there_are_no_rules() -> None:
    assert blank_rules(judged(pair(FOX, FOX))) == []


def test_numbers_of_individuals() -> None:
    one, two = (pair(FOX, FOX, labelled_counts={FOX: number}) for number in (1, 3))
    found = numbers_of(judged(one, two, pair(FOX, FOX)))
    assert found is not None
    assert (found.labelled, found.counted, found.mean_error, found.exact.value) == (4, 2, 1.0, 0.5)
    assert numbers_of(judged(pair(BLANK, BLANK, counts={}, labelled_counts={}))) is None


def test_numbers_of_each_species_in_photographs_and_sequences() -> None:
    pairs = [
        pair(FOX, FOX, sequence=-1, counts={FOX: 1, DEER: 1}, labelled_counts={FOX: 1}),
        pair(FOX, FOX, sequence=-1, counts={FOX: 3}, labelled_counts={FOX: 2}),
        pair(FOX, FOX, sequence=-1, counts={FOX: 9}),  # nobody counted
        pair(FOX, DOGS, sequence=-2, counts={DOGS: 1}, labelled_counts={FOX: 1}),
    ]
    photographs = numbers_by_species(judged(*pairs), "species")
    found = {
        one.taxon.names[-1]: (one.labelled, one.counted, one.exact.hits, one.exact.total)
        for one in photographs
    }
    assert found == {"vulpes": (4, 4, 1, 3), "virginianus": (0, 1, 0, 1), "canidae": (0, 1, 0, 1)}
    fox = numbers_by_species(judged(*pairs), "species", in_sequences=True)[0]
    assert (fox.labelled, fox.counted, fox.mean_error, fox.exact.total) == (3, 3, 1.0, 2)
    family = numbers_by_species(judged(*pairs), "family", in_sequences=True)[0]
    assert (family.labelled, family.counted, family.exact.hits) == (3, 4, 1)


def test_day_and_night_by_the_clock() -> None:
    times = ["2024-05-01T05:59:59", "2024-05-01T06:00:00", "2024-05-01T18:00:00", None]
    found = groups_of(judged(*[pair(FOX, FOX, taken=taken) for taken in times]), time_of_day)
    assert [(one.name, one.right.total) for one in found] == [
        ("day", 1),
        ("night", 2),
        ("no date", 1),
    ]
