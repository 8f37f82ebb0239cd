"""What photographs and events show, as rows of a Camtrap DP package."""

from __future__ import annotations

from typing import cast

from surveys import BLANK, DEER, FOX, HUMAN, LABELS, UNKNOWN, box, record

from speciesnet.constants import Classification
from speciesnet.export.media_index import Medium
from speciesnet.export.observations import Events, Observation, observations_of
from speciesnet.records import Record

CANIDS = LABELS["canine family"]
ANIMAL = "1f689929-883d-4dae-958c-3d57ab5b6c16;;;;;;animal"


def shown(found: list[Observation]) -> list[tuple[str, str, int | None]]:
    return [(one.kind, one.name, one.count) for one in found]


def rows_of(*records: Record) -> list[dict[str, str]]:
    events = Events()
    date = "2024-05-01T06:30:00+00:00"
    rows: list[dict[str, str]] = []
    for number, one in enumerate(records):
        medium = Medium(f"{number}.jpg", "cam1", date, "cam1#1", date, date, len(records))
        rows = events.add(medium, observations_of(one))
        assert bool(rows) == (number == len(records) - 1)
    return rows


def event(*records: Record) -> list[tuple[str, str, str]]:
    return [(r["observationType"], r["scientificName"], r["count"]) for r in rows_of(*records)]


def test_boxes_of_the_kind_of_the_answer_are_counted() -> None:
    foxes = [box("animal", 0.9), box("animal", 0.85), box("animal", 0.2), box("animal", 0.19)]
    assert shown(observations_of(record("a.jpg", FOX, boxes=foxes))) == [
        ("animal", "Vulpes vulpes", 3)
    ]
    assert shown(observations_of(record("a.jpg", FOX, boxes=[]))) == [
        ("animal", "Vulpes vulpes", None)
    ]
    assert shown(observations_of(record("a.jpg", BLANK, boxes=foxes))) == [("blank", "", None)]


def test_people_next_to_an_animal_are_an_observation_of_their_own() -> None:
    boxes = [box("animal", 0.94), box("human", 0.91), box("human", 0.4), box("human", 0.1)]
    animal, people = observations_of(record("a.jpg", FOX, boxes=boxes))
    assert shown([animal, people]) == [
        ("animal", "Vulpes vulpes", 1),
        ("human", "Homo sapiens", 2),
    ]
    assert people.probability == 0.91
    assert people.more["observationComments"] == "detector"
    faint = [box("animal", 0.94), box("human", 0.19)]
    assert len(observations_of(record("a.jpg", FOX, boxes=faint))) == 1
    assert len(observations_of(record("a.jpg", HUMAN, boxes=boxes[1:]))) == 1
    assert len(observations_of(record("a.jpg", BLANK, boxes=boxes))) == 1


def test_people_in_a_photograph_without_a_species_are_an_observation_of_their_own() -> None:
    boxes = [box("human", 0.6), box("human", 0.5), box("animal", 0.4)]
    unknown = record("a.jpg", UNKNOWN, boxes=boxes)
    assert shown(observations_of(unknown)) == [("unknown", "", None), ("human", "Homo sapiens", 2)]
    assert event(unknown) == [("human", "Homo sapiens", "2")]
    failed = {
        "filepath": "a.jpg",
        "failures": ["CLASSIFIER"],
        "detections": unknown.get("detections"),
    }
    answer, people = observations_of(cast("Record", failed))
    assert (answer.kind, people.kind, people.count) == ("unclassified", "human", 2)
    review = {"predicted": HUMAN, "at": "2024-05-02T08:00:00+00:00", "reviewer": "Jane"}
    assert len(observations_of(cast("Record", unknown | {"review": review}))) == 1


