"""The metadata of one photograph: where its date, position and camera are in the file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image, ImageFile, IptcImagePlugin

from speciesnet.images.metadata.dates import is_blank, parse_datetime, text_of
from speciesnet.images.metadata.maker_notes import maker_note_date
from speciesnet.images.metadata.xmp_dates import packet_of, xmp_dates

MAX_TEXT = 100  # characters of a make or a model

_SPACES = re.compile(r"[\s\x00-\x1f\x7f]+")


# The EXIF tags that contain a date, most reliable first, each with the tag of its offset from UTC.
_TAKEN = (
    (ExifTags.Base.DateTimeOriginal, ExifTags.Base.OffsetTimeOriginal),
    (ExifTags.Base.DateTimeDigitized, ExifTags.Base.OffsetTimeDigitized),
)
_CHANGED = (ExifTags.Base.DateTime, ExifTags.Base.OffsetTime)
_IPTC_DAY, _IPTC_TIME = (2, 55), (2, 60)  # DateCreated and TimeCreated
_KEPT = (
    "datetime",
    "latitude",
    "longitude",
    "make",
    "model",
    "unreadable_date",
    "zone_is_doubtful",
)


@dataclass(frozen=True, slots=True)
class PhotoMetadata:
    """What a file records about its photograph; missing and impossible values are None.

    Attributes:
        datetime: Time of the photograph by the camera's clock, ISO 8601: "2024-05-01T06:30:00", followed
            by an offset such as "+03:00" if the camera wrote one.
        latitude: Degrees in [-90, 90]; only together with a longitude.
        longitude: Degrees in [-180, 180].
        make: Manufacturer of the camera.
        model: Model of the camera.
        unreadable_date: The text of a date that cannot be read, if no other date can.
        zone_is_doubtful: Whether ``datetime`` may be in UTC. The standards for films require UTC, but
            many cameras write the time on their clock. None if there is no doubt.
        orientation: The EXIF orientation by which the picture was turned upright, from 2 to 8; None
            if it is upright in the file, and for TIFF. Records do not contain it.
        original_datetime: ``datetime`` before a correction of the camera's clock; None if
            there was no correction. Records do not contain it.
    """

    datetime: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    make: str | None = None
    model: str | None = None
    unreadable_date: str | None = None
    zone_is_doubtful: bool | None = None
    orientation: int | None = None
    original_datetime: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The known values, as a record stores them."""
        return {name: value for name in _KEPT if (value := getattr(self, name)) is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PhotoMetadata:
        """The reverse of ``as_dict``; impossible values and values of another type become None."""
        taken = parse_datetime(values.get("datetime"))
        return cls(
            taken,
            *_position(values.get("latitude"), values.get("longitude")),
            _text(values.get("make")),
            _text(values.get("model")),
            None if taken else _text(values.get("unreadable_date", values.get("datetime"))),
            True if taken and values.get("zone_is_doubtful") is True else None,
        )


def metadata_of(image: Image.Image) -> PhotoMetadata:
    """Reads the metadata of an opened image without decoding its pixels; never raises."""
    try:
        exif = dict(image.getexif())
        details = image.getexif().get_ifd(ExifTags.IFD.Exif)
        gps = image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
        taken, unreadable = _first_readable(_dates(image, exif, details))
    except Exception:  # damaged EXIF raises nearly anything
        exif, gps = {}, {}
        taken, unreadable = _first_readable((text, None) for text in _xmp_dates(image))
    # Pillow itself turns TIFF files, so they are upright in every program that uses it.
    orientation = None if image.format == "TIFF" else exif.get(ExifTags.Base.Orientation)
    return PhotoMetadata(
        taken,
        *_gps_position(gps),
        _text(exif.get(ExifTags.Base.Make)),
        _text(exif.get(ExifTags.Base.Model)),
        unreadable,
        orientation=orientation if isinstance(orientation, int) and 2 <= orientation <= 8 else None,
    )


def metadata_of_exif(block: bytes) -> PhotoMetadata:
    """Reads the metadata in EXIF data that start with ``Exif`` or like a TIFF file; never raises."""
    image = Image.new("L", (1, 1))
    image.info["exif"] = block
    return metadata_of(image)


def _dates(
    image: Image.Image, base: Mapping[int, Any], details: Mapping[int, Any]
) -> Iterator[tuple[object, object]]:
    """Yields all dates of a photograph with their offsets, best first.

    Cameras write both dates in ``_TAKEN``, and programs keep them. Maker notes survive programs that
    lose these. ``DateTime`` comes last, because it is when the file was changed. The GPS date is left
    out, because it is in UTC while all others follow the camera's clock.
    """
    for date, offset in _TAKEN:
        for tags in (details, base):
            yield tags.get(date), tags.get(offset)
    note = details.get(ExifTags.Base.MakerNote, base.get(ExifTags.Base.MakerNote))
    yield maker_note_date(note, base.get(ExifTags.Base.Make)), None
    for text in _xmp_dates(image):
        yield text, None
    yield _iptc_date(image), None
    thumbnail = image.getexif().get_ifd(ExifTags.IFD.IFD1)
    date, offset = _CHANGED
    for tags in (base, details, thumbnail):
        yield tags.get(date), details.get(offset, tags.get(offset))


def _xmp_dates(image: Image.Image) -> Iterator[str]:
    return xmp_dates(packet_of(image))


def _iptc_date(image: Image.Image) -> str | None:
    if not isinstance(image, ImageFile.ImageFile):
        return None
    try:
        values = IptcImagePlugin.getiptcinfo(image) or {}
    except Exception:  # damaged blocks raise nearly anything
        return None
    day, clock = text_of(values.get(_IPTC_DAY)), text_of(values.get(_IPTC_TIME))
    return f"{day}T{clock}" if day and clock else None


def _first_readable(dates: Iterable[tuple[object, object]]) -> tuple[str | None, str | None]:
    """The first date that can be read, otherwise the text of the first unreadable one."""
    unreadable = None
    for value, offset in dates:
        if is_blank(value):
            continue
        if taken := parse_datetime(value, offset):
            return taken, None
        unreadable = unreadable or _text(text_of(value))
    return None, unreadable


def _gps_position(gps: Mapping[int, Any]) -> tuple[float | None, float | None]:
    try:
        latitude = _degrees(gps[ExifTags.GPS.GPSLatitude], gps[ExifTags.GPS.GPSLatitudeRef], "NS")
        longitude = _degrees(
            gps[ExifTags.GPS.GPSLongitude], gps[ExifTags.GPS.GPSLongitudeRef], "EW"
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError, IndexError, OverflowError):
        return None, None
    return _position(latitude, longitude)


def _degrees(parts: Any, reference: Any, letters: str) -> float:
    """Degrees, positive for the first letter; raises ``ValueError`` for an unknown hemisphere."""
    degrees, minutes, seconds = (float(part) for part in (*parts, 0, 0)[:3])
    text = reference.decode("ascii", "replace") if isinstance(reference, bytes) else str(reference)
    sign = (1, -1)[letters.index(text.strip(" \0").upper()[:1] or "?")]
    return sign * round(degrees + minutes / 60 + seconds / 3600, 7)


def _position(latitude: Any, longitude: Any) -> tuple[float | None, float | None]:
    """Valid coordinates, or a pair of None. (0, 0) is what cameras write without a GPS fix."""
    for value, limit in ((latitude, 90), (longitude, 180)):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None, None
        if not math.isfinite(value) or abs(value) > limit:
            return None, None
    return (None, None) if latitude == longitude == 0 else (float(latitude), float(longitude))


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return _SPACES.sub(" ", value).strip()[:MAX_TEXT] or None
