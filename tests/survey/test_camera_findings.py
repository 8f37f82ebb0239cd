"""Signs that cameras failed, in dates and answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from speciesnet.survey.camera_findings import (
    Finding,
    clock_findings,
    duration,
    flood_findings,
    silence_findings,
    usual_blanks,
)
from speciesnet.survey.effort import Deployed, effort_of
from speciesnet.survey.reliable_dates import CameraDates, Taken, camera_dates

START = datetime(2024, 5, 1, 6)


def on_days(*days: float) -> list[Taken]:
    return [Taken(START + timedelta(days=day), f"cam1/x{day:07.3f}.jpg") for day in days]


def dates_of(taken: Sequence[Taken]) -> CameraDates:
    return CameraDates("cam1", tuple(taken), (), 0, ())


def silences(taken: Sequence[Taken], days: float | None = None) -> list[Finding]:
    end = None if days is None else START + timedelta(days=days)
    rows = None if days is None else {"cam1": [Deployed("A", "cam1", START, end)]}
    [effort] = effort_of([dates_of(taken)], rows)
    return list(silence_findings(effort, taken))


def test_camera_that_stops_before_its_end_is_found() -> None:
    [found] = silences(on_days(*range(20)), 40)
    assert (found.kind, found.start, found.deployment) == ("stopped", START + timedelta(19), "A")
    assert found.end == START + timedelta(40)
    assert found.note == (
        "No photographs for 21 days before the end of the deployment. Other gaps of this camera "
        "last at most 1 day."
    )
    assert found.gap is not None


def test_end_is_unknown_without_a_table() -> None:
    assert silences(on_days(*range(20))) == []


def test_usual_silence_is_not_a_failure() -> None:
    assert silences(on_days(*range(20)), 21) == []
    assert silences(on_days(*range(0, 60, 6)), 66) == []


def test_rare_visits_need_a_longer_silence() -> None:
    assert silences(on_days(0, 9, 14, 30, 33, 41), 61) == []


def test_long_silence_between_photographs_is_found() -> None:
    days = [day for day in range(60) if not 20 < day < 45]
    [found] = silences(on_days(*days))
    assert (found.kind, found.start, found.end) == (
        "silence", START + timedelta(20), START + timedelta(45)
    )  # fmt: skip


def test_silence_at_the_start_is_found() -> None:
    [found] = silences(on_days(*range(20, 40)), 40)
    assert (found.kind, found.start, found.end) == ("silence", START, START + timedelta(20))


def test_deployment_without_photographs_is_found() -> None:
    [found] = silences([], 40)
    assert (found.kind, found.note) == ("stopped", "There are no photographs from 40 days.")


def test_camera_that_stops_on_its_second_day_is_found() -> None:
    assert [one.kind for one in silences(on_days(0, 0.5, 1), 60)] == ["stopped"]


def floods(blanks: Sequence[Taken], others: Sequence[Taken] = (), usual: float = 99) -> list[str]:
    taken = sorted([*blanks, *others])
    [effort] = effort_of([dates_of(taken)])
    names = {one.filepath for one in blanks}
    return [one.note for one in flood_findings(effort, taken, names, usual)]


def minutes(day: float, count: int) -> list[Taken]:
    return on_days(*(day + number / 1440 for number in range(count)))


def test_flood_of_blanks_is_found_with_its_hour() -> None:
    assert floods([*minutes(5.5, 300), *on_days(*range(30))]) == [
        "300 blanks, up to 60 in the hour from 2024-05-06 18:00; the usual number is 1 a day."
    ]


def test_consecutive_days_are_one_flood() -> None:
    blanks = [*minutes(5, 200), *minutes(6, 200), *minutes(20, 200), *on_days(0, 30)]
    assert [note.split(",")[0] for note in floods(blanks)] == ["400 blanks", "200 blanks"]


def test_busy_day_of_animals_is_not_a_flood() -> None:
    assert floods(on_days(0, 30), minutes(5, 300)) == []
    assert floods(minutes(5, 200), minutes(5.5, 100)) == []


def test_usual_number_of_blanks_is_not_a_flood() -> None:
    always = [one for day in range(20) for one in minutes(day, 120)]
    assert floods(always, usual=120) == []
    assert len(floods(always, usual=1)) == 1  # other cameras have far fewer
    assert usual_blanks(always, {one.filepath for one in always}) == 120
    assert usual_blanks([], set()) == 0


def clock(*taken: str) -> list[Finding]:
    files = [(f"cam1/IMG_{number:04}.JPG", date) for number, date in enumerate(taken, 1)]
    [found] = camera_dates(files, now=datetime(2026, 1, 1))
    return list(clock_findings(found))


def test_jumps_of_the_clock_are_found() -> None:
    [back] = clock("2024-05-01T06:00:00", "2024-05-02T06:00:00", "2018-01-01T00:00:00")
    assert back.note == (
        "The clock went back by 2313 days, from 2024-05-02 06:00 to 2018-01-01 00:00 (IMG_0003.JPG). "
        "1 photograph has no reliable date."
    )
    assert (back.start, back.filepath) == (datetime(2024, 5, 2, 6), "cam1/IMG_0003.JPG")
    [impossible] = clock("2024-05-01T06:00:00", "1999-05-01T06:00:00")
    assert impossible.note.startswith("Some dates are impossible, such as 1999-05-01")
    assert impossible.start is None


def test_many_jumps_are_one_finding() -> None:
    days = [f"2024-05-{day:02}T06:00:00" for day in (10, 9, 8, 7, 6, 5)]
    [found] = clock(*days)
    assert found.note.startswith("5 jumps. The first: The clock went back by 1 day")


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(days=3), "3 days"), (timedelta(hours=1), "1 hour"),
        (timedelta(minutes=1), "1 minute"),
    ],
)  # fmt: skip
def test_durations(length: timedelta, text: str) -> None:
    assert duration(length) == text


def test_only_times_without_sight_are_gaps() -> None:
    [found] = silences(on_days(*range(20)), 40)
    assert replace(found, kind="view").gap is None
    assert replace(found, start=None).gap is None
