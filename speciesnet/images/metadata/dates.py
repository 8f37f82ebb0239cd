"""Dates as cameras and programs write them. Ambiguous text is not read as a date."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date, datetime, time, timedelta

# EXIF was published in 1995; cameras whose clock was reset write years such as 0000 or 65535.
YEARS = range(1995, 2100)

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?P<name>(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*)"
_WEEKDAY = r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*"
_SEPARATOR = r"\s*[:/.\-]\s*"
_DATES = [
    re.compile(rf"(?:{_WEEKDAY}[.,]?\s+)?{pattern}", re.IGNORECASE | re.ASCII)
    for pattern in (
        rf"(?P<year>\d{{4}}){_SEPARATOR}(?P<month>\d{{1,2}}){_SEPARATOR}(?P<day>\d{{1,2}})(?!\d)",
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)(?=$|[\sT_:,;\-]|\d{4}(?:\d\d)?(?!\d))",
        rf"(?P<one>\d{{1,2}}){_SEPARATOR}(?P<other>\d{{1,2}}){_SEPARATOR}(?P<year>\d{{4}})(?!\d)",
        rf"(?P<day>\d{{1,2}})[\s\-/.]*{_MONTH}[\s\-/.,]*(?P<year>\d{{4}})(?!\d)",
        rf"{_MONTH}\.?\s*(?P<day>\d{{1,2}}),?\s+(?P<year>\d{{4}})(?![\d:])",
        rf"(?P<year>\d{{4}})[\s\-/.]*{_MONTH}[\s\-/.]*(?P<day>\d{{1,2}})(?!\d)",
    )
]
# Fri May  7 08:08:31 2021, as C's ctime writes it.
_CTIME = re.compile(
    rf"(?:{_WEEKDAY}\s+)?({_MONTH}\s+\d{{1,2}})\s+(\d\d?:\d\d:\d\d)\s+(\d{{4}})",
    re.IGNORECASE | re.ASCII,
)
_TWO_NUMBERS = re.compile(
    rf"(\d{{1,2}}){_SEPARATOR}(\d{{1,2}}){_SEPARATOR}(\d{{4}})(?!\d)", re.ASCII
)
# 30-Apr-24, as Excel shows dates.
_SHORT_YEAR = re.compile(
    rf"(\d{{1,2}})[\s\-/.]+({_MONTH})[\s\-/.,]+(\d\d)(?=$|\s)", re.IGNORECASE | re.ASCII
)
_HALF = r"[ap]\.?\s?m\b\.?"
_TIMES = [
    re.compile(rf"(?:\s*[T_,;:\-]\s*|\s+)?(?:(?P<early>{_HALF})\s*)?{pattern}(?!\d)", flags)
    for flags in [re.IGNORECASE | re.ASCII]
    for pattern in (
        r"(?P<hour>\d{1,2})\s*(?P<mark>[:.\-])\s*(?P<minute>\d{1,2})"
        r"(?:\s*(?P=mark)\s*(?P<second>\d{1,2})(?:[.,]\d+)?)?",
        r"(?P<hour>\d\d)(?P<minute>\d\d)(?:(?P<second>\d\d)(?:[.,]\d+)?)?",
    )
]
_END = re.compile(
    rf"\s*(?P<late>{_HALF})?\s*(?P<zone>(?:UTC|GMT|Z)?\s*[+\-]\d{{1,2}}(?::?\d\d)?(?!\d)|UTC|GMT|Z\b)?",
    re.IGNORECASE | re.ASCII,
)
_KEPT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", re.ASCII)  # the form in records
_OFFSET = re.compile(r"(?:UTC|GMT|Z)?\s*([+-])(\d{1,2})(?::?(\d\d))?", re.ASCII | re.IGNORECASE)
# Words after a time that change nothing about what the clock shows: weekdays and time zones.
_HARMLESS = re.compile(rf"(?i:{_WEEKDAY})|[A-Z]{{2,4}}T", re.ASCII)


def text_of(value: object) -> str:
    """The text of a tag up to the first NUL, without surrounding blanks; "" if it is not text."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return ""
    # Erased memory is full of 0xff.
    return value.partition("\0")[0].strip("\xff \t\r\n\v\f\x1a")


def is_blank(value: object) -> bool:
    """Whether a tag contains no date at all: it is absent, empty, or all zeros.

    Examples:
        >>> [is_blank(text) for text in ("0000-00-00T00:00:00Z", "Date unknown")]
        [True, False]
    """
    text = text_of(value)
    return re.search(r"[1-9]", text) is None and ("0" in text or not re.search(r"[^\W\d_]", text))


