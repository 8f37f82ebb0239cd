from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from photographs import NAIROBI, photograph
from PIL import ExifTags, Image, TiffImagePlugin

from speciesnet.images.decoding import read_metadata, read_photograph
from speciesnet.images.metadata import PhotoMetadata


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
    # The date is only in the maker note; the camera has also drawn it into the picture.
    found = read_metadata(str(shared / "images" / "american_black_bear.jpg"))
    assert found == PhotoMetadata("2010-11-06T04:04:00")


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
    unreadable = PhotoMetadata(unreadable_date="05/07/2019 08:08:31")
    assert PhotoMetadata.from_dict(unreadable.as_dict()) == unreadable
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


ORIGINAL, DIGITIZED = ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized
CHANGED = ExifTags.Base.DateTime


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("reconyx_hc500/RCNX0001.JPG", "2015-05-07T08:08:31"),
        ("zero_original/IMG_0001.JPG", "2023-06-01T07:00:00"),
        ("slashes/IMG_0001.JPG", "2019-05-07T08:08:31"),
        ("ampm/IMG_0001.JPG", "2023-06-01T19:05:09"),
        ("only_datetime_306/RCNX0093.JPG", "2023-11-02T17:00:00"),
    ],
)
def test_dates_as_cameras_write_them(shared: Path, name: str, taken: str) -> None:
    path = shared / "cases" / "exif_dates" / name
    if not path.exists():
        pytest.skip("needs the cases of dates")
    assert read_metadata(str(path)).datetime == taken


@pytest.mark.parametrize(
    ("base", "details", "taken"),
    [
        ({CHANGED: "2024:01:03 00:00:00"}, {ORIGINAL: "2024:01:01 00:00:00"}, "2024-01-01T00:00:00"),
        ({}, {ORIGINAL: "0000:00:00 00:00:00", DIGITIZED: "2024:01:02 00:00:00"}, "2024-01-02T00:00:00"),
        ({}, {ORIGINAL: "    :  :     :  :  ", DIGITIZED: "2024:01:02 00:00:00"}, "2024-01-02T00:00:00"),
        ({}, {ORIGINAL: "", DIGITIZED: "2024:01:02 00:00:00"}, "2024-01-02T00:00:00"),
        ({}, {ORIGINAL: "05/07/2024 00:00:00", DIGITIZED: "2024:01:02 00:00:00"}, "2024-01-02T00:00:00"),
        ({CHANGED: "2024:01:03 00:00:00"}, {ORIGINAL: "2024:13:01 00:00:00"}, "2024-01-03T00:00:00"),
        ({ORIGINAL: "2024:01:01 00:00:00"}, {DIGITIZED: "2024:01:02 00:00:00"}, "2024-01-01T00:00:00"),
        ({ORIGINAL: "2024:01:01 00:00:00"}, {}, "2024-01-01T00:00:00"),
        ({}, {CHANGED: "2024:01:03 00:00:00"}, "2024-01-03T00:00:00"),
    ],
)  # fmt: skip
def test_the_first_readable_date_counts(
    tmp_path: Path, base: dict[int, str], details: dict[int, str], taken: str
) -> None:
    found = read_metadata(photograph(tmp_path / "a.jpg", base, details))
    assert (found.datetime, found.unreadable_date) == (taken, None)


def test_text_without_digits_is_a_date_that_cannot_be_read(tmp_path: Path) -> None:
    found = read_metadata(photograph(tmp_path / "a.jpg", details={ORIGINAL: "Date unknown"}))
    assert found.as_dict() == {"unreadable_date": "Date unknown"}


def test_a_date_that_cannot_be_read_is_kept_as_text(tmp_path: Path) -> None:
    path = photograph(
        tmp_path / "a.jpg",
        {CHANGED: "0000:00:00 00:00:00"},
        {ORIGINAL: "05/07/2019 08:08:31", DIGITIZED: "2019:99:99 08:08:31"},
    )
    found = read_metadata(path)
    assert found.as_dict() == {"unreadable_date": "05/07/2019 08:08:31"}
    assert PhotoMetadata.from_dict(found.as_dict()) == found


