"""Photographs with EXIF, as cameras write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

NAIROBI: dict[int, Any] = {
    ExifTags.GPS.GPSLatitudeRef: "S",
    ExifTags.GPS.GPSLatitude: (1.0, 17.0, 24.0),
    ExifTags.GPS.GPSLongitudeRef: "E",
    ExifTags.GPS.GPSLongitude: (36.0, 49.0, 12.0),
}


def photograph(
    path: Path,
    base: Mapping[Any, Any] | None = None,
    details: Mapping[Any, Any] | None = None,
    gps: Mapping[Any, Any] | None = None,
) -> str:
    """Writes a small image with EXIF: base tags, details of the exposure, and the position."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif.update(base or {})
    exif.get_ifd(ExifTags.IFD.Exif).update(details or {})
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps or {})
    Image.new("RGB", (80, 60), "olive").save(path, exif=exif)
    return str(path)
