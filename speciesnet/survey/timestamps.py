"""Definitely wrong clocks: dates that are impossible for a camera, or that jump."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from itertools import pairwise
from typing import NamedTuple

from speciesnet.files.paths import file_name
from speciesnet.survey.dates import EARLIEST_YEAR, FUTURE

EARLIEST = datetime(EARLIEST_YEAR, 1, 1, tzinfo=timezone.utc).timestamp()
YEAR = 365 * 24 * 3600  # after this time without photographs, the clock must have jumped
BACK = 60  # seconds that a clock may go back from one file to the next

# File names in the DCF standard (CIPA DC-009): four characters, and a number that counts up.
_DCF_NAME = re.compile(r"(\w{4})(\d{4})\.\w+", re.ASCII)
LAST_NUMBER = 9999  # 0001 follows


class Problem(NamedTuple):
    """A definitely wrong date.

    Attributes:
        position: The position of the photograph.
        reason: What is wrong, to follow "photographs".
    """

    position: int
    reason: str


def file_number(filepath: str) -> tuple[str, int] | None:
    """The first four characters and the number in a file name made by a camera.

    Example:
        >>> file_number("cam1/IMG_0012.JPG")
        ('IMG_', 12)
    """
    match = _DCF_NAME.fullmatch(file_name(filepath))
    return (match[1].upper(), int(match[2])) if match else None


def wrong_dates(seconds: Sequence[int], positions: Sequence[int], now: float) -> Iterator[Problem]:
    """Finds dates in a deployment that are impossible, or more than a year after all others.

    Args:
        seconds: The date of every photograph, in seconds since 1970.
        positions: The photographs of the deployment.
        now: Today's date, in seconds since 1970.
    """
    possible = []
    for position in sorted(positions, key=seconds.__getitem__):
        if seconds[position] < EARLIEST:
            yield Problem(position, f"dated before {EARLIEST_YEAR}")
        elif seconds[position] > now + FUTURE.total_seconds():
            yield Problem(position, "dated in the future")
        else:
            possible.append(position)
    for one, other in pairwise(possible):
        if seconds[other] - seconds[one] > YEAR:
            yield Problem(other, "taken after more than a year without photographs")


def backward_dates(
    seconds: Sequence[int], numbers: Sequence[int], positions: Sequence[int]
) -> Iterator[Problem]:
    """Finds files whose date is before that of their camera's previous file.

    Args:
        seconds: The date of every photograph, in seconds since 1970.
        numbers: The number in the name of every photograph.
        positions: The photographs in one folder whose names have the same first characters.
    """
    ordered = sorted(positions, key=numbers.__getitem__)
    back = [other for one, other in pairwise(ordered) if seconds[one] - seconds[other] > BACK]
    if is_full_circle([numbers[p] for p in ordered], [seconds[p] for p in ordered]):
        return
    for position in back:
        yield Problem(position, "dated before the camera's previous file")


def is_full_circle(numbers: Sequence[int], seconds: Sequence[float]) -> bool:
    """Whether a camera continued with 0001 after 9999 in the same folder.

    Args:
        numbers: The numbers in the names of files, in order.
        seconds: Their dates in seconds.
    """
    if numbers[-1] != LAST_NUMBER or seconds[-1] > seconds[0]:
        return False
    return sum(one - other > BACK for one, other in pairwise(seconds)) == 1


def problems_in(
    seconds: Sequence[int],
    series: Sequence[int],
    numbers: Sequence[int],
    deployments: Iterable[Sequence[int]],
) -> list[Problem]:
    """Finds all definitely wrong dates.

    Args:
        seconds: The date of every photograph, in seconds since 1970.
        series: The number of the series of files that each photograph belongs to; -1 if its name has
            no number.
        numbers: The number in the name of every photograph.
        deployments: The photographs of each deployment, by their positions.
    """
    now = datetime.now(timezone.utc).timestamp()
    found = [problem for taken in deployments for problem in wrong_dates(seconds, taken, now)]
    known = {problem.position for problem in found}  # not comparable with the next file
    files: dict[int, list[int]] = defaultdict(list)
    for position, number in enumerate(series):
        if number >= 0 and position not in known:
            files[number].append(position)
    for positions in files.values():
        found += backward_dates(seconds, numbers, positions)
    return found