def test_offset_belongs_to_the_date_of_its_own_tag(tmp_path: Path) -> None:
    offsets: dict[int, str] = {
        ExifTags.Base.OffsetTime: "+01:00",
        ExifTags.Base.OffsetTimeOriginal: "+02:00",
        ExifTags.Base.OffsetTimeDigitized: "+03:00",
    }
    changed: dict[int, str] = {CHANGED: "2024:01:03 00:00:00"}
    dates: dict[int, str] = {ORIGINAL: "2024:01:01 00:00:00", DIGITIZED: "2024:01:02 00:00:00"}

    def taken(base: Mapping[Any, str], details: Mapping[Any, str]) -> str | None:
        return read_metadata(photograph(tmp_path / "a.jpg", base, details)).datetime

    assert taken(changed, dates | offsets) == "2024-01-01T00:00:00+02:00"
    assert taken({}, {DIGITIZED: dates[DIGITIZED]} | offsets) == "2024-01-02T00:00:00+03:00"
    assert taken(changed, offsets) == "2024-01-03T00:00:00+01:00"
    del offsets[ExifTags.Base.OffsetTimeDigitized]
    assert taken({}, {DIGITIZED: dates[DIGITIZED]} | offsets) == "2024-01-02T00:00:00"


def packet(attributes: str = "", elements: str = "") -> bytes:
    return f"""<?xpacket id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:e="http://ns.adobe.com/exif/1.0/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 {attributes}>{elements}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize(
    ("xmp", "taken"),
    [
        (packet('xmp:CreateDate="2024-01-03T00:00"'), "2024-01-03T00:00:00"),
        (
            packet('xmp:CreateDate="2024-01-03T00:00"', "<e:DateTimeOriginal>2024-01-01T00:00:00+03:00"
                   "</e:DateTimeOriginal>"),
            "2024-01-01T00:00:00+03:00",
        ),
        (
            packet('photoshop:DateCreated="2024-01-02T00:00:00.5" xmp:CreateDate="2024-01-03T00:00"'),
            "2024-01-02T00:00:00",
        ),
        (packet('photoshop:DateCreated="2024-01-02" xmp:CreateDate="2024-01-03T00:00"'),
         "2024-01-03T00:00:00"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]>' + packet('xmp:CreateDate="2024-01-03T00:00"'), None),
        (packet('xmp:CreateDate="2024-01-03T00:00"')[:-80], None),
    ],
)  # fmt: skip
def test_dates_in_xmp(tmp_path: Path, name: str, xmp: bytes, taken: str | None) -> None:
    path = tmp_path / name
    picture = Image.new("RGB", (8, 6))
    if name == "a.png":
        from PIL import PngImagePlugin

        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        picture.save(path, pnginfo=info)
    elif name == "a.tif":
        picture.save(path, tiffinfo={700: xmp})
    elif name == "a.jpg":
        picture.save(path)
        segment = b"http://ns.adobe.com/xap/1.0/\0" + xmp
        start, rest = path.read_bytes()[:2], path.read_bytes()[2:]
        path.write_bytes(start + struct.pack(">HH", 0xFFE1, len(segment) + 2) + segment + rest)
    else:
        picture.save(path, xmp=xmp)
    assert read_metadata(str(path)).datetime == taken


def test_maker_note_comes_before_the_date_of_a_change(tmp_path: Path) -> None:
    note = b"\x01\xf1\x03\0" + bytes(18) + struct.pack("<6H", 31, 8, 8, 5, 7, 2015) + bytes(80)
    details = {ExifTags.Base.MakerNote: note}
    path = photograph(tmp_path / "a.jpg", {CHANGED: "2024:01:03 00:00:00"}, details)
    assert read_metadata(path).datetime == "2015-05-07T08:08:31"
    with Image.open(path) as image:  # a picture that is turned keeps its date
        exif = image.getexif()
        exif[ExifTags.Base.Orientation] = 6
        image.save(tmp_path / "b.jpg", exif=exif)
    picture, found = read_photograph(str(tmp_path / "b.jpg"))
    assert (picture.size, found.datetime, found.orientation) == ((60, 80), "2015-05-07T08:08:31", 6)


def test_the_date_of_the_satellites_is_not_that_of_the_camera(tmp_path: Path) -> None:
    gps = {ExifTags.GPS.GPSDateStamp: "2024:05:01", ExifTags.GPS.GPSTimeStamp: (3.0, 30.0, 0.0)}
    found = read_metadata(photograph(tmp_path / "a.jpg", gps=NAIROBI | gps))
    assert (found.datetime, found.latitude) == (None, -1.29)