def test_animals_next_to_people_are_an_observation_of_their_own() -> None:
    boxes = [box("human", 0.94), box("animal", 0.91), box("animal", 0.2), box("animal", 0.1)]
    people, animals = observations_of(record("a.jpg", HUMAN, boxes=boxes))
    assert shown([people, animals]) == [("human", "Homo sapiens", 1), ("animal", "", 2)]
    assert animals.probability == 0.91
    vehicle = Classification.VEHICLE.value
    found = observations_of(record("a.jpg", vehicle, boxes=[box("vehicle", 0.9), *boxes]))
    assert [one.kind for one in found] == ["vehicle", "human", "animal"]
    for faint in ([box("human", 0.94), box("animal", 0.19)], [box("human", 0.19), box()], [box()]):
        assert len(observations_of(record("a.jpg", HUMAN, boxes=faint))) == 1
    review = {"predicted": FOX, "at": "2024-05-02T08:00:00+00:00", "reviewer": "Jane"}
    corrected = record("a.jpg", HUMAN, boxes=boxes) | {"review": review}
    assert len(observations_of(cast("Record", corrected))) == 1
    assert event(record("a.jpg", HUMAN, boxes=boxes), record("b.jpg", FOX, boxes=[box()])) == [
        ("human", "Homo sapiens", "1"),
        ("animal", "Vulpes vulpes", "1"),  # the animals beside people may be any
    ]


def test_reviewer_who_replaced_people_by_an_animal_is_right() -> None:
    people = record("a.jpg", FOX, boxes=[box("human", 0.9)])
    review = {"predicted": HUMAN, "at": "2024-05-02T08:00:00+00:00", "reviewer": "Jane"}
    assert len(observations_of(cast("Record", people | {"review": review}))) == 1
    review = review | {"predicted": DEER}
    first, second = observations_of(cast("Record", people | {"review": review}))
    assert (first.is_human_work, second.is_human_work) == (True, False)


def test_event_has_the_largest_count_of_each_species() -> None:
    one, three = [box()], [box("animal", 0.9 - i / 10) for i in range(3)]
    assert event(
        record("a.jpg", FOX, boxes=one),
        record("b.jpg", FOX, boxes=three),
        record("c.jpg", DEER, boxes=one),
        record("d.jpg", BLANK, boxes=[]),
    ) == [("animal", "Vulpes vulpes", "3"), ("animal", "Odocoileus virginianus", "1")]


def test_event_has_no_name_above_another_one() -> None:
    two = [box(), box()]
    assert event(
        record("a.jpg", CANIDS, boxes=two),
        record("b.jpg", FOX, boxes=[box()]),
        record("c.jpg", ANIMAL, boxes=[box()]),
        record("d.jpg", UNKNOWN, boxes=[]),
    ) == [("animal", "Vulpes vulpes", "2")]
    assert event(record("a.jpg", CANIDS, boxes=two), record("b.jpg", DEER, boxes=[box()])) == [
        ("animal", "Canidae", "2"),
        ("animal", "Odocoileus virginianus", "1"),
    ]


def test_event_without_animals_has_one_row() -> None:
    failed: Record = {"filepath": "x.jpg", "failures": ["DETECTOR"]}
    blank, unknown = record("a.jpg", BLANK, boxes=[]), record("b.jpg", UNKNOWN, boxes=[])
    assert event(failed, blank, unknown) == [("unknown", "", "")]
    assert event(failed, blank) == [("blank", "", "")]
    assert event(failed, failed) == [("unclassified", "", "")]


def test_event_is_classified_by_a_person_otherwise_by_its_best_photograph() -> None:
    records = [record(f"{i}.jpg", FOX, 0.5 + i / 10) for i in range(3)]
    [row] = rows_of(*records)
    assert (row["classificationMethod"], row["classificationProbability"]) == ("machine", "0.7")
    assert (row["observationID"], row["observationLevel"]) == ("cam1#1#e1", "event")
    assert not {"mediaID", "bboxX"} & set(row)
    review = {"predicted": DEER, "at": "2024-05-02T08:00:00+00:00", "reviewer": "Jane"}
    [row] = rows_of(*records, cast("Record", records[0] | {"review": review}))
    assert (row["classificationMethod"], row["classifiedBy"]) == ("human", "Jane")
    assert row["classificationProbability"] == ""
