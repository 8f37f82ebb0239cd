"""Corrections of cameras' clocks."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from speciesnet.errors import InputError
from speciesnet.survey.clocks import ClockCorrections, parse_shift
from speciesnet.survey.dates import DateRules
from speciesnet.survey.photographs import with_metadata

TAKEN = "2024-05-01T06:30:00"


def corrections(folder: Path, text: str, **options: dict[str, str]) -> ClockCorrections:
    path = folder / "clocks.csv"
    path.write_text(text, encoding="utf-8")
    return ClockCorrections(str(path), **options)


def dates(rules: ClockCorrections, *files: str, taken: str | None = TAKEN) -> list[str | None]:
    records = [
        {"filepath": file, "metadata": {} if taken is None else {"datetime": taken}}
        for file in files
    ]
    found = with_metadata(records, None, DateRules(clocks=rules))  # type: ignore[arg-type]
    return [metadata.datetime for _, metadata in found]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("+1:00:00", 3600),
        ("1:00:00", 3600),
        ("-0:00:01", -1),
        ("-3 days", -3 * 86_400),
        ("365d", 365 * 86_400),
        ("\N{MINUS SIGN}2 h", -7200),
        ("1 day 02:30:00", 95_400),
        ("-1d 2h 30 min", -95_400),
        ("1.5 hours", 5400),
        ("2 weeks", 14 * 86_400),
    ],
)
def test_offsets(text: str, seconds: int) -> None:
    assert parse_shift(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["", "1:30", "3600", "1 m", "1 month", "1 year", "d", "1:99:00", "--1d", "1d -2h", "500000d"],
)
def test_offsets_that_may_mean_several_are_refused(text: str) -> None:
    assert parse_shift(text) is None


def test_clock_of_one_camera_is_corrected(tmp_path: Path) -> None:
    rules = corrections(tmp_path, "folder,offset\ncam1,+1:00:00\n")
    assert dates(rules, "s/cam1/a.jpg", "s/cam2/a.jpg") == ["2024-05-01T07:30:00", TAKEN]
    assert dates(rules, "s/cam1/a.jpg", taken=f"{TAKEN}+03:00") == ["2024-05-01T07:30:00+03:00"]
    assert dates(rules, "s/cam1/a.jpg", taken=None) == [None]


def test_original_date_stays_available(tmp_path: Path) -> None:
    rules = DateRules(clocks=corrections(tmp_path, "folder,offset\ncam1,1d\n"))
    record = {"filepath": "s/cam1/a.jpg", "metadata": {"datetime": TAKEN}}
    ((_, metadata),) = with_metadata([record], None, rules)  # type: ignore[list-item]
    assert (metadata.datetime, metadata.original_datetime) == ("2024-05-02T06:30:00", TAKEN)


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_two_times_give_the_offset(tmp_path: Path, delimiter: str) -> None:
    text = "folder,cameraTime,actualTime\ncam1,2024-01-01 00:00,2024-05-03 12:00:10\n"
    rules = corrections(tmp_path, "\ufeff" + text.replace(",", delimiter))
    assert dates(rules, "s/cam1/a.jpg", taken="2024-01-01T00:00:00") == ["2024-05-03T12:00:10"]


@pytest.mark.parametrize(
    "folder",
    ["cam1", "s/cam1", "/data/s/cam1/", "cam1/DCIM/100RECNX", "\\data\\s\\cam1", "./s/cam1"],
)
def test_folders_are_parts_of_the_path(tmp_path: Path, folder: str) -> None:
    rules = corrections(tmp_path, f"folder,offset\n{folder},1 d\n")
    for file in (
        "/data/s/cam1/a.jpg",
        "/data/s/cam1/DCIM/100RECNX/a.jpg",
        "\\data\\s\\cam1\\a.jpg",
    ):
        assert dates(rules, file) == ["2024-05-02T06:30:00"]


@pytest.mark.parametrize(
    ("of_table", "of_path"), [("for\xeat", "fore\u0302t"), ("fore\u0302t", "for\xeat")]
)
def test_folders_match_in_another_unicode_form(tmp_path: Path, of_table: str, of_path: str) -> None:
    rules = corrections(tmp_path, f"folder,offset\n{of_table},1 d\n")
    assert dates(rules, f"s/{of_path}/a.jpg") == ["2024-05-02T06:30:00"]
    rules = corrections(
        tmp_path, f"folder,offset\n{of_table},1 d\n", deployments={"for\xeat": "cam1"}
    )
    assert dates(rules, "s/cam1/a.jpg") == ["2024-05-02T06:30:00"]


def test_folders_on_the_web(tmp_path: Path) -> None:
    rules = corrections(tmp_path, "folder,offset\nhttps://host/cam1,1 d\n")
    assert dates(rules, "https://host/cam1/a.jpg") == ["2024-05-02T06:30:00"]


def test_row_that_matches_two_cameras_is_refused(tmp_path: Path) -> None:
    rules = corrections(tmp_path, "folder,offset\ncam1,1 d\n")
    with pytest.raises(
        InputError, match=r"cam1 in .* matches two cameras, north/cam1 and south/cam1"
    ):
        dates(rules, "north/cam1/a.jpg", "south/cam1/a.jpg")
    rules = corrections(tmp_path, "folder,offset\ncam1,1 d\nnorth/cam1,2 d\n")
    assert dates(rules, "north/cam1/a.jpg", "south/cam1/a.jpg") == [
        "2024-05-03T06:30:00",
        "2024-05-02T06:30:00",
    ]


def test_unknown_folders_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dates(corrections(tmp_path, "folder,offset\ncam1,1 d\ncam7,1 d\ncam8,1 d\n"), "s/cam1/a.jpg")
    assert "2 folders in" in caplog.text
    assert "cam7, cam8" in caplog.text
    with pytest.raises(InputError, match=r"None of the folders in .* \(cam7\) has photographs"):
        dates(corrections(tmp_path, "folder,offset\ncam7,1 d\n"), "s/cam1/a.jpg")


def test_row_whose_photographs_all_have_a_deeper_row_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = corrections(tmp_path, "folder,offset\nnorth,1 d\nnorth/cam1,2 d\n")
    assert dates(rules, "north/cam1/a.jpg") == ["2024-05-03T06:30:00"]
    assert "1 folder in " in caplog.text and "has no photographs" not in caplog.text
    assert (
        "because deeper folders in the table contain all its photographs: north (north/cam1)."
        in caplog.text
    )


def test_row_may_name_a_deployment(tmp_path: Path) -> None:
    deployments = {"D1": "north", "D2": "north/cam2", "D3": "south"}
    text = "folder,offset\nD1,1 d\n"
    rules = corrections(tmp_path, text, deployments=deployments)
    files = ("north/cam1/a.jpg", "north/cam3/a.jpg", "north/cam2/a.jpg", "south/cam1/a.jpg")
    assert dates(rules, *files) == ["2024-05-02T06:30:00"] * 2 + [TAKEN] * 2
    with pytest.raises(InputError, match="D1 and D4 have the same folder"):
        corrections(tmp_path, text, deployments=deployments | {"D4": "north"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must name the columns"),
        ("folder|offset\ncam1\n", r"must name the columns .*; it has folder\|offset"),
        ("folder,cameraTime\ncam1,2024-01-01 00:00\n", "must name the columns"),
        ("folder,offset,what\ncam1,1 d,\n", 'column "what"'),
        ("folder,offset,offset\ncam1,1 d,\n", 'column "offset" twice'),
        ("folder,offset\n", "has no rows"),
        ("folder,offset\n,1 d\n", "Line 2 .* has no folder"),
        ("folder,offset\ncam1,\n", "Line 2 .* must have either"),
        ("folder,offset\ncam1,1:30\n", "Line 2 .* has '1:30' as offset"),
        ("folder,offset\ncam1,1 d\ncam1/DCIM,2 d\n", "cam1/DCIM is in several rows"),
        (
            "folder,offset,cameraTime,actualTime\ncam1,1 d,2024-01-01 00:00,2024-01-02 00:00\n",
            "must have either",
        ),
        (
            "folder,cameraTime,actualTime\ncam1,05/07/2024 00:00,2024-05-03 12:00\n",
            "has '05/07/2024 00:00' as cameraTime",
        ),
        (
            "folder,cameraTime,actualTime\ncam1,2024-01-01 00:00,2024-05-03T12:00Z\n",
            "as actualTime. Write the time that a clock shows, without a time zone",
        ),
    ],
)
def test_invalid_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        corrections(tmp_path, text)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing.csv cannot be read \(No such file"):
        ClockCorrections(str(tmp_path / "missing.csv"))
