from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from known_survey import SURVEY, make
from surveys import BLANK, FOX, LABELS, record

from speciesnet.survey.ecology.camtrapr import camera_rows
from speciesnet.survey.ecology.folder import EcologySurvey
from speciesnet.survey.ecology.rates import rate_interval, rates_by_station, rates_overall
from speciesnet.survey.ecology.stations import Station, taxon_names
from speciesnet.survey.effort import Gap, effort


def rates(survey: EcologySurvey) -> dict[tuple[object, ...], tuple[object, ...]]:
    rows = rates_by_station(survey.detections, survey.stations, survey.labels)
    return {
        (row["taxon"], row["station"]): (
            row["events"],
            row["trap_nights"],
            row["per_100_trap_nights"],
        )
        for row in rows
    }


def test_rates_are_events_per_100_trap_nights() -> None:
    survey = make()
    assert rates(survey) == {
        ("Odocoileus virginianus", "cam1"): (1, 7, pytest.approx(100 / 7)),
        ("Odocoileus virginianus", "cam2"): (0, 2, 0.0),
        ("Vulpes vulpes", "cam1"): (2, 7, pytest.approx(200 / 7)),
        ("Vulpes vulpes", "cam2"): (1, 2, 50.0),
    }
    deer, fox = rates_overall(survey.detections, survey.stations, survey.labels)
    assert (fox["events"], fox["trap_nights"]) == (3, 9)
    assert fox["per_100_trap_nights"] == pytest.approx(100 / 3)
    assert (deer["stations"], deer["stations_surveyed"], deer["naive_occupancy"]) == (1, 2, 0.5)


def test_stations_are_independent_in_the_interval_of_a_rate() -> None:
    # The ratio is 6 / 100 nights; its residuals are 1.2, -0.8 and -0.4, so that independent events
    # (variance 6) vary more than these stations (3 / 2 * 2.24).
    factor = math.exp(4.302653 * math.sqrt(6) / 6)  # Student's t with 2 degrees of freedom
    assert rate_interval([(3, 30), (1, 30), (2, 40)]) == pytest.approx((6 / factor, 6 * factor))
    uneven = rate_interval([(6, 30), (0, 30), (0, 40)])  # residuals 4.2, -1.8 and -2.4
    factor = math.exp(4.302653 * math.sqrt(1.5 * 26.64) / 6)
    assert uneven == pytest.approx((6 / factor, 6 * factor))
    assert rate_interval([(0, 30), (0, 30)]) is None and rate_interval([(3, 30)]) is None
    *_, fox = rates_overall(*(lambda s: (s.detections, s.stations, s.labels))(make()))
    assert (fox["per_100_from"], fox["per_100_to"]) == rate_interval([(2, 7), (1, 2)])


@pytest.mark.parametrize(("gap", "compared_to", "events"), [
    (60, "last_record", 1), (60, "last_independent_record", 2), (30, "last_independent_record", 2),
    (15, "last_record", 3),
])  # fmt: skip
def test_independence_is_an_option(gap: float, compared_to: str, events: int) -> None:
    found = rates(make(gap=gap, compared_to=compared_to))
    assert found["Vulpes vulpes", "cam1"][0] == events


def test_a_camera_without_a_night_has_no_rate() -> None:
    survey = make(record("cam1/a.jpg", FOX, taken="2024-05-01T06:00:00"))
    [row] = rates_by_station(survey.detections, survey.stations, survey.labels)
    assert (row["events"], row["trap_nights"], row["per_100_trap_nights"]) == (1, 0, None)


def test_deployments_give_nights_and_stations_without_animals(tmp_path: Path) -> None:
    table = tmp_path / "deployments.csv"
    table.write_text(
        "deploymentID,folder,latitude,longitude,deploymentStart,deploymentEnd\n"
        "A1,cam1,51,1,2024-05-01,2024-05-11\n"
        "A2,cam2,51,2,2024-05-03,2024-05-08\n"
        "A3,cam3,51,3,2024-05-01,2024-05-21\n",
        encoding="utf-8",
    )
    survey = make(deployments=str(table))
    found = {one.name: (one.nights, one.position) for one in survey.stations}
    assert found == {"A1": (10, (51, 1)), "A2": (5, (51, 2)), "A3": (20, (51, 3))}
    [deer, _] = rates_overall(survey.detections, survey.stations, survey.labels)
    assert deer["per_100_trap_nights"] == pytest.approx(100 / 35)
    assert deer["stations_surveyed"] == 3


