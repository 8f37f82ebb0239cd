"""Dates in file names, and dates that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from photographs import photograph
from PIL import ExifTags

from speciesnet.errors import InputError
from speciesnet.files.moved_photographs import Photographs
from speciesnet.survey.dates import DateRules, NamePattern
from speciesnet.survey.photographs import with_metadata


@pytest.mark.parametrize(
    ("pattern", "name", "taken"),
    [
        ("%Y%m%d_%H%M%S", "cam1/IMG_20240501_063000.JPG", "2024-05-01T06:30:00"),
        ("%Y%m%d_%H%M%S", "20240501_063000.JPG", "2024-05-01T06:30:00"),
        ("%Y%m%d_%H%M%S", "20240501_063000/IMG_1.JPG", None),
        ("%Y%m%d_%H%M%S", "120240501_063000.JPG", None),
        ("%Y%m%d_%H%M%S", "20241301_063000.JPG", None),
        ("%Y%m%d_%H%M%S", "20240501_063000_20240502_063000.JPG", None),
        ("%Y%m%d_%H%M%S", "20240501_063000_20240501_063000.JPG", "2024-05-01T06:30:00"),
        ("%Y%m%d%H%M%S", "x20240501063000.JPG", "2024-05-01T06:30:00"),
        ("%Y%m%d%H%M%S", "x202405010630001.JPG", None),
        ("%d-%m-%y %H.%M", "C 01-05-24 06.30 (2).JPG", "2024-05-01T06:30:00"),
        ("%Y-%m-%d %I-%M-%S %p", "2024-05-01 06-30-00 PM.JPG", "2024-05-01T18:30:00"),
        ("%d%b%Y_%H%M", "01May2024_0630.JPG", "2024-05-01T06:30:00"),
        ("%Y%m%d/IMG_%H%M%S", "D:\\cam1\\20240501\\IMG_063000.JPG", "2024-05-01T06:30:00"),
        ("100%%_%Y%m%d_%H%M", "100%_20240501_0630.JPG", "2024-05-01T06:30:00"),
        ("%Y%m%d_%H%M%S", "18990501_063000.JPG", None),
    ],
)
def test_dates_in_names(pattern: str, name: str, taken: str | None) -> None:
    assert NamePattern(pattern).date_in(name) == taken


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "lacks the year"),
        ("%Y", "lacks the day"),
        ("%Y%m%d", "lacks the time of day"),
        ("%Y%m%d_%I%M", "lacks the time of day"),
        ("%Y%Q", "contains %Q"),
        ("%Y%m%d_%H%M%", "contains %. Use only"),
        ("%Y%m%d_%H%M_%Y", "contains %Y twice"),
    ],
)
def test_invalid_patterns_are_refused(pattern: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        NamePattern(pattern)


def test_names_count_only_without_a_readable_date(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    original = ExifTags.Base.DateTimeOriginal
    name = "20240501_063000"
    files = [
        photograph(tmp_path / f"a_{name}.jpg", details={original: "2020:01:01 00:00:00"}),
        photograph(tmp_path / f"b_{name}.jpg", details={original: "05/07/2019 08:08:31"}),
        photograph(tmp_path / f"c_{name}.jpg"),
        photograph(tmp_path / "d.jpg", details={original: "05/07/2019 08:08:31"}),
        photograph(tmp_path / "e.jpg"),
    ]

    def taken(rules: DateRules | None) -> list[str | None]:
        records = [{"filepath": file} for file in files]
        found = with_metadata(records, Photographs(), rules)  # type: ignore[arg-type]
        return [metadata.datetime for _, metadata in found]

    of_file, of_name = "2020-01-01T00:00:00", "2024-05-01T06:30:00"
    assert taken(DateRules(NamePattern("%Y%m%d_%H%M%S"))) == [of_file, of_name, of_name, None, None]
    assert f"1 photograph has a date that cannot be read, such as {files[3]} (" in caplog.text
    assert f"2 photographs have no date in their names either, such as {files[3]}." in caplog.text
    caplog.clear()
    assert taken(None) == [of_file, None, None, None, None]
    assert f"2 photographs have a date that cannot be read, such as {files[1]} (" in caplog.text
    assert "'05/07/2019 08:08:31'" in caplog.text
