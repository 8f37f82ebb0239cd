"""The dates of a survey's photographs: from their files or names, with corrected clocks."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from absl import logging

from speciesnet.errors import InputError
from speciesnet.files.paths import with_slashes
from speciesnet.metadata import YEARS, PhotoMetadata
from speciesnet.records import Record
from speciesnet.survey.clocks import ClockCorrections

# The directives of a pattern for names, as in Python's strptime, and what they match.
_DIRECTIVES = {
    "Y": r"\d{4}", "y": r"\d\d", "m": r"\d\d", "d": r"\d\d", "j": r"\d{3}", "H": r"\d\d", "I": r"\d\d",
    "M": r"\d\d", "S": r"\d\d", "f": r"\d{1,6}", "p": "(?:am|pm)", "b": "[a-z]{3}", "B": "[a-z]{3,9}",
}  # fmt: skip
_NUMBERS = set(_DIRECTIVES) - {"p", "b", "B"}
# Each of these groups must be in a pattern, with all directives of one of its sets.
_NEEDED = {
    "the year (%Y)": ({"Y"}, {"y"}),
    "the day (%m and %d)": ({"m", "d"}, {"b", "d"}, {"B", "d"}, {"j"}),
    "the time of day (%H and %M)": ({"H", "M"}, {"I", "p", "M"}),
}


class NamePattern:
    """A pattern for dates in the names of files.

    Args:
        pattern: A text with directives of Python's strptime, such as ``%Y%m%d_%H%M%S``. It may be
            anywhere in a name; with slashes, the last folders belong to the name.

    Raises:
        InputError: The pattern is invalid, or contains no complete date.

    Examples:
        >>> NamePattern("%Y%m%d_%H%M%S").date_in("cam1/IMG_20240501_063000.JPG")
        '2024-05-01T06:30:00'
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._folders = pattern.count("/")
        parts = re.split(r"(%.?)", pattern)
        used = [part[1:] for part in parts[1::2] if part != "%%"]
        for name in used:
            if name not in _DIRECTIVES:
                raise InputError(
                    f"--date_from_name {pattern} contains %{name}. Use only "
                    f"{', '.join(f'%{known}' for known in _DIRECTIVES)} and %%."
                )
            if used.count(name) > 1:
                raise InputError(f"--date_from_name {pattern} contains %{name} twice. Remove one.")
        for what, sets in _NEEDED.items():
            if not any(needed <= set(used) for needed in sets):
                raise InputError(
                    f"--date_from_name {pattern} lacks {what}. Write one such as %Y%m%d_%H%M%S."
                )
        body = "".join(
            _DIRECTIVES.get(part[1:], "%") if i % 2 else re.escape(part)
            for i, part in enumerate(parts)
        )
        # Longer numbers are not dates.
        before = r"(?<!\d)" if not parts[0] and parts[1][1:] in _NUMBERS else ""
        after = r"(?!\d)" if not parts[-1] and parts[-2][1:] in _NUMBERS else ""
        self._found = re.compile(f"{before}(?=({body}){after})", re.IGNORECASE | re.ASCII)

    def date_in(self, filepath: str) -> str | None:
        """The date in a name, ISO 8601; None if there is none, or if there are several."""
        name = "/".join(with_slashes(filepath).split("/")[-1 - self._folders :])
        dates = set()
        for match in self._found.finditer(name):
            try:
                moment = datetime.strptime(match[1], self._pattern)
            except ValueError:  # 30 February
                continue
            if moment.year in YEARS:
                dates.add(moment.replace(microsecond=0))
        return dates.pop().isoformat() if len(dates) == 1 else None


@dataclass(frozen=True)
class DateRules:
    """Where dates come from, apart from the photographs themselves.

    Attributes:
        name_pattern: Finds the date in the name of a photograph without a readable date.
        clocks: Corrections of the cameras' clocks.
    """

    name_pattern: NamePattern | None = None
    clocks: ClockCorrections | None = None


def with_dates(
    found: Iterable[tuple[Record, PhotoMetadata]], rules: DateRules
) -> Iterator[tuple[Record, PhotoMetadata]]:
    """Yields records and their metadata with the dates that count.

    It warns once, at the end, of dates that cannot be read and of clock corrections without a camera.

    Raises:
        InputError: A row of the clock corrections fits several cameras, or none of the rows fits.
    """
    clocks = rules.clocks.start() if rules.clocks else None
    unreadable: list[tuple[str, str]] = []  # the first one
    unnamed: list[str] = []  # the first one
    unreadable_count = unnamed_count = 0
    for record, metadata in found:
        filepath, taken = record["filepath"], metadata.datetime
        shift = clocks.shift(filepath) if clocks else None
        if taken is None and rules.name_pattern is not None:
            taken = rules.name_pattern.date_in(filepath)
            if taken is None:
                unnamed = unnamed or [filepath]
                unnamed_count += 1
            else:
                metadata = dataclasses.replace(metadata, datetime=taken, unreadable_date=None)
        if taken is None and metadata.unreadable_date is not None:
            unreadable = unreadable or [(filepath, metadata.unreadable_date)]
            unreadable_count += 1
        if taken is not None and shift:
            right = (datetime.fromisoformat(taken) + shift).isoformat()
            metadata = dataclasses.replace(metadata, datetime=right, original_datetime=taken)
        yield record, metadata
    for filepath, text in unreadable:
        logging.warning(
            "%d photographs have a date that cannot be read, the first is %s: %r. They count as "
            "photographs without a date.",
            unreadable_count,
            filepath,
            text,
        )
    for filepath in unnamed:
        logging.warning(
            "%d photographs have no date in their names either, the first is %s. See "
            "--date_from_name.",
            unnamed_count,
            filepath,
        )
    if clocks is not None:
        clocks.finish()
