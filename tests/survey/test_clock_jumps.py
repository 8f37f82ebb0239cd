"""Clocks that jumped to dates that are possible by themselves."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from speciesnet.survey.clock_jumps import ClockJumps
from speciesnet.survey.reliable_dates import camera_dates

MAY, JANUARY = "2023-05-14T10:00:00", "2019-01-01T00:10:00"


def note_on(photographs: Iterable[tuple[str, str]]) -> str:
    jumps = ClockJumps()
    for filepath, taken in photographs:
        jumps.add(filepath, taken)
    return jumps.note()


@pytest.mark.parametrize(
    ("names", "dates"),
    [
        (("IMG_0001.JPG", "IMG_0002.JPG"), "from 2023-05-14 10:00 to 2019-01-01 00:10"),
        (("a.jpg", "b.jpg"), "from 2019-01-01 00:10 to 2023-05-14 10:00"),  # no order of files
    ],
)
def test_a_jump_names_the_camera_both_dates_and_the_fix(names: tuple[str, str], dates: str) -> None:
    found = [(f"cam1/DCIM/100RECNX/{n}", t) for n, t in zip(names, (MAY, JANUARY), strict=True)]
    assert note_on(reversed(found)) == (
        f"1 camera has a clock that seems to have jumped, such as cam1 ({dates}). See speciesnet "
        "cameras, and correct the dates with a table for --clock_corrections."
    )


def test_each_camera_counts_once() -> None:
    found = [
        (f"cam{camera}/IMG_{number:04}.JPG", (MAY, JANUARY)[number % 2])
        for camera in range(3)
        for number in range(1, 9)
    ]
    assert note_on(found).startswith(
        "3 cameras have clocks that seem to have jumped, such as cam0 ("
    )


@pytest.mark.parametrize(
    "other",
    [
        "2023-05-14T09:00:00",  # the end of summer time
        "2024-05-01T10:00:00",  # a pause of less than a year
        "2000-01-01T00:10:00",  # reported as before 2001
        "2093-01-01T00:10:00",  # reported as in the future
    ],
)
def test_other_dates_do_not_count_as_jumps(other: str) -> None:
    assert note_on([("cam1/IMG_0001.JPG", MAY), ("cam1/IMG_0002.JPG", other)]) == ""
    assert note_on([("cam1/IMG_0001.JPG", MAY), ("cam2/IMG_0001.JPG", JANUARY)]) == ""


def test_the_jumps_are_those_of_the_dates_of_cameras() -> None:
    found = [
        *[(f"north/IMG_{n:04}.JPG", f"2024-05-{n:02}T10:00:00") for n in range(1, 20)],
        ("north/IMG_0020.JPG", "2021-03-01T10:00:00"),
        *[(f"south/{n}.jpg", f"2024-05-{n:02}T10:00:00") for n in range(1, 20)],
    ]
    jumped = [camera.camera for camera in camera_dates(found) if camera.jumps]
    assert jumped == ["north"]
    note = note_on(found)
    assert "1 camera has" in note and "north (from 2024-05-19 10:00 to 2021-03-01 10:00)" in note
