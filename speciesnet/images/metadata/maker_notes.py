"""Dates in the maker notes of Reconyx cameras, some of which write them nowhere else.

The layouts are those that ExifTool documents: https://exiftool.org/TagNames/Reconyx.html
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class _Layout:
    """A kind of maker note that starts with a name.

    Attributes:
        start: The first bytes of the note.
        offset: The position of second, minute, hour, day or month, month or day, and year.
        form: Their ``struct`` format.
        day_first: Whether the day comes before the month; None if ExifTool and other programs
            disagree, or had no photographs to check this with.
        weekday: The position and the ``struct`` format of the weekday.
        sunday: The number of Sunday.
    """

    start: bytes
    offset: int
    form: str
    day_first: bool | None
    weekday: tuple[int, str]
    sunday: int


_LAYOUTS = (
    _Layout(b"RECONYXUF\0", 0x3B, "<5BH", True, (0x42, "<B"), 0),  # UltraFire
    _Layout(b"RECONYXH2\0", 0x3E, "<6H", None, (0x4A, "<H"), 0),  # HyperFire 2
    _Layout(b"RECONYXMF\0", 0x4E, "<6H", None, (0x5A, "<H"), 1),  # MicroFire
    _Layout(b"RECONYXHF4K\0", 0x2F, "<5BH", None, (0x36, "<B"), 1),  # HyperFire 4K
)
_HYPERFIRE = b"\x01\xf1"
_HYPERFIRE_VERSIONS = (b"\x02\x00", b"\x03\x00")
_HYPERFIRE_OFFSET = 22  # the numbers 11 to 16, of two bytes each


def maker_note_date(note: object, make: object) -> str | None:
    """The date in a maker note, for ``parse_datetime``.

    Args:
        note: The MakerNote tag.
        make: The Make tag.

    Returns:
        An ISO 8601 date, which may be impossible; month and day as "05/07/2015" if their order is
        unknown; None for the notes of other cameras, and for those that end too early.
    """
    if not isinstance(note, bytes):
        return None
    try:
        if note.startswith(_HYPERFIRE):
            is_reconyx = isinstance(make, str) and make.strip("\0 ").upper() == "RECONYX"
            if is_reconyx or note[2:4] in _HYPERFIRE_VERSIONS:
                return _hyperfire(note)
        for layout in _LAYOUTS:
            if note.startswith(layout.start):
                return _with_weekday(note, layout)
    except struct.error:  # it is cut off
        pass
    return None


def _hyperfire(note: bytes) -> str:
    """HyperFire, such as HC500, HC600 and PC900."""
    little, big = (struct.unpack_from(f"{order}6H", note, _HYPERFIRE_OFFSET) for order in "<>")
    # Some cameras write only these numbers with the high byte first.
    second, minute, hour, month, day, year = big if little[5] > big[5] > 0 else little
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"


def _with_weekday(note: bytes, layout: _Layout) -> str:
    second, minute, hour, one, other, year = struct.unpack_from(layout.form, note, layout.offset)
    clock = f"{hour:02}:{minute:02}:{second:02}"
    day_first = layout.day_first
    if day_first is None:
        position, form = layout.weekday
        (weekday,) = struct.unpack_from(form, note, position)
        right = [_weekday(year, *pair) == weekday - layout.sunday for pair in _orders(one, other)]
        if right[0] == right[1]:
            return f"{one:02}/{other:02}/{year:04} {clock}"
        day_first = right[1]
    month, day = _orders(one, other)[day_first]
    return f"{year:04}-{month:02}-{day:02}T{clock}"


def _orders(one: int, other: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Month and day, with the month first and with the day first."""
    return (one, other), (other, one)


def _weekday(year: int, month: int, day: int) -> int | None:
    """The number of days since Sunday; None for an impossible date."""
    try:
        return date(year, month, day).isoweekday() % 7
    except ValueError:
        return None
