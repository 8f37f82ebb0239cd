"""The dates, positions and cameras that manufacturers write into films where FFmpeg does not look.

The layouts are taken from ExifTool's tables: https://exiftool.org/TagNames/QuickTime.html and RIFF.html,
and Canon.html, GoPro.html, Nikon.html and Panasonic.html for the blocks of one manufacturer. All of these
dates are times on the camera's clock.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from PIL import Image

from speciesnet.images.films.atoms import blocks_in
from speciesnet.images.metadata import metadata_of, metadata_of_exif, parse_datetime, text_of

Values = Mapping[str, object]
_APP1 = re.compile(rb"\xff\xd8\xff\xe1(..)(?=Exif\0\0)", re.DOTALL)
_PANASONIC_EXIF = (0x10, 0x4068, 0x4080, 0x200080)
_NIKON = {0x01: "make", 0x02: "model", 0x11: "datetime", 0x12: "datetime"}
_TIFF_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8)  # bytes per value, by the type in TIFF 6.0
_ASCII = 2
_MAX_TEXT = 200  # bytes of a date or a name; longer text from a damaged file is slow to parse
_SONY = {
    "datetime": re.compile(rb"<CreationDate\s[^<>]*?\bvalue=\"([^\"<]*)\""),
    "make": re.compile(rb"<Device\s[^<>]*?\bmanufacturer=\"([^\"<]*)\""),
    "model": re.compile(rb"<Device\s[^<>]*?\bmodelName=\"([^\"<]*)\""),
}


def values_of_makers(path: Path) -> dict[str, object]:
    """The values for ``PhotoMetadata`` in a film's blocks; never raises.

    If several blocks contain a value of the same kind, that of the first block in ``_READERS`` is used.
    """
    found: dict[str, Values] = {}
    with suppress(OSError):
        for name, data in blocks_in(path, _READERS):
            with suppress(Exception):  # reading a damaged block can raise almost anything
                found[name] = found.get(name) or _READERS[name](data)
    values: dict[str, object] = {}
    for name in _READERS:
        for key, value in found.get(name, {}).items():
            if value is not None:
                values.setdefault(key, value)
    return values


def _date(data: bytes) -> Values:
    return {"datetime": parse_datetime(data[:_MAX_TEXT])}


def _text(key: str) -> Callable[[bytes], Values]:
    """Reads text, which in some blocks from Canon's cameras follows four zeros and the language."""

    def read(data: bytes) -> Values:
        start = 6 if data.startswith(bytes(4)) else 0
        return {key: text_of(data[start : start + _MAX_TEXT]) or None}

    return read


def _sony(data: bytes) -> Values:
    matches = {key: pattern.search(data) for key, pattern in _SONY.items()}
    values = {key: text_of(match[1][:_MAX_TEXT]) for key, match in matches.items() if match}
    return {**values, "datetime": parse_datetime(values.get("datetime"))}


def _canon(data: bytes) -> Values:
    """Reads the photograph that Canon's cameras make of the first frame."""
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return metadata_of(image).as_dict()


def _panasonic(data: bytes) -> Values:
    for offset in _PANASONIC_EXIF:
        if match := _APP1.match(data, offset):
            size = int.from_bytes(match[1], "big") - 2
            return metadata_of_exif(data[match.end() : match.end() + size]).as_dict()
    return {}


def _nikon(data: bytes) -> Values:
    """Reads records of a tag, a type, a count and the values; DateTimeOriginal comes last and is used."""
    values: dict[str, object] = {}
    position = 0
    while position + 8 <= len(data):
        tag, kind, count = struct.unpack_from(">IHH", data, position)
        size = count * _TIFF_SIZES[kind]
        value = data[position + 8 : position + 8 + size]
        if tag in _NIKON and kind == _ASCII:
            values[_NIKON[tag]] = text_of(value[:_MAX_TEXT])
        position += 8 + size
    return {**values, "datetime": parse_datetime(values.get("datetime"))}


def _gopro(data: bytes) -> Values:
    of_devices = (block for name, device in _klv(data) if name == b"DEVC" for block in _klv(device))
    models = (text_of(value[:_MAX_TEXT]) for name, value in of_devices if name == b"MINF")
    return {"model": next(models, None)}


def _klv(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields GoPro's blocks: name, type, size, count, and that many values, padded to four bytes."""
    position = 0
    while position + 8 <= len(data):
        name, size, repeat = struct.unpack_from(">4sxBH", data, position)
        yield name, data[position + 8 : position + 8 + size * repeat]
        position += 8 + (size * repeat + 3) // 4 * 4


_READERS: dict[str, Callable[[bytes], Values]] = {
    "meta/xml ": _sony,
    "moov/udta/date": _date,
    "moov/udta/CNTH/CNDA": _canon,
    "moov/udta/NCDT/NCTG": _nikon,
    "moov/udta/PANA": _panasonic,
    "moov/udta/GPMF": _gopro,
    "moov/udta/CNMN": _text("model"),
    "moov/udta/cmnm": _text("model"),
    "moov/udta/manu": _text("make"),
    "moov/udta/modl": _text("model"),
    "AVI /hdrl/IDIT": _date,
    "AVI /INFO/IDIT": _date,
    "AVI /IDIT": _date,
    "AVI /INFO/DTIM": _date,
    "AVI /exif/ecor": _text("make"),
    "AVI /exif/emdl": _text("model"),
}
