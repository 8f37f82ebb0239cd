"""Dates of cameras whose clocks jumped."""

from __future__ import annotations

from datetime import datetime

from speciesnet.survey.reliable_dates import CameraDates, camera_dates

NOW = datetime(2026, 1, 1)


def dates(*taken: str | None, name: str = "cam1/IMG_{:04}.JPG") -> CameraDates:
    files = [(name.format(number), date) for number, date in enumerate(taken, 1)]
    [found] = camera_dates(files, now=NOW)
    return found


def reliable(*taken: str | None, name: str = "cam1/IMG_{:04}.JPG") -> list[str]:
    return [one.moment.isoformat()[:10] for one in dates(*taken, name=name).reliable]


def test_photographs_are_in_chronological_order() -> None:
    taken = ("2024-05-03T00:00:00", "2024-05-01T00:00:00")
    assert reliable(*taken, name="cam1/x{}.jpg") == ["2024-05-01", "2024-05-03"]


def test_dates_after_a_clock_was_reset_are_unreliable() -> None:
    found = dates(
        "2024-05-01T06:00:00", "2024-05-02T06:00:00", "2024-05-04T06:00:00",
        "2018-01-01T00:00:10", "2018-01-02T08:00:00",
        "2024-06-01T06:00:00",
    )  # fmt: skip
    assert [one.filepath[-8:-4] for one in found.reliable] == ["0001", "0002", "0003", "0006"]
    assert [one.filepath[-8:-4] for one in found.unreliable] == ["0004", "0005"]
    assert [jump.why for jump in found.jumps] == ["back", "forward"]


def test_impossible_dates_are_unreliable() -> None:
    found = dates("1999-05-01T06:00:00", "2024-05-02T06:00:00", "2031-01-01T00:00:00", None)
    assert [one.moment.year for one in found.reliable] == [2024]
    assert found.undated == 1
    assert [(jump.before, jump.why) for jump in found.jumps] == [(None, "impossible")]


def test_clock_that_starts_at_new_year_is_unreliable_even_in_the_same_year() -> None:
    taken = ("2024-05-01T06:00:00", "2024-05-09T06:00:00", "2024-01-01T00:01:00")
    assert reliable(*taken, "2024-01-02T00:00:00") == ["2024-05-01", "2024-05-09"]
    later = ("2019-05-01T06:00:00", "2019-05-09T06:00:00", "2020-01-01T00:01:00")
    assert reliable(*later) == ["2019-05-01", "2019-05-09"]


def test_photograph_on_new_year_does_not_count_as_a_jump() -> None:
    taken = ("2023-12-30T06:00:00", "2024-01-01T00:01:00", "2024-01-02T06:00:00")
    assert len(reliable(*taken)) == 3


def test_end_of_summer_time_is_a_jump_without_loss() -> None:
    found = dates("2024-10-27T02:50:00", "2024-10-27T02:05:00", "2024-10-28T00:00:00")
    assert (len(found.reliable), [jump.why for jump in found.jumps]) == (3, ["back"])


def test_films_and_photographs_are_numbered_apart() -> None:
    files = [
        ("cam1/IMG_0001.JPG", "2024-05-01T06:00:00"), ("cam1/IMG_0002.JPG", "2024-05-05T06:00:00"),
        ("cam1/MOV_0001.MP4", "2024-05-03T06:00:00"), ("cam1/MOV_0002.MP4", "2024-05-09T06:00:00"),
    ]  # fmt: skip
    [found] = camera_dates(files, now=NOW)
    assert (len(found.reliable), found.jumps) == (4, ())


def test_next_folder_continues_after_the_reset_of_the_first() -> None:
    first = [(f"cam1/DCIM/100RECNX/IMG_000{i}.JPG", f"2024-05-0{i}T06:00:00") for i in (1, 2, 3)]
    second = [("cam1/DCIM/100RECNX/IMG_0004.JPG", "2023-10-01T00:00:00"),
              ("cam1/DCIM/101RECNX/IMG_0001.JPG", "2023-10-03T00:00:00")]  # fmt: skip
    [found] = camera_dates([*first, *second], now=NOW)
    assert [one.filepath for one in found.reliable] == [path for path, _ in first]


def test_camera_with_impossible_dates_alone_has_no_reliable_ones() -> None:
    assert reliable("2000-01-01T00:00:00", None) == []


def test_numbers_that_start_again_do_not_count_as_a_jump() -> None:
    files = [
        ("c/IMG_9998.JPG", "2024-05-01T06:00:00"), ("c/IMG_9999.JPG", "2024-05-02T06:00:00"),
        ("c/IMG_0001.JPG", "2024-05-04T06:00:00"), ("c/IMG_0002.JPG", "2024-05-06T06:00:00"),
    ]  # fmt: skip
    [found] = camera_dates(files, now=NOW)
    assert (len(found.reliable), found.jumps) == (4, ())


def test_period_of_the_deployment_decides_between_two_clocks() -> None:
    wrong = [(f"c/IMG_000{i}.JPG", f"2023-02-0{i}T06:00:00") for i in range(4, 9)]
    right = [("c/IMG_0001.JPG", "2023-09-08T06:00:00"), ("c/IMG_0002.JPG", "2023-09-09T06:00:00")]
    [found] = camera_dates([*right, *wrong], now=NOW)
    assert [one.filepath for one in found.reliable] == [path for path, _ in wrong]
    period = (datetime(2023, 9, 1), datetime(2023, 10, 1))
    [found] = camera_dates([*right, *wrong], {"c": [period]}, now=NOW)
    assert [one.filepath for one in found.reliable] == [path for path, _ in right]
