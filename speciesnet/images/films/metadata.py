"""The date, position and camera of a film, from the metadata of its container.

The date is the first of these that can be read:

- ``com.apple.quicktime.creationdate``, with the offset from UTC that the camera wrote;
- the blocks in ``makers``: by the camera's clock, or with an offset;
- ``©day`` of QuickTime and ``ICRD`` of AVI, which are ContentCreateDate and DateCreated in exiftool's
  tables, if they have a time: by the camera's clock, or with an offset;
- ``mvhd`` of MP4 and QuickTime (ISO/IEC 14496-12, 8.2.2), and ``DateUTC`` of Matroska: in UTC
  according to the standards, but trail cameras do not know their time zone and write the time on
  their clock. So it is read as local time, and marked as doubtful.

Positions come from ``com.apple.quicktime.location.ISO6709``, ``©xyz`` or 3GPP's ``loci``, all of which
FFmpeg reports in degrees as in ISO 6709, or from EXIF data that the camera adds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from speciesnet.images.films.makers import values_of_makers
from speciesnet.images.metadata import PhotoMetadata, parse_datetime

if TYPE_CHECKING:
    from av.container import InputContainer

_APPLE = "com.apple.quicktime."
_WITH_OFFSET = f"{_APPLE}creationdate"
_CREATED = "creation_time"
_CAMERA = {
    "make": (f"{_APPLE}make", "com.android.manufacturer", "make", "maker", "Make"),
    "model": (f"{_APPLE}model", "com.android.model", "model", "Model"),
}
_PLACES = (f"{_APPLE}location.ISO6709", "location", "location-eng")
_POSITION = re.compile(r"([+-]\d{1,2}(?:\.\d+)?)([+-]\d{1,3}(?:\.\d+)?)(?=[+\-/C]|$)", re.ASCII)
_IN_UTC = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z", re.ASCII)


def metadata_of_film(container: InputContainer, path: Path) -> PhotoMetadata:
    """Reads the metadata of an opened film, whose file is on this machine; never raises."""
    values: dict[str, str] = {}
    for stream in container.streams.video:
        values |= stream.metadata
    return from_values(values | dict(container.metadata), values_of_makers(path))


def from_values(values: Mapping[str, str], of_maker: Mapping[str, object] = {}) -> PhotoMetadata:
    """The metadata in the tags that FFmpeg reports and in the result of ``values_of_makers``.

    Examples:
        >>> found = from_values({"creation_time": "2024-05-01T06:30:00.000000Z"})
        >>> found.datetime, found.zone_is_doubtful
        ('2024-05-01T06:30:00', True)
    """
    created = values.get(_CREATED, "")
    in_utc = _IN_UTC.fullmatch(created)
    by_clock = (
        values.get(_WITH_OFFSET),
        of_maker.get("datetime"),
        None if in_utc else created,  # in AVI, from IDIT or Nikon's ncdt
        values.get("DateTimeOriginal"),  # in AVI, from the EXIF data in strd
        values.get("date"),
    )
    taken = next(filter(None, map(parse_datetime, by_clock)), None)
    if taken is not None:
        in_utc = None
    elif in_utc is not None:
        taken = in_utc[1]
    latitude, longitude = _position_in(values)
    if latitude is None:
        latitude, longitude = of_maker.get("latitude"), of_maker.get("longitude")
    make, model = (
        next(filter(None, map(values.get, names)), of_maker.get(key))
        for key, names in _CAMERA.items()
    )
    return PhotoMetadata.from_dict(
        {
            "datetime": taken,
            "latitude": latitude,
            "longitude": longitude,
            "make": make,
            "model": model,
            "zone_is_doubtful": in_utc is not None,
        }
    )


def _position_in(values: Mapping[str, str]) -> tuple[float | None, float | None]:
    for name in _PLACES:
        if match := _POSITION.match(values.get(name, "")):
            return float(match[1]), float(match[2])
    return None, None
