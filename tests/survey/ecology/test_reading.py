from __future__ import annotations

from pathlib import Path

import pytest
from known_survey import SURVEY, read
from surveys import BLANK, BOAR, FOX, HUMAN, UNKNOWN, answered_box, box, record

from speciesnet.constants import Classification
from speciesnet.errors import InputError
from speciesnet.records import Record

TAKEN = "2024-05-03T10:00:00"


@pytest.mark.parametrize(
    ("left_out", "reason"),
    [
        (record("cam1/x.jpg", BLANK, taken=TAKEN), "blank"),
        (record("cam1/x.jpg", UNKNOWN, taken=TAKEN, boxes=[]), "unknown"),
        (record("cam1/x.jpg", HUMAN, taken=TAKEN, boxes=[box("human")]), "people"),
        (
            record("cam1/x.jpg", Classification.VEHICLE.value, taken=TAKEN, boxes=[box("vehicle")]),
            "vehicles",
        ),
        (record("cam1/x.jpg", Classification.ANIMAL.value, taken=TAKEN), "unidentified animals"),
        ({"filepath": "cam1/x.jpg", "failures": ["DETECTOR"]}, "failed"),
        (record("cam1/x.jpg", FOX), "animals without a date"),
    ],
)
def test_what_is_left_out_is_counted(left_out: Record, reason: str) -> None:
    found = read(left_out)
    assert found.sightings == []
    assert {name: one.count for name, one in found.left_out.items()} == {reason: 1}
    assert found.left_out[reason].first == "cam1/x.jpg"


def test_an_animal_next_to_a_person_stays() -> None:
    boxes = [answered_box(FOX), answered_box(HUMAN, "human")]
    found = read(record("cam1/x.jpg", FOX, taken=TAKEN, boxes=boxes))
    assert [label for _, label, _ in found.sightings] == [FOX]
    assert list(found.left_out) == ["people"]


def test_people_are_taxa_if_wanted() -> None:
    hiker = record("cam1/x.jpg", HUMAN, taken=TAKEN, boxes=[box("human")])
    found = read(hiker, with_people=True)
    assert [label for _, label, _ in found.sightings] == [HUMAN]
    assert not found.left_out


def test_animals_without_a_reliable_date_are_named() -> None:
    reset = [
        record("/survey/cam1/x.jpg", FOX),
        record("/survey/cam1/y.jpg", BOAR, taken="2000-01-01T00:10:00"),
    ]
    found = read(*SURVEY, *reset)
    assert found.undated == [
        ("/survey/cam1/x.jpg", FOX, "animals without a date"),
        ("/survey/cam1/y.jpg", BOAR, "animals with an unreliable date"),
    ]
    assert len(found.sightings) == len(read().sightings)


def test_a_photograph_that_occurs_twice_counts_once() -> None:
    assert len(read(*SURVEY, *SURVEY).sightings) == len(read().sightings)


def test_the_most_frequent_position_is_that_of_the_camera() -> None:
    places = [(51.5, 0.0), (51.5, 0.0), (48.0, 2.0)]
    records = [
        record(f"cam1/{n}.jpg", FOX, taken=TAKEN, latitude=place[0], longitude=place[1])
        for n, place in enumerate(places)
    ]
    assert read(*records).positions_of() == {"cam1": (51.5, 0.0)}


def test_a_malformed_record_is_named() -> None:
    with pytest.raises(InputError, match=r"cam1/x\.jpg"):
        read(record("cam1/x.jpg", FOX, boxes=[{"label": "animal"}]))  # type: ignore[list-item]


def test_periods_of_deployments_tell_which_dates_are_reliable(tmp_path: Path) -> None:
    wrong = [f"2020-02-{day:02}T10:00:00" for day in range(1, 9)]
    right = [f"2024-05-{day:02}T10:00:00" for day in range(1, 4)]
    records = [
        record(f"cam1/IMG_{number:04}.JPG", FOX, taken=taken)
        for number, taken in enumerate([*wrong, *right])
    ]
    table = tmp_path / "deployments.csv"
    table.write_text("deploymentID,deploymentStart,deploymentEnd\ncam1,2024-05-01,2024-05-31\n")
    found = read(*records, deployments=str(table))
    assert [one.taken for _, _, one in found.sightings] == right
    assert len(found.undated) == len(wrong)
    assert [one.taken for _, _, one in read(*records).sightings] == wrong
