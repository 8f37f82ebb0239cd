"""Photographs that one passing animal set off: sequences, by the camera's clock."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

DEFAULT_GAP = 60.0  # seconds

# Folders that cameras make on their cards, by the DCF standard (CIPA DC-009): DCIM, 100RECNX.
_MADE_BY_CAMERA = re.compile(r"DCIM|[1-9]\d\d\w{5}", re.ASCII | re.IGNORECASE)
_CLOCK = len("2024-05-01T06:30:00")


def camera_folder(filepath: str) -> tuple[str, ...]:
    """The parts of the folder that stands for a photograph's camera: without DCIM, 100RECNX."""
    parts = filepath.replace("\\", "/").split("/")[:-1]
    while parts and _MADE_BY_CAMERA.fullmatch(parts[-1]):
        parts.pop()
    return tuple(parts)


def clock_time(taken: str) -> datetime:
    """What the camera's clock showed, of an ISO 8601 date, to the second.

    An offset is passed over: a camera may write it into some of its photographs only.

    Raises:
        ValueError: It is no such date.
    """
    return datetime.fromisoformat(taken[:_CLOCK])


def sequence_numbers(
    photographs: Iterable[tuple[str, str | None]], gap: float = DEFAULT_GAP
) -> list[int]:
    """Numbers the sequences of each camera from 1, in the order of time.

    A photograph belongs to the sequence of the one that its camera took before it where no more than
    ``gap`` lies between them. One without a date is a sequence of its own; these come last, in the
    order given.

    Args:
        photographs: The camera of each, see ``camera_folder``; and when it was taken, ISO 8601, or
            None. In any order.
        gap: Seconds, at least 0.

    Returns:
        The number of each one's sequence of its camera, in the order given.

    Raises:
        ValueError: A date is none.
    """
    dated: dict[str, list[tuple[datetime, int]]] = {}
    undated: dict[str, list[int]] = {}
    count = 0
    for position, (folder, taken) in enumerate(photographs):
        count += 1
        if taken is None:
            undated.setdefault(folder, []).append(position)
        else:
            dated.setdefault(folder, []).append((clock_time(taken), position))

    numbers = [0] * count
    longest = timedelta(seconds=gap)
    for folder in dated.keys() | undated.keys():
        number, last = 0, None
        for moment, position in sorted(dated.get(folder, [])):
            number += last is None or moment - last > longest
            numbers[position], last = number, moment
        for number, position in enumerate(undated.get(folder, []), start=number + 1):  # noqa: B020
            numbers[position] = number
    return numbers