def parse_datetime(value: object, offset: object = None) -> str | None:
    """Converts a date to ISO 8601; None if it cannot be read or is ambiguous.

    Args:
        value: Text such as "2024:05:01 06:30:00" (EXIF), "2024-05-01T06:30" (ISO 8601),
            "2024/5/1 6:30:00 PM" or "1 May 2024 06:30:00". "05/07/2024 06:30:00" is not read: it may
            be in May or in July. A date must have a time of day.
        offset: The offset of the clock from UTC, if the value itself has none.

    Examples:
        >>> parse_datetime("2024:05:01 06:30:00", "+03:00")
        '2024-05-01T06:30:00+03:00'
        >>> parse_datetime("25/12/2024 6:30 PM")
        '2024-12-25T18:30:00'
    """
    text = text_of(value)
    if offset is None and _KEPT.fullmatch(text):  # the same result in a tenth of the time
        with suppress(ValueError):
            return text if datetime.fromisoformat(text).year in YEARS else None
    if match := _CTIME.fullmatch(text):
        text = f"{match[1]} {match[4]} {match[3]}"
    found = next((match for pattern in _DATES if (match := pattern.match(text))), None)
    if found is None:
        return None
    rest = text[found.end() :]
    clock = next((match for pattern in _TIMES if (match := pattern.match(rest))), None)
    if clock is None:
        return None
    end = _END.match(rest, clock.end())
    assert end is not None  # it matches the empty text
    of_day = _time_of_day(clock, clock["early"] or end["late"], rest[end.end() :])
    days = set(_days(found))
    if of_day is None or len(days) != 1:
        return None
    moment = datetime.combine(days.pop(), time()) + of_day
    if moment.year not in YEARS:
        return None
    return moment.isoformat() + (_parse_offset(end["zone"]) or _parse_offset(text_of(offset)))


def day_comes_first(texts: Iterable[str]) -> bool | None:
    """Whether dates with two leading numbers, such as "30/04/2024", start with the day.

    Returns:
        True or False if some of the dates can be read in only one order; None if there are no such
        dates, or if they contradict each other.

    Examples:
        >>> day_comes_first(["05/04/2024", "30/04/2024 08:00"])
        True
    """
    pairs = [(int(m[1]), int(m[2])) for text in texts if (m := _TWO_NUMBERS.match(text_of(text)))]
    orders = {one > 12 for one, other in pairs if (one > 12) != (other > 12)}
    return orders.pop() if len(orders) == 1 else None


def parse_table_date(value: str, without_time: str, is_day_first: bool | None = None) -> str | None:
    """Converts a date in a table to ISO 8601; unlike ``parse_datetime``, it may lack the time of day.

    Args:
        value: The date, such as "30/04/2024", "2024-04-30 08:00" or "30-Apr-24".
        without_time: The time of a date that has none, such as "00:00:00".
        is_day_first: Whether "05/04/2024" is in April, see ``day_comes_first``; if None, it is not
            read.

    Examples:
        >>> parse_table_date("05/04/2024", "00:00:00", is_day_first=True)
        '2024-04-05T00:00:00'
    """
    text = text_of(value)
    if match := _SHORT_YEAR.match(text):
        text = f"{match[1]} {match[2]} 20{match[4]}{text[match.end() :]}"
    if is_day_first is not None and (match := _TWO_NUMBERS.match(text)):
        day, month = (match[1], match[2]) if is_day_first else (match[2], match[1])
        if int(month) <= 12:
            text = f"{match[3]}-{month}-{day}{text[match.end() :]}"
    return parse_datetime(text) or parse_datetime(f"{text} {without_time}")


def _days(found: re.Match[str]) -> Iterator[date]:
    """The days that a date may mean."""
    parts = found.groupdict()
    year = int(parts["year"])
    if "one" in parts:
        one, other = int(parts["one"]), int(parts["other"])
        pairs = [(one, other), (other, one)]
    elif "name" in parts:
        pairs = [(_MONTHS.index(parts["name"][:3].lower()) + 1, int(parts["day"]))]
    else:
        pairs = [(int(parts["month"]), int(parts["day"]))]
    for month, day in pairs:
        if year in YEARS and 1 <= month <= 12 and 1 <= day <= 31:
            try:
                yield date(year, month, day)
            except ValueError:  # 31 February
                continue


def _time_of_day(clock: re.Match[str], half: str | None, rest: str) -> timedelta | None:
    """The time since midnight, up to 24:00; None if it is impossible or ambiguous."""
    hour, minute, second = (int(clock[name] or 0) for name in ("hour", "minute", "second"))
    if minute > 59 or second > 59 or hour > 24 or (hour == 24 and (minute or second or half)):
        return None
    if half is not None:
        is_afternoon = half[0] in "pP"
        if 1 <= hour <= 12:
            hour = hour % 12 + 12 * is_afternoon
        elif (hour > 12) != is_afternoon:
            return None
    elif 1 <= hour <= 12 and not _is_harmless(rest):
        return None  # the rest may mean the afternoon
    if re.search(r"\d", rest):
        return None
    return timedelta(hours=hour, minutes=minute, seconds=second)


def _is_harmless(rest: str) -> bool:
    words = re.findall(r"[^\W\d_]+", rest.replace("\xff", " "))
    return all(_HARMLESS.fullmatch(word) for word in words)


def _parse_offset(text: str | None) -> str:
    """An offset from UTC as "+03:00"; "" if there is none or it is impossible."""
    text = (text or "").strip()
    if text.upper() in ("Z", "UTC", "GMT"):
        return "+00:00"
    match = _OFFSET.fullmatch(text)
    if match is None:
        return ""
    hours, minutes = int(match[2]), int(match[3] or 0)
    return f"{match[1]}{hours:02}:{minutes:02}" if hours <= 14 and minutes <= 59 else ""
