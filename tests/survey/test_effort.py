"""Nights that cameras worked."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from speciesnet.export.deployments import deployed
from speciesnet.survey.effort import Gap, effort, nights_between

TAKEN = [
    ("s/cam1/IMG_0001.JPG", "2024-05-01T20:00:00"),
    ("s/cam1/IMG_0002.JPG", "2024-05-08T06:00:00"),
    ("s/cam2/IMG_0001.JPG", "2024-05-03T12:00:00"),
]


def day(number: int, hour: int = 12) -> datetime:
    return datetime(2024, 5, number, hour)


def test_midnights_count() -> None:
    assert nights_between(day(1, 0), day(1, 23)) == 0
    assert nights_between(day(1, 23), day(2, 1)) == 1
    assert nights_between(day(2), day(1)) == 0


def test_nights_in_gaps_are_lost_once() -> None:
    gaps = [Gap(day(2), day(4)), Gap(day(3), day(5)), Gap(day(7, 13), day(7, 14))]
    assert nights_between(day(1), day(8), gaps) == 4
    assert nights_between(day(1), day(8), [Gap(datetime(2023, 1, 1), day(3))]) == 5
    assert nights_between(day(1), day(8), [Gap(day(1), day(8))]) == 0


def test_without_a_table_photographs_give_the_period() -> None:
    one, other = effort(TAKEN)
    assert (one.camera, one.nights, one.photographs) == ("s/cam1", 7, 2)
    assert (one.deployment, one.start_from, one.end_from) == (None, "photographs", "photographs")
    assert (other.nights, other.start) == (0, other.end)


def test_camera_without_dates_has_no_nights() -> None:
    [found] = effort([("cam1/a.jpg", None), ("cam1/b.jpg", "1999-01-01T00:00:00")])
    assert (found.nights, found.start, found.photographs) == (None, None, 0)


def test_gaps_are_joined_and_cut_to_the_period() -> None:
    gaps = {"s/cam1": [Gap(day(3), day(5)), Gap(day(4), day(6)), Gap(day(20), day(22))]}
    one, _ = effort(TAKEN, gaps=gaps)
    assert (one.gaps, one.nights) == ((Gap(day(3), day(6)),), 4)
    assert one.without([Gap(day(6), day(7))]).nights == 3


def table(folder: Path, text: str) -> str:
    path = folder / "deployments.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


FOLDERS = [("s", "cam1"), ("s", "cam2")]


def test_table_gives_the_period(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "deploymentID,folder,deploymentStart,deploymentEnd\nA,cam1,2024-04-28,2024-05-12\nB,cam2,,\n"
        "C,cam3,2024-05-01T10:00:00Z,2024-05-04T10:00:00Z\n",
    )
    rows, unused = deployed(path, FOLDERS)
    a, b, c = effort(TAKEN, rows, without_photographs=unused)
    assert (a.deployment, a.nights, a.start_from, a.last) == ("A", 14, "table", day(8, 6))
    assert (b.camera, b.nights, b.end_from) == ("s/cam2", 0, "photographs")
    assert (c.camera, c.deployment, c.nights, c.photographs) == ("cam3", "C", 3, 0)


def test_camera_that_was_deployed_twice_has_the_effort_of_both_deployments(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "deploymentID,folder,deploymentStart,deploymentEnd\nA,cam1,2024-05-01,2024-05-03\n"
        "B,cam1,2024-05-06,2024-05-09\nC,cam2,2024-05-01,2024-05-02\n",
    )
    rows, _ = deployed(path, FOLDERS)
    found = {one.deployment: (one.nights, one.photographs) for one in effort(TAKEN, rows)}
    assert found == {"A": (2, 1), "B": (3, 1), "C": (1, 1)}


def test_folders_on_the_card_share_their_deployment(tmp_path: Path) -> None:
    taken = [
        ("cam1/DCIM/100RECNX/IMG_0001.JPG", "2024-05-01T20:00:00"),
        ("cam1/DCIM/101RECNX/IMG_0001.JPG", "2024-05-03T20:00:00"),
    ]
    path = table(tmp_path, "deploymentID,folder\nA,cam1\n")
    folders = [("cam1", "DCIM", "100RECNX"), ("cam1", "DCIM", "101RECNX")]
    rows, _ = deployed(path, folders)
    [found] = effort(taken, rows)
    assert (found.camera, found.nights, found.photographs) == ("cam1", 2, 2)


def test_periods_with_offsets_are_on_the_cameras_clock(tmp_path: Path) -> None:
    from zoneinfo import ZoneInfo

    path = table(
        tmp_path,
        "deploymentID,folder,deploymentStart,deploymentEnd\n"
        "A,cam1,2024-05-01T22:00:00Z,2024-05-03T10:00:00Z\nB,cam2,,\n",
    )
    rows, _ = deployed(path, FOLDERS, ZoneInfo("Africa/Nairobi"))
    assert (rows["s/cam1"][0].start, rows["s/cam1"][0].end) == (day(2, 1), day(3, 13))
    rows, _ = deployed(path, FOLDERS)
    assert rows["s/cam1"][0].start == day(1, 22)
