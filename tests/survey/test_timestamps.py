"""Dates that are definitely wrong."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

import pytest

from speciesnet.survey.timestamps import backward_dates, file_number, wrong_dates

NOW = "2026-01-01T00:00:00"


def seconds(dates: Sequence[str]) -> list[int]:
    moments = (datetime.fromisoformat(date).replace(tzinfo=timezone.utc) for date in dates)
    return [int(moment.timestamp()) for moment in moments]


def wrong(*dates: str) -> list[int]:
    taken = seconds(dates)
    found = wrong_dates(taken, range(len(taken)), seconds([NOW])[0])
    return [problem.position for problem in found]


def back(*files: tuple[int, str]) -> list[int]:
    taken = seconds([date for _, date in files])
    found = backward_dates(taken, [number for number, _ in files], range(len(files)))
    return [problem.position for problem in found]


def test_dates_that_no_camera_can_have_are_found() -> None:
    assert wrong("2024-05-01T06:30:00", "2024-05-02T06:30:00") == []
    assert wrong("2024-05-01T06:30:00", "2000-01-01T00:00:10") == [1]
    assert wrong("2031-05-01T06:30:00", "2024-05-02T06:30:00") == [0]
    assert wrong("2026-01-01T12:00:00") == []  # the time zone may be wrong
    assert wrong("2017-01-01T00:00:00", "2024-05-01T06:30:00", "2024-05-02T00:00:00") == [1]
    assert wrong("2023-06-01T00:00:00", "2024-05-25T06:30:00") == []


def test_clock_that_is_set_back_is_found() -> None:
    first, second = (1, "2024-05-01T06:30:00"), (2, "2024-05-01T06:31:00")
    assert back(second, first) == []
    assert back(first, second, (3, "2024-04-30T06:30:00")) == [2]
    assert back(first, second, (3, "2024-05-01T06:30:30")) == []
    full_circle = (
        (1, "2024-05-02T06:30:00"),
        (9998, "2024-05-01T06:29:00"),
        (9999, "2024-05-01T06:30:00"),
    )
    assert back(*full_circle) == []


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("cam1/IMG_0012.JPG", ("IMG_", 12)), ("rcnx0001.jpg", ("RCNX", 1)),
        ("05010001.JPG", ("0501", 1)), ("a.jpg", None), ("IMG_0012 (2).JPG", None),
        ("3f2a9c0012.jpg", None), ("20240501_063000.jpg", None),
    ],
)  # fmt: skip
def test_only_names_by_cameras_have_numbers(name: str, number: tuple[str, int] | None) -> None:
    assert file_number(name) == number
