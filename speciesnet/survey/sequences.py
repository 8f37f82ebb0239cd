"""Sequences: the photographs of one passing animal.

Photographs are grouped by the clock of their camera, see ``sequence_numbers``. Their common answer
comes from ``ensemble.sequences.sequence_answer``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from speciesnet.constants import DEFAULT_SEQUENCE_GAP
from speciesnet.ensemble.sequences import mean_classes, sequence_answer
from speciesnet.ensemble.taxonomy import BLANK, category_of
from speciesnet.files.paths import Parts, with_slashes
from speciesnet.records import Record, answer_of

__all__ = [
    "camera_folder",
    "clock_time",
    "is_blank",
    "mean_classes",
    "sequence_answer",
    "sequence_numbers",
    "without_card",
]

# Folders that cameras make on their cards, by the DCF standard (CIPA DC-009): DCIM, and in it a number
# and five characters. Below DCIM, these can be any characters. Elsewhere, sites such as 101NORTH look the
# same, so that only manufacturers' names count; the first five are also in MegaDetector's
# image_file_to_camera_folder.
CARD = "DCIM"
_BELOW_CARD = re.compile(r"(?!\d+$)[1-9]\d\d\w{5}", re.ASCII)
_BY_MAKERS = re.compile(
    r"[1-9]\d\d(RECNX|EK\d{3}|_BTCF|MEDIA|DSCIM|BTCF_|MFCAM|CUDDY|SYCAM|STLTH|IMAGE|CANON|EOS\w\w|NIKON|MSDCF|_PANA|OLYMP|_FUJI|"
    r"PENTX|RICOH|CASIO|SIGMA|GOPRO|APPLE)",
    re.ASCII | re.IGNORECASE,
)
# Multiples of the gap; with its default, 15 minutes and 5 minutes. See docs/sequences.md.
MAX_GAPS = 15
MAX_BLANK_GAPS = 5
_CLOCK = len("2024-05-01T06:30:00")
_UNDATED = datetime.max  # after all photographs with a date


def camera_folder(filepath: str) -> Parts:
    """The folder that identifies the camera of a photograph, without ``DCIM`` and ``100RECNX``.

    Serial numbers, dates, and names of sites such as ``101NORTH`` remain.

    Examples:
        >>> camera_folder("survey/cam1/DCIM/100RECNX/IMG_0001.JPG")
        ('survey', 'cam1')
        >>> camera_folder("survey/10012345/IMG_0001.JPG")
        ('survey', '10012345')
    """
    return without_card(tuple(with_slashes(filepath).split("/")[:-1]))


def without_card(folder: Parts) -> Parts:
    """A folder without the folders that the camera created at its end."""
    while folder and _is_made_by_camera(folder):
        folder = folder[:-1]
    return folder


def _is_made_by_camera(folder: Parts) -> bool:
    *above, name = folder
    if name.upper() == CARD or _BY_MAKERS.fullmatch(name):
        return True
    return above[-1:] != [] and above[-1].upper() == CARD and bool(_BELOW_CARD.fullmatch(name))


def clock_time(taken: str) -> datetime:
    """The time on the camera's clock, to the second, in an ISO 8601 date.

    An offset is ignored: a camera may write it into only some of its photographs.

    Raises:
        ValueError: The date is invalid.
    """
    return datetime.fromisoformat(taken[:_CLOCK])


def is_blank(record: Record) -> bool:
    """Whether the model answered that nothing is in the image; a failure is not blank.

    Raises:
        KeyError, TypeError, ValueError, IndexError: The record is malformed.
    """
    label = answer_of(record)[0]
    return label is not None and category_of(label) == BLANK


def sequence_numbers(
    photographs: Iterable[tuple[str, str | None]],
    gap: float = DEFAULT_SEQUENCE_GAP,
    blanks: Sequence[bool] | bytes = b"",
) -> list[int]:
    """Numbers the sequences of each camera from 1, in chronological order.

    A photograph continues the sequence of its camera's previous photograph, unless

    - they are more than ``gap`` apart,
    - the sequence would last longer than ``MAX_GAPS`` gaps, or
    - only blank photographs have followed for more than ``MAX_BLANK_GAPS`` gaps since the last one
      that is not blank, otherwise since the first one.

    Each photograph without a date is a separate sequence; these come last, in the given order.

    Args:
        photographs: The camera of each photograph (see ``camera_folder``) and its date (ISO 8601, or
            None), in any order.
        gap: Seconds, at least 0.
        blanks: Whether each photograph is blank, see ``is_blank``; empty if that is unknown.

    Returns:
        For each photograph, the number of its sequence within its camera, in the given order.

    Raises:
        ValueError: A date is invalid.

    Examples:
        >>> taken = ["2024-05-01T06:30:00", "2024-05-01T06:30:40", "2024-05-01T09:00:00", None]
        >>> sequence_numbers([("cam1", date) for date in taken])
        [1, 1, 2, 3]
    """
    cameras: dict[str, list[tuple[datetime, int]]] = {}
    for position, (camera, taken) in enumerate(photographs):
        moment = _UNDATED if taken is None else clock_time(taken)
        cameras.setdefault(camera, []).append((moment, position))
    numbers = [0] * sum(map(len, cameras.values()))
    pause = timedelta(seconds=gap)
    for taken_by_one in cameras.values():
        number, first, last, seen = 0, _UNDATED, _UNDATED, _UNDATED
        for moment, position in sorted(taken_by_one):
            is_new = _UNDATED in (moment, last) or (
                moment - last > pause
                or moment - first > MAX_GAPS * pause
                or moment - seen > MAX_BLANK_GAPS * pause
            )
            if is_new:
                number, first, seen = number + 1, moment, moment
            elif not (blanks and blanks[position]):
                seen = moment
            numbers[position], last = number, moment
    return numbers
