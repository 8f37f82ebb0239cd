from __future__ import annotations

from collections.abc import Sequence

import pytest
from surveys import DEER, FOX, HUMAN, LABELS

from speciesnet.survey.events import Event, Sighting, find_events

CANIDS, ANIMAL = LABELS["canine family"], "1f689929-883d-4dae-958c-3d57ab5b6c16;;;;;;animal"
DAY = "2024-05-01T"


def sightings(
    label: str, *times: str, count: int = 1, camera: str = "cam1"
) -> list[tuple[str, str, Sighting]]:
    return [(camera, label, Sighting(f"{DAY}{time}", f"{time}.jpg", count)) for time in times]


def spans(events: Sequence[Event]) -> list[tuple[str, str, str, int, int]]:
    """Label, start, end, photographs and count of all events."""
    return [
        (e.label, (e.start or "")[11:], (e.end or "")[11:], len(e.sightings), e.count)
        for e in events
    ]


def found(*groups: Sequence[tuple[str, str, Sighting]], gap: float = 30) -> list[Event]:
    return list(find_events([one for group in groups for one in group], gap))


def test_the_time_runs_from_the_previous_photograph() -> None:
    # "lastIndependentRecord" would start another event at 06:40:00, 40 minutes after the first one.
    times = ("06:00:00", "06:20:00", "06:40:00", "07:09:59", "07:39:59")
    assert spans(found(sightings(DEER, *times))) == [
        (DEER, "06:00:00", "07:09:59", 4, 1),
        (DEER, "07:39:59", "07:39:59", 1, 1),
    ]
    assert len(found(sightings(DEER, *times), gap=60)) == 1
    assert len(found(sightings(DEER, *times), gap=0)) == 5


def test_photographs_may_be_in_any_order_and_with_an_offset() -> None:
    later, earlier = sightings(DEER, "06:20:00+03:00", "06:00:00")
    [event] = found([later, earlier])
    assert (event.start, event.end) == (f"{DAY}06:00:00", f"{DAY}06:20:00+03:00")


def test_each_label_and_each_camera_has_its_own_time() -> None:
    events = found(
        sightings(DEER, "06:00:00", "06:25:00"),
        sightings(FOX, "06:10:00", "06:50:00"),
        sightings(DEER, "06:10:00", camera="cam0"),
    )
    assert [(event.camera, *span) for event, span in zip(events, spans(events), strict=True)] == [
        ("cam0", DEER, "06:10:00", "06:10:00", 1, 1),
        ("cam1", DEER, "06:00:00", "06:25:00", 2, 1),
        ("cam1", FOX, "06:10:00", "06:10:00", 1, 1),
        ("cam1", FOX, "06:50:00", "06:50:00", 1, 1),
    ]


def test_count_is_the_largest_number_in_one_photograph() -> None:
    group = [*sightings(DEER, "06:00:00", count=2), *sightings(DEER, "06:10:00", count=5)]
    assert [event.count for event in found(group)] == [5]


def test_photographs_without_a_date_are_events_of_their_own_and_come_last() -> None:
    undated = [("cam1", FOX, Sighting(None, f"{n}.jpg", 1)) for n in range(2)]
    assert spans(found(undated, sightings(DEER, "06:00:00"))) == [
        (DEER, "06:00:00", "06:00:00", 1, 1),
        (FOX, "", "", 1, 1),
        (FOX, "", "", 1, 1),
    ]


@pytest.mark.parametrize(
    ("higher", "events"),
    [
        # Close to one fox: it is the same animals, and there were two of them.
        ("06:29:59", [(FOX, "06:00:00", 2), (FOX, "07:00:00", 1)]),
        ("05:30:01", [(FOX, "06:00:00", 2), (FOX, "07:00:00", 1)]),
        # Close to none.
        ("05:30:00", [(CANIDS, "05:30:00", 2), (FOX, "06:00:00", 1), (FOX, "07:00:00", 1)]),
        ("06:30:00", [(FOX, "06:00:00", 1), (CANIDS, "06:30:00", 2), (FOX, "07:00:00", 1)]),
    ],
)
def test_higher_taxa_are_left_out_close_to_lower_ones(
    higher: str, events: list[tuple[str, str, int]]
) -> None:
    got = found(sightings(FOX, "06:00:00", "07:00:00"), sightings(CANIDS, higher, count=2))
    assert [(label, start, count) for label, start, _, _, count in spans(got)] == events


def test_higher_taxa_close_to_several_events_count_for_none() -> None:
    got = found(
        sightings(FOX, "06:00:00"),
        sightings(DEER, "06:10:00"),
        sightings(HUMAN, "06:10:00"),
        sightings(ANIMAL, "06:05:00", count=9),
        sightings(CANIDS, "06:20:00", count=3),
    )
    assert [(label, count) for label, *_, count in spans(got)] == [(FOX, 3), (DEER, 1), (HUMAN, 1)]
