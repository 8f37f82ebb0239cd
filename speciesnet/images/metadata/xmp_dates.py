"""Dates in the XMP packet of a photograph."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import suppress

from PIL import Image

MAX_PACKET = 2**22  # bytes; packets of photographs have some thousand

_TIFF_TAG = 700
_JPEG_START = b"http://ns.adobe.com/xap/1.0/\0"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_EXIF = "{http://ns.adobe.com/exif/1.0/}"
# Most reliable first: when the photograph was taken, then when its file was created.
_TAGS = (
    f"{_EXIF}DateTimeOriginal",
    "{http://ns.adobe.com/photoshop/1.0/}DateCreated",
    "{http://ns.adobe.com/xap/1.0/}CreateDate",
    f"{_EXIF}DateTimeDigitized",
)


def packet_of(image: Image.Image) -> bytes:
    """The XMP packet of an opened image; b"" if it has none."""
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if not packet:  # Pillow before 11
        with suppress(Exception):  # damaged EXIF raises nearly anything
            packet = image.getexif().get(_TIFF_TAG)
        packet = packet or _segment_of(image)
    if isinstance(packet, str):
        packet = packet.encode("utf-8", "replace")
    return packet if isinstance(packet, bytes) else b""


def _segment_of(image: Image.Image) -> bytes:
    """The XMP packet in a segment of a JPEG file."""
    segments = getattr(image, "applist", [])
    found = (content for _, content in segments if content.startswith(_JPEG_START))
    return next(found, b"").removeprefix(_JPEG_START)


def xmp_dates(packet: bytes) -> Iterator[str]:
    """Yields the texts of the tags in a packet that contain the photograph's date, best first."""
    packet = packet.strip(b"\0 \r\n\t")
    # Without a document type, a packet has no entities that could expand or be fetched.
    if not packet or len(packet) > MAX_PACKET or b"<!DOCTYPE" in packet:
        return
    try:
        root = ET.fromstring(packet)  # noqa: S314
    except (ET.ParseError, ValueError, LookupError):
        return
    own = [element for rdf in root.iter(f"{_RDF}RDF") for element in rdf]  # not nested ones
    for tag in _TAGS:
        for element in own:
            text = element.get(tag) or element.findtext(tag)
            if text:
                yield text
