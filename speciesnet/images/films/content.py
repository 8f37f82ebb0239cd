"""Recognizes films by their content, whatever their names."""

from __future__ import annotations

from pathlib import Path

from speciesnet.files.storage import scheme_of

_STARTS = (
    b"\x1aE\xdf\xa3",  # Matroska
    b"FLV\x01",
    b"0&\xb2u\x8ef\xcf\x11",  # ASF, with WMV in it
    b"\0\0\x01\xba", b"\0\0\x01\xb3",  # MPEG
)  # fmt: skip
_PICTURES = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1", b"jpx ", b"jp2 ")


def is_film(filepath: str) -> bool:
    """Whether a file on this machine starts the way films do; False if it cannot be read."""
    if scheme_of(filepath) is not None:
        return False
    path = Path(filepath)
    try:
        if not path.is_file():  # to open a named pipe would wait for a writer
            return False
        with path.open("rb") as file:
            start = file.read(12)
    except (OSError, ValueError):
        return False
    if start[4:8] == b"ftyp":
        return start[8:12] not in _PICTURES
    is_avi = start[:4] == b"RIFF" and start[8:12] == b"AVI "
    return is_avi or start[4:8] in (b"moov", b"mdat") or start.startswith(_STARTS)
