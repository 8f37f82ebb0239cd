"""Tables of cameras that failed, and of deployments with corrected periods."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from speciesnet.errors import InputError
from speciesnet.export.camera_table import COLUMNS, camera_rows, write_deployments
from speciesnet.export.deployments import deployed, from_table
from speciesnet.survey.camera_check import CameraCheck, CheckedCamera, Sightings
from speciesnet.survey.effort import Gap

FOLDERS = [("s", "cam1"), ("s", "cam2")]
TABLE = (
    "deploymentID,folder,latitude,deploymentStart,deploymentEnd,deploymentComments\n"
    "A,cam1,-1.29,2024-05-01,2024-06-10,by the river\nB,cam2,-1.30,2024-05-01,2024-05-21,\n"
    "C,cam3,-1.31,2024-05-01,2024-05-21,\n"
)


def days(camera: str, count: int, start: int = 0) -> list[tuple[str, str | None]]:
    first = datetime(2024, 5, 1, 6)
    moments = [first + timedelta(days=day) for day in range(start, start + count)]
    return [(f"s/{camera}/{m:%m%d}.jpg", m.isoformat()) for m in moments]


def checked(folder: Path, table: str = TABLE) -> tuple[list[CheckedCamera], Path]:
    path = folder / "deployments.csv"
    path.write_text(table, encoding="utf-8")
    seen = Sightings([*days("cam1", 20), *days("cam2", 21)])
    return list(CameraCheck(seen, *deployed(str(path), FOLDERS)).checked()), path


def rows_in(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_deployment_and_each_finding_is_a_row(tmp_path: Path) -> None:
    found, _ = checked(tmp_path)
    rows = list(camera_rows(found))
    assert [(row["deployment"], row["finding"]) for row in rows] == [
        ("A", "effort"), ("A", "stopped"), ("B", "effort"), ("C", "effort"), ("C", "stopped"),
    ]  # fmt: skip
    assert (rows[0]["nights"], rows[0]["nights_worked"], rows[0]["end_from"]) == (40, 19, "table")
    assert (rows[1]["start"], rows[1]["nights"]) == ("2024-05-20T06:00:00", None)
    assert (rows[3]["nights"], rows[3]["nights_worked"]) == (20, 0)
    assert all(row.keys() == COLUMNS.keys() for row in rows)


def test_end_of_a_deployment_is_corrected_and_the_rest_kept(tmp_path: Path) -> None:
    found, table = checked(tmp_path)
    out = tmp_path / "corrected.csv"
    assert write_deployments(found, out, str(table)) == 1
    a, b, c = rows_in(out)
    assert (a["latitude"], a["folder"], a["deploymentStart"]) == ("-1.29", "cam1", "2024-05-01")
    assert a["deploymentEnd"] == "2024-05-20T06:00:00"
    assert a["deploymentComments"].startswith(
        "by the river; deploymentEnd was 2024-06-10: stopped early. No photographs for 21 days"
    )
    assert (b["deploymentEnd"], b["deploymentComments"]) == ("2024-05-21", "")
    assert c["deploymentEnd"] == "2024-05-21"  # it has no photographs, so its period stays
    assert table.read_text(encoding="utf-8") == TABLE
    from_table(str(out), FOLDERS, timezone.utc)  # as camtrap-dp reads it


def test_dates_keep_their_time_zone(tmp_path: Path) -> None:
    table = TABLE.replace("2024-06-10", "2024-06-10T12:00:00+03:00").replace("B,cam2", "B,cam2")
    found, path = checked(tmp_path, table)
    out = tmp_path / "corrected.csv"
    write_deployments(found, out, str(path))
    assert rows_in(out)[0]["deploymentEnd"] == "2024-05-20T06:00:00+03:00"
    zone = timezone(timedelta(hours=2))
    write_deployments(found, out, str(path), zone)
    assert rows_in(out)[0]["deploymentEnd"] == "2024-05-20T06:00:00+02:00"


def test_cameras_without_a_table_are_rows(tmp_path: Path) -> None:
    seen = Sightings([*days("cam1", 10), *days("cam1", 10, 60), ("s/cam2/a.jpg", None)])
    out = tmp_path / "corrected.csv"
    assert write_deployments(list(CameraCheck(seen).checked()), out) == 0
    one, other = rows_in(out)
    assert (one["deploymentID"], one["folder"]) == ("cam1", "s/cam1")
    assert (one["deploymentStart"], one["deploymentEnd"][:10]) == (
        "2024-05-01T06:00:00",
        "2024-07-09",
    )
    assert one["deploymentComments"].startswith(
        "no photographs from 2024-05-10T06:00:00 to 2024-06-30"
    )
    assert (other["deploymentStart"], other["deploymentComments"]) == ("", "")


def test_empty_cells_are_filled_from_photographs(tmp_path: Path) -> None:
    found, path = checked(tmp_path, "deploymentID,folder\nA,cam1\nB,cam2\n")
    out = tmp_path / "corrected.csv"
    assert write_deployments(found, out, str(path)) == 0
    assert rows_in(out)[0]["deploymentEnd"] == "2024-05-20T06:00:00"


def test_times_without_a_working_camera_are_a_column(tmp_path: Path) -> None:
    path, out = tmp_path / "deployments.csv", tmp_path / "corrected.csv"
    path.write_text(TABLE.replace("2024-06-10", "2024-07-20T12:00:00+03:00"), encoding="utf-8")
    seen = Sightings([*days("cam1", 20), *days("cam1", 20, 60), *days("cam2", 21)])
    found = list(CameraCheck(seen, *deployed(str(path), FOLDERS)).checked())
    write_deployments(found, out, str(path))
    a, b, c = rows_in(out)
    assert a["notWorking"] == "2024-05-20T06:00:00/2024-06-30T06:00:00+03:00"
    assert b["notWorking"] == ""
    assert c["notWorking"] == "2024-05-01T00:00:00/2024-05-21T23:59:59"
    given, unused = deployed(str(out), FOLDERS)
    (row,) = given["s/cam1"]
    assert row.gaps == (Gap(datetime(2024, 5, 20, 6), datetime(2024, 6, 30, 6)),)
    assert len(unused[0].gaps) == 1
    in_zone = deployed(str(out), FOLDERS, timezone(timedelta(hours=5)))[0]["s/cam1"][0]
    assert in_zone.gaps[0].end == datetime(2024, 6, 30, 8)  # its cell has an offset


@pytest.mark.parametrize("text", ["2024-05-03", "2024-05-09/2024-05-03", "always", "x/y"])
def test_times_that_cannot_be_read_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deployments.csv"
    path.write_text(f"deploymentID,notWorking\ncam1,{text}\n", encoding="utf-8")
    with pytest.raises(InputError, match=f"Line 2 .* has '{text}' as notWorking; write a start"):
        deployed(str(path), FOLDERS[:1])
