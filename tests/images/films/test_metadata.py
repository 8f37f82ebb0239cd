"""When and where films were taken, by their containers."""

from __future__ import annotations

import struct
from pathlib import Path

import clips
import pytest

from speciesnet.files.moved_photographs import Photographs
from speciesnet.images.films import read_film_metadata
from speciesnet.images.films.metadata import from_values
from speciesnet.images.metadata import PhotoMetadata
from speciesnet.records import Record
from speciesnet.survey.photographs import with_metadata


def with_idit(path: str, date: bytes) -> str:
    """Adds the date of recording to the header of an AVI file."""
    content = bytearray(Path(path).read_bytes())
    chunk = b"IDIT" + struct.pack("<I", len(date)) + date + b"\0" * (len(date) % 2)
    at = content.index(b"LIST")
    (size,) = struct.unpack_from("<I", content, at + 4)
    content[at + 8 + size : at + 8 + size] = chunk
    struct.pack_into("<I", content, at + 4, size + len(chunk))
    (whole,) = struct.unpack_from("<I", content, 4)
    struct.pack_into("<I", content, 4, whole + len(chunk))
    Path(path).write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_a_date_that_should_be_in_utc_is_kept_and_marked(tmp_path: Path, name: str) -> None:
    path = clips.film(tmp_path / name, count=2, metadata={"creation_time": "2024-05-01T06:30:00Z"})
    found = read_film_metadata(path)
    assert (found.datetime, found.zone_is_doubtful) == ("2024-05-01T06:30:00", True)
    assert found.as_dict() == {"datetime": "2024-05-01T06:30:00", "zone_is_doubtful": True}
    assert PhotoMetadata.from_dict(found.as_dict()) == found


def test_the_date_of_an_avi_is_by_the_clock_of_the_camera(tmp_path: Path) -> None:
    path = clips.film(tmp_path / "a.avi", "mjpeg", count=2, pix_fmt="yuvj420p")
    found = read_film_metadata(with_idit(path, b"Wed May 01 06:30:00 2024\n\0"))
    assert (found.datetime, found.zone_is_doubtful) == ("2024-05-01T06:30:00", None)


def test_positions_are_read(tmp_path: Path) -> None:
    metadata = {"location": "-01.2900+036.8200/"}
    found = read_film_metadata(clips.film(tmp_path / "a.mp4", count=2, metadata=metadata))
    assert (found.latitude, found.longitude) == (-1.29, 36.82)


def test_the_offset_that_a_phone_writes_is_certain() -> None:
    found = from_values(
        {
            "creation_time": "2024-05-01T04:30:00.000000Z",
            "com.apple.quicktime.creationdate": "2024-05-01T06:30:00+0200",
            "com.apple.quicktime.make": "Apple",
            "com.apple.quicktime.location.ISO6709": "+40.5000-074.2000+010.000/",
        }
    )
    assert (found.datetime, found.zone_is_doubtful) == ("2024-05-01T06:30:00+02:00", None)
    assert (found.make, found.latitude, found.longitude) == ("Apple", 40.5, -74.2)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.avi"])
@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2024-05-01T08:30:00+0200", "2024-05-01T08:30:00+02:00"),
        ("2024-05-01 08:30:00", "2024-05-01T08:30:00"),
    ],
)
def test_the_own_date_of_a_maker_is_certain(
    tmp_path: Path, name: str, date: str, expected: str
) -> None:
    metadata = {"creation_time": "2024-05-01T06:30:00Z", "date": date}
    found = read_film_metadata(clips.film(tmp_path / name, count=2, metadata=metadata))
    assert (found.datetime, found.zone_is_doubtful) == (expected, None)


def test_a_day_without_a_time_does_not_replace_the_date_of_the_container(tmp_path: Path) -> None:
    metadata = {"creation_time": "2024-05-01T06:30:00Z", "date": "2024"}
    found = read_film_metadata(clips.film(tmp_path / "a.mp4", count=2, metadata=metadata))
    assert (found.datetime, found.zone_is_doubtful) == ("2024-05-01T06:30:00", True)


@pytest.mark.parametrize("date", ["1904-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z", "?"])
def test_dates_of_clocks_that_were_never_set_are_not_dates(date: str) -> None:
    found = from_values({"creation_time": date, "location": "+99.0-074.2/"})
    assert (found.datetime, found.zone_is_doubtful, found.latitude) == (None, None, None)


def test_exports_read_the_metadata_of_films(tmp_path: Path) -> None:
    path = clips.film(
        tmp_path / "a.mp4", count=2, metadata={"creation_time": "2024-05-01T06:30:00Z"}
    )
    records: list[Record] = [{"filepath": path}]
    [(_, found)] = with_metadata(records, Photographs())
    assert found.datetime == "2024-05-01T06:30:00"