def test_detections_belong_to_the_deployment_of_their_date(tmp_path: Path) -> None:
    table = tmp_path / "deployments.csv"
    table.write_text(
        "deploymentID,folder,deploymentStart,deploymentEnd\n"
        "early,cam1,2024-05-01T09:00:00,2024-05-03T00:00:00\n"
        "late,cam1,2024-05-03T00:00:00,2024-05-08T15:00:00\n"
        "other,cam2,2024-05-03T00:00:00,2024-05-08T00:00:00\n",
        encoding="utf-8",
    )
    survey = make(deployments=str(table))
    found = [(one.station, one.taxon) for one in survey.detections]
    assert found == [
        ("early", "Vulpes vulpes"),
        ("early", "Vulpes vulpes"),
        ("late", "Odocoileus virginianus"),
        ("other", "Vulpes vulpes"),
    ]


def test_deployments_at_one_place_are_a_station(tmp_path: Path) -> None:
    table = tmp_path / "deployments.csv"
    table.write_text(
        "deploymentID,folder,locationID,deploymentStart,deploymentEnd\n"
        "D1,cam1,hill,2024-05-01T09:00:00,2024-05-03T12:00:00\n"
        "D2,cam1,hill,2024-05-05T12:00:00,2024-05-08T15:00:00\n"
        "D3,cam2,,,\n",
        encoding="utf-8",
    )
    survey = make(deployments=str(table))
    assert [(one.name, one.nights) for one in survey.stations] == [("D3", 2), ("hill", 2 + 3)]
    assert [*survey.stations[1].days.values()] == [1, 1, 1, 0, 1, 1, 1, 1]


def test_days_within_a_gap_are_problems() -> None:
    taken = [("cam1/a.jpg", "2024-05-01T09:00:00"), ("cam1/b.jpg", "2024-05-08T15:00:00")]
    gap = Gap(datetime(2024, 5, 2, 12), datetime(2024, 5, 5, 12))
    station = Station("cam1", tuple(effort(taken, gaps={"cam1": [gap]})))
    lost = [day for day, works in station.days.items() if not works]
    assert lost == [date(2024, 5, 3), date(2024, 5, 4)]
    assert station.nights == 7 - 3
    [row] = camera_rows([station])
    assert (row["Setup_date"], row["Retrieval_date"]) == ("2024-05-01", "2024-05-08")
    assert (row["Problem1_from"], row["Problem1_to"]) == ("2024-05-03", "2024-05-04")


def test_a_camera_with_undated_photographs_only_is_a_station_without_days() -> None:
    survey = make(*SURVEY, record("/survey/cam3/a.jpg", BLANK))
    station = survey.stations[-1]
    assert (station.name, station.nights, station.days) == ("cam3", 0, {})


def test_taxa_that_share_a_scientific_name_have_both_names() -> None:
    dog, wolf = (f"{n};mammalia;carnivora;canidae;canis;lupus;{n}" for n in ("dog", "wolf"))
    names = taxon_names([dog, wolf, FOX, LABELS["canine family"]])
    assert names[dog] == "dog (Canis lupus)"
    assert names[FOX] == "Vulpes vulpes"
    assert names[LABELS["canine family"]] == "Canidae"


def test_time_since_the_last_event() -> None:
    fox = [one for one in make().detections if one.taxon == "Vulpes vulpes"]
    minutes = [timedelta(seconds=one.since_last) / timedelta(minutes=1) for one in fox]
    assert minutes == [0, 40, 0]
    start = make(compared_to="last_independent_record").detections
    assert [one.since_last / 60 for one in start if one.taxon == "Vulpes vulpes"] == [0, 60, 0]
