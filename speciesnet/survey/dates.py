"""The dates of a survey's photographs: from their files or names, with corrected clocks."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from absl import logging

from speciesnet.errors import InputError
from speciesnet.files.input_notes import Examples
from speciesnet.files.paths import with_slashes
from speciesnet.images.metadata import YEARS, PhotoMetadata
from speciesnet.records import Record
from speciesnet.survey.clocks import ClockCorrections

# The directives of a pattern for names, as in Python's strptime, and what they match.
_DIRECTIVES = {
    "Y": r"\d{4}", "y": r"\d\d", "m": r"\d\d", "d": r"\d\d", "j": r"\d{3}", "H": r"\d\d", "I": r"\d\d",
    "M": r"\d\d", "S": r"\d\d", "f": r"\d{1,6}", "p": "(?:am|pm)", "b": "[a-z]{3}", "B": "[a-z]{3,9}",
}  # fmt: skip
# Cameras that lose power restart on January 1 of 2000 or another early year.
EARLIEST_YEAR = 2001
FUTURE = timedelta(days=1)  # a date this far in the future cannot be a wrong time zone

_NUMBERS = set(_DIRECTIVES) - {"p", "b", "B"}
_SECOND = len("2024-05-01T06:30:00")
# Each of these groups must be in a pattern, with all directives of one of its sets.
_NEEDED = {
    "the year (%Y)": ({"Y"}, {"y"}),
    "the day (%m and %d)": ({"m", "d"}, {"b", "d"}, {"B", "d"}, {"j"}),
    "the time of day (%H and %M)": ({"H", "M"}, {"I", "p", "M"}),
}


class NamePattern:
    """A pattern for dates in the names of files.

    Args:
        pattern: Text with directives of Python's strptime, such as ``%Y%m%d_%H%M%S``. It may match
            anywhere in a name; if it has slashes, it also covers the last folders.

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
        checks_clocks: Whether dates before 2001 and in the future, and jumps of clocks, are reported.
        notes: Sentences about dates and cameras, added by each pass for the summary of a command.
    """

    name_pattern: NamePattern | None = None
    clocks: ClockCorrections | None = None
    checks_clocks: bool = True
    notes: list[str] = field(default_factory=list, compare=False)

    def add_note(self, note: str, *, is_logged: bool = False) -> None:
        """Adds a sentence for the summary, unless it is empty or known; the log gets it, if not yet."""
        if note and note not in self.notes:
            if not is_logged:
                logging.warning("%s", note)
            self.notes.append(note)


def with_dates(
    found: Iterable[tuple[Record, PhotoMetadata]], rules: DateRules, *, is_quiet: bool = False
) -> Iterator[tuple[Record, PhotoMetadata]]:
    """Yields records and their metadata, with the dates to use.

    At the end, it reports unreadable or wrong dates, and clock corrections without a camera; but not
    if ``is_quiet``, for a pass that is not the only one.

    Raises:
        InputError: A row of the clock corrections matches several cameras, or none of the rows matches.
    """
    clocks = rules.clocks.start() if rules.clocks else None
    unreadable, unnamed, wrong = _doubts()
    future = (datetime.now(timezone.utc) + FUTURE).isoformat()[:_SECOND]
    for record, metadata in found:
        filepath, taken = record["filepath"], metadata.datetime
        shift = clocks.shift(filepath) if clocks else None
        if taken is None and rules.name_pattern is not None:
            taken = rules.name_pattern.date_in(filepath)
            if taken is None:
                unnamed.add(filepath)
            else:
                metadata = dataclasses.replace(metadata, datetime=taken, unreadable_date=None)
        if taken is None and metadata.unreadable_date is not None:
            unreadable.add(f"{filepath} ({metadata.unreadable_date!r})")
        if taken is not None and shift:
            right = (datetime.fromisoformat(taken) + shift).isoformat()
            metadata = dataclasses.replace(metadata, datetime=right, original_datetime=taken)
        taken = metadata.datetime
        is_possible = taken is None or f"{EARLIEST_YEAR}" <= taken[:_SECOND] <= future
        if rules.checks_clocks and not is_possible:
            wrong.add(f"{filepath} ({taken})")
        yield record, metadata
    if is_quiet:
        return
    for note in filter(None, map(str, (unreadable, unnamed, wrong))):
        rules.add_note(note)
    for note in clocks.finish() if clocks else ():
        rules.add_note(note)


def _doubts() -> tuple[Examples, Examples, Examples]:
    """Photographs whose dates cannot be read, not even from their names, or are impossible."""
    kinds = (
        ("a date that cannot be read", ". Such dates count as missing"),
        ("no date in their names either", ". See --date_from_name"),
        (
            f"a date before {EARLIEST_YEAR} or in the future",
            ". The clock of the camera may have been wrong; see --clock_corrections",
        ),
    )
    unreadable, unnamed, wrong = (
        Examples(f"photograph has {what}", f"photographs have {what}", advice)
        for what, advice in kinds
    )
    return unreadable, unnamed, wrong
