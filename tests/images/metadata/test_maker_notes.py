"""Dates in maker notes of Reconyx cameras."""

from __future__ import annotations

import struct

import pytest

from speciesnet.images.metadata.dates import parse_datetime
from speciesnet.images.metadata.maker_notes import maker_note_date

TAKEN = "2015-05-07T08:08:31"  # a Thursday
DAY_FIRST, MONTH_FIRST = (31, 8, 8, 7, 5, 2015), (31, 8, 8, 5, 7, 2015)


def note(start: bytes, *parts: tuple[int, bytes]) -> bytes:
    """A note with its start and other parts at their positions."""
    content = bytearray(160)
    for position, part in ((0, start), *parts):
        content[position : position + len(part)] = part
    return bytes(content)


def date_in(content: bytes, make: str = "RECONYX") -> str | None:
    return parse_datetime(maker_note_date(content, make))


def hyperfire(order: str = "<", numbers: tuple[int, ...] = MONTH_FIRST) -> bytes:
    return note(b"\x01\xf1\x03\0", (22, struct.pack(f"{order}6H", *numbers)))


def test_hyperfire() -> None:
    assert date_in(hyperfire()) == TAKEN
    assert date_in(hyperfire(">")) == TAKEN
    assert date_in(hyperfire(numbers=(0,) * 6)) is None


def test_other_notes_with_the_same_start_are_left_alone() -> None:
    content = b"\x01\xf1\x09\0" + hyperfire()[4:]
    assert date_in(content, "RECONYX\0") == TAKEN
    assert date_in(content, "OTHER") is None
    assert maker_note_date(b"Nikon\0" + bytes(100), "RECONYX") is None
    assert maker_note_date(None, "RECONYX") is None


def test_ultrafire() -> None:
    content = note(b"RECONYXUF\0", (0x3B, struct.pack("<5BH", *DAY_FIRST)))
    assert date_in(content) == TAKEN


@pytest.mark.parametrize("numbers", [DAY_FIRST, MONTH_FIRST])
@pytest.mark.parametrize(
    ("start", "form", "position", "weekday", "thursday"),
    [
        (b"RECONYXH2\0", "<6H", 0x3E, 0x4A, b"\4\0"),
        (b"RECONYXMF\0", "<6H", 0x4E, 0x5A, b"\5\0"),
        (b"RECONYXHF4K\0", "<5BH", 0x2F, 0x36, b"\5"),
    ],
)
def test_weekday_decides_on_the_order_of_day_and_month(
    numbers: tuple[int, ...], start: bytes, form: str, position: int, weekday: int, thursday: bytes
) -> None:
    date = position, struct.pack(form, *numbers)
    assert date_in(note(start, date, (weekday, thursday))) == TAKEN
    saturday = bytes(byte + 2 if byte else 0 for byte in thursday)  # as in neither order
    assert date_in(note(start, date, (weekday, saturday))) is None


def test_day_after_the_twelfth_needs_no_weekday() -> None:
    date = 0x3E, struct.pack("<6H", 31, 8, 8, 17, 5, 2015)
    assert date_in(note(b"RECONYXH2\0", date)) == "2015-05-17T08:08:31"


@pytest.mark.parametrize("length", [0, 2, 10, 24, 60, 70])
def test_notes_that_are_cut_off_have_no_date(length: int) -> None:
    for content in (hyperfire(), note(b"RECONYXH2\0"), note(b"RECONYXUF\0")):
        assert date_in(content[:length]) in (None, TAKEN)
