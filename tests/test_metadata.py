from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from photographs import NAIROBI, photograph
from PIL import ExifTags, TiffImagePlugin

from speciesnet.images import read_metadata, read_photograph
from speciesnet.metadata import PhotoMetadata, parse_datetime


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_date_position_and_camera_are_read(tmp_path: Path, name: str) -> None:
    path = photograph(
        tmp_path / name,
        {ExifTags.Base.Make: "RECONYX\0\0", ExifTags.Base.Model: "HC550 \n HYPERFIRE"},
        {ExifTags.Base.DateTimeOriginal: "2024:05:01 06:30:00"},
        NAIROBI,
    )
    found = read_metadata(path)
    assert found == PhotoMetadata("2024-05-01T06:30:00", -1.29, 36.82, "RECONYX", "HC550 HYPERFIRE")
    picture, also = read_photograph(path)
    assert also == found
    assert picture.size == (80, 60)


def test_photographs_of_real_cameras(shared: Path) -> None:
    found = read_metadata(str(shared / "images" / "vehicle.jpg"))
    assert found.as_dict() == {
        "datetime": "2015-11-30T15:55:56",
        "make": "RECONYX",
        "model": "HC550 HYPERFIRE",
    }
    assert read_metadata(str(shared / "images" / "american_black_bear.jpg")) == PhotoMetadata()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024:05:01 06:30:00", "2024-05-01T06:30:00"),
        ("2024-05-01T06:30:00Z", "2024-05-01T06:30:00+00:00"),
        ("2024:05:01 06:30:00.25+03:00", "2024-05-01T06:30:00+03:00"),
        ("2024-05-01T06:30:00+25:00", "2024-05-01T06:30:00"),
        ("0000:00:00 00:00:00", None),
        ("2024:13:45 06:30:00", None),
        ("1970:01:01 00:00:00", None),
        ("9999:01:01 00:00:00", None),
        ("    :  :     :  :  ", None),
        ("=2024:05:01 06:30:00", None),
        (b"2024", None),
        (None, None),
    ],
)
def test_impossible_dates_are_dropped(value: Any, expected: str | None) -> None:
    assert parse_datetime(value) == expected


def test_offset_is_in_a_separate_field() -> None:
    assert parse_datetime("2024:05:01 06:30:00", "-07:00") == "2024-05-01T06:30:00-07:00"
    assert parse_datetime("2024:05:01 06:30:00", "   :  ") == "2024-05-01T06:30:00"


@pytest.mark.parametrize(
    "change",
    [
        {ExifTags.GPS.GPSLatitude: (0.0, 0.0, 0.0), ExifTags.GPS.GPSLongitude: (0.0, 0.0, 0.0)},
        {ExifTags.GPS.GPSLatitude: (91.0, 0.0, 0.0)},
        {ExifTags.GPS.GPSLongitude: (400.0, 0.0, 0.0)},
        {ExifTags.GPS.GPSLatitude: (TiffImagePlugin.IFDRational(0, 0), 0.0, 0.0)},
        {ExifTags.GPS.GPSLatitude: ()},
    ],
)
def test_impossible_positions_are_dropped(tmp_path: Path, change: dict[int, Any]) -> None:
    found = read_metadata(photograph(tmp_path / "a.jpg", gps=NAIROBI | change))
    assert (found.latitude, found.longitude) == (None, None)


def test_damaged_exif_costs_no_picture(tmp_path: Path) -> None:
    path = Path(photograph(tmp_path / "a.jpg", gps=NAIROBI))
    damaged = bytearray(path.read_bytes())
    start = damaged.index(b"Exif\0\0") + 10
    damaged[start : start + 40] = b"\xff" * 40
    path.write_bytes(damaged)
    picture, found = read_photograph(str(path))
    assert picture.size == (80, 60)
    assert found == PhotoMetadata()


def test_dictionary_and_back() -> None:
    found = PhotoMetadata("2024-05-01T06:30:00", -1.29, 36.82, "A", None)
    assert PhotoMetadata.from_dict(found.as_dict()) == found
    rubbish = {"datetime": 5, "latitude": "x", "longitude": 2.0, "make": ["="], "more": 1}
    assert PhotoMetadata.from_dict(rubbish) == PhotoMetadata()


@pytest.mark.parametrize(
    ("letter", "latitude"), [("N", 1.29), (" s\0", -1.29), ("O", None), ("W", None), ("", None)]
)
def test_only_letters_of_hemispheres_give_a_position(
    tmp_path: Path, letter: str, latitude: float | None
) -> None:
    gps = NAIROBI | {ExifTags.GPS.GPSLatitudeRef: letter}
    assert read_metadata(photograph(tmp_path / "a.jpg", gps=gps)).latitude == latitude
