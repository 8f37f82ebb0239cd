"""Metadata of photographs from EXIF: date, position, camera."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from PIL import ExifTags, Image

# EXIF dates from 1995; cameras that lost their clock write years such as 0000 or 65535.
YEARS = range(1995, 2100)
MAX_TEXT = 100  # characters of a maker's or a model's name

_SPACES = re.compile(r"[\s\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class PhotoMetadata:
    """EXIF values of a photograph; missing and impossible values are None.

    Attributes:
        datetime: Time of the photograph by the camera's clock, ISO 8601: "2024-05-01T06:30:00", followed
            by an offset such as "+03:00" if the camera wrote one.
        latitude: Degrees in [-90, 90]; only together with a longitude.
        longitude: Degrees in [-180, 180].
        make: Maker of the camera.
        model: Model of the camera.
    """

    datetime: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    make: str | None = None
    model: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The known values, as a record stores them."""
        return {
            name: value for name in self.__slots__ if (value := getattr(self, name)) is not None
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PhotoMetadata:
        """The reverse of ``as_dict``; values that are impossible or of another type become None."""
        return cls(
            parse_datetime(values.get("datetime")),
            *_position(values.get("latitude"), values.get("longitude")),
            _text(values.get("make")),
            _text(values.get("model")),
        )


def metadata_of(image: Image.Image) -> PhotoMetadata:
    """Reads the EXIF of an opened image without decoding its pixels; never raises."""
    try:
        exif = image.getexif()
        details = exif.get_ifd(ExifTags.IFD.Exif)
        gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    except Exception:  # damaged EXIF raises nearly anything
        return PhotoMetadata()
    taken = (
        details.get(ExifTags.Base.DateTimeOriginal)
        or details.get(ExifTags.Base.DateTimeDigitized)
        or exif.get(ExifTags.Base.DateTime)
    )
    return PhotoMetadata(
        parse_datetime(taken, details.get(ExifTags.Base.OffsetTimeOriginal)),
        *_gps_position(gps),
        _text(exif.get(ExifTags.Base.Make)),
        _text(exif.get(ExifTags.Base.Model)),
    )


def parse_datetime(value: Any, offset: Any = None) -> str | None:
    """Converts an EXIF or ISO 8601 date to ISO 8601; None if it is not a date.

    Examples:
        >>> parse_datetime("2024:05:01 06:30:00", "+03:00")
        '2024-05-01T06:30:00+03:00'
    """
    if not isinstance(value, str):
        return None
    match = re.match(
        r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)?",
        value.strip(),
    )
    if match is None:
        return None
    try:
        moment = datetime(*map(int, match.groups()[:6]))  # type: ignore[arg-type]
    except ValueError:
        return None
    zone = match[7] or (offset.strip(" \0") if isinstance(offset, str) else "")
    if zone and re.fullmatch(r"Z|[+-](0\d|1[0-4]):[0-5]\d", zone) is None:
        zone = ""
    return moment.isoformat() + zone.replace("Z", "+00:00") if moment.year in YEARS else None


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
    """Degrees, positive for the first letter; raises ``ValueError`` for another hemisphere."""
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
