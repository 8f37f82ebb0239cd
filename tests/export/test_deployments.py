"""Which photographs belong to which deployment."""

from __future__ import annotations

from datetime import timezone
from pathlib import Path

import pytest

from speciesnet.errors import InputError
from speciesnet.export.deployments import from_table, one_for_each_camera
from speciesnet.files.paths import Parts


def parts(folder: str) -> Parts:
    return tuple(folder.split("/"))


def deployed(
    tmp_path: Path, rows: str, *folders: str, notes: list[str] | None = None
) -> dict[str, list[str]]:
    path = tmp_path / "deployments.csv"
    path.write_text(f"deploymentID,folder,deploymentStart,deploymentEnd\n{rows}", encoding="utf-8")
    places = [parts(folder) for folder in folders]
    found, _ = from_table(str(path), places, timezone.utc, notes=notes)
    return {
        "/".join(folder): [deployment.deployment_id for deployment in deployments]
        for folder, deployments in found.items()
    }


def test_cameras_without_a_table_are_deployments() -> None:
    folders = ["s/cam1/DCIM/100RECNX", "s/cam1/DCIM/101RECNX", "s/10012345", "s/20230415"]
    found = one_for_each_camera([parts(folder) for folder in folders])
    assert [found[parts(folder)][0].deployment_id for folder in folders] == [
        "cam1", "cam1", "10012345", "20230415",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "folder", ["north/cam1", "north/cam1/100RECNX", "north\\cam1", "cam1", "north/cam1/DCIM/"]
)
def test_table_may_name_the_camera_or_a_folder_on_its_card(tmp_path: Path, folder: str) -> None:
    cards = ("s/north/cam1/DCIM/100RECNX", "s/north/cam1/DCIM/101RECNX")
    assert deployed(tmp_path, f"D1,{folder},,\n", *cards) == {card: ["D1"] for card in cards}


@pytest.mark.parametrize(
    ("of_table", "of_path"), [("for\xeat", "fore\u0302t"), ("fore\u0302t", "for\xeat")]
)
def test_folders_match_in_another_unicode_form(tmp_path: Path, of_table: str, of_path: str) -> None:
    assert deployed(tmp_path, f"D1,{of_table}/cam1,,\n", f"s/{of_path}/cam1") == {
        f"s/{of_path}/cam1": ["D1"]
    }


def test_folders_on_one_card_may_be_deployments(tmp_path: Path) -> None:
    cards = ("s/cam1/DCIM/100RECNX", "s/cam1/DCIM/101RECNX")
    rows = "A1,cam1/DCIM/100RECNX,,\nA2,cam1/DCIM/101RECNX,,\n"
    assert deployed(tmp_path, rows, *cards) == {cards[0]: ["A1"], cards[1]: ["A2"]}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("2024-04-05,2024-04-30", ",", ("2024-04-05T00:00:00", "2024-04-30T23:59:59")),
        ("05/04/2024,30/04/2024", ",", ("2024-04-05T00:00:00", "2024-04-30T23:59:59")),
        (
            "04/05/2024,05/06/2024",
            "04/30/2024 8:00,",
            ("2024-04-05T00:00:00", "2024-05-06T23:59:59"),
        ),
        ("5.4.2024 08:30,6.4.2024", "13.4.2024,", ("2024-04-05T08:30:00", "2024-04-06T23:59:59")),
        ("5-Apr-24,30 April 2024", ",", ("2024-04-05T00:00:00", "2024-04-30T23:59:59")),
        ("20240405,4/5/2024 6:30 PM", "4/13/2024,", ("2024-04-05T00:00:00", "2024-04-05T18:30:00")),
    ],
)
def test_periods_are_read_as_people_write_them(
    tmp_path: Path, first: str, second: str, expected: tuple[str, str]
) -> None:
    path = tmp_path / "deployments.csv"
    path.write_text(
        f"deploymentID,folder,deploymentStart,deploymentEnd\nD1,cam1,{first}\nD2,cam2,{second}\n"
    )
    _, rows = from_table(str(path), [parts("s/cam1")], timezone.utc)
    found = tuple(rows[0].cells[name] for name in ("deploymentStart", "deploymentEnd"))
    assert found == tuple(f"{moment}+00:00" for moment in expected)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "D1,cam1,05/04/2024,\n",
            "'05/04/2024' as deploymentStart, which may be 2024-04-05 or 2024-05",
        ),
        (
            "D1,cam1,05/04/2024,\nD2,,30/04/2024,04/30/2024\n",
            "'05/04/2024' .* may be 2024-04-05 or",
        ),
        (
            "D1,cam1,45412.33,\n",
            "'45412.33' as deploymentStart; it must look like 2024-05-01T06:30:00",
        ),
        ("D1,cam1,,31/02/2024\n", "Line 2 of .*'31/02/2024' as deploymentEnd; it must look like"),
        ("D1,cam1,30/04/24,\n", "'30/04/24' as deploymentStart; it must look like"),
    ],
)
def test_dates_that_may_mean_several_days_are_refused(
    tmp_path: Path, rows: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        deployed(tmp_path, rows, "s/cam1")


def test_rows_of_one_folder_are_in_the_order_of_their_periods(tmp_path: Path) -> None:
    rows = (
        "V2,cam1,2024-05-10T00:00:00,2024-06-01T00:00:00\n"
        "V3,cam1,2024-06-01T00:00:00,\nV1,cam1,,2024-05-09T00:00:00\n"
    )
    assert deployed(tmp_path, rows, "s/cam1") == {"s/cam1": ["V1", "V2", "V3"]}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("V1,cam1,,\nV2,cam1,,\n", "V1 .* and V2 .* overlap, and both have .* s/north/cam1"),
        ("V1,cam1,,2024-05-10T00:00:00\nV2,cam1,2024-05-09T00:00:00,\n", "overlap"),
        ("cam1,,,\ncam2,,,\n", "row cam1 .* several folders, s/north/cam1 and s/south/cam1; give"),
        (
            "D1,north,,\nD2,Cam2,,\n",
            "in s/south/cam1 do not belong to any .* No photographs are in Cam2",
        ),
    ],
)
def test_table_that_matches_in_several_ways_is_refused(
    tmp_path: Path, rows: str, message: str
) -> None:
    folders = ["s/north/cam1", "s/south/cam1", "s/south/cam2"]
    if "V1" in rows:
        folders = folders[:1]
    with pytest.raises(InputError, match=message):
        deployed(tmp_path, rows, *folders)


def test_rows_without_photographs_are_noted(tmp_path: Path) -> None:
    rows = "D1,cam1,,\nD2,cam2,,\nD3,,,\n"
    notes: list[str] = []
    assert deployed(tmp_path, rows, "s/cam1", notes=notes) == {"s/cam1": ["D1"]}
    [note] = notes
    assert note.startswith("2 rows of ") and "match no folder of photographs: cam2, D3." in note
