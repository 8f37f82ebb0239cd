from __future__ import annotations

import itertools
import math
import statistics

import pytest
from known_survey import make

from speciesnet.survey.ecology.accumulation import accumulate, by_day, by_station

SAMPLES = [{"fox", "deer"}, {"fox"}, set[str](), {"boar"}]


def test_the_expected_number_is_the_mean_of_all_subsets() -> None:
    for one in accumulate(SAMPLES):
        richness = [
            len(set().union(*subset)) for subset in itertools.combinations(SAMPLES, one.samples)
        ]
        assert one.species == pytest.approx(statistics.mean(richness))


def test_the_standard_deviation_is_exact_for_one_sample() -> None:
    first, *_, last = accumulate(SAMPLES)
    assert first.sd == pytest.approx(statistics.pstdev([2, 1, 0, 1]))
    assert last.sd == pytest.approx(0)


def test_thousands_of_samples_are_accumulated() -> None:
    *_, last = accumulate([{"fox"}] + [set[str]()] * 4_999)
    assert (last.samples, last.species) == (5_000, 1.0)
    middle = list(accumulate([{"fox"}] + [set[str]()] * 4_999))[2_499]
    assert math.isclose(middle.species, 0.5)


def test_there_may_be_no_species_and_no_samples() -> None:
    assert [one.species for one in accumulate([set(), set()])] == [0, 0]
    assert list(accumulate([])) == []


def test_samples_are_stations_and_days_that_worked() -> None:
    survey = make()
    deer, fox = "Odocoileus virginianus", "Vulpes vulpes"
    assert by_station(survey.detections, survey.stations) == [{deer, fox}, {fox}]
    days = by_day(survey.detections, survey.stations)
    assert len(days) == 8 + 3
    assert [day for day in days if day] == [{fox}, {deer}, {fox}]


def test_only_species_accumulate() -> None:
    survey = make()
    survey.labels["Vulpes vulpes"] = "0;mammalia;carnivora;canidae;;;canine family"
    assert {one.taxon for one in survey.of_species} == {"Odocoileus virginianus"}


def test_some_numbers_of_samples_are_those_of_all() -> None:
    samples = [{"fox"}, {"deer"}, set[str](), {"fox", "boar"}, {"deer"}]
    everything = list(accumulate(samples))
    assert list(accumulate(samples, every=3)) == [everything[0], everything[3], everything[4]]
    assert list(accumulate(samples, every=9)) == [everything[0], everything[4]]
