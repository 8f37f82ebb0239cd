"""Notes cameras whose clocks jumped, while the records of a survey are read one at a time."""

from __future__ import annotations

from array import array
from datetime import datetime, timedelta, timezone

from speciesnet.files.input_notes import Examples
from speciesnet.files.paths import with_slashes
from speciesnet.survey.dates import EARLIEST_YEAR, FUTURE
from speciesnet.survey.reliable_dates import EPOCH, Jump, Taken, days_apart, in_order
from speciesnet.survey.sequences import camera_folder, clock_time
from speciesnet.survey.timestamps import file_number

_ONE_SECOND = timedelta(seconds=1)


class ClockJumps:
    """Jumps to dates that are possible by themselves; ``DateRules`` reports the others.

    It finds those jumps of ``camera_dates`` that affect days. Sixteen bytes per photograph are kept in
    memory.
    """

    def __init__(self) -> None:
        # The numbers of the files and their dates, by folder and by the start of their names.
        self._series: dict[tuple[str, str], tuple[array[int], array[int]]] = {}
        self._latest = datetime.now(timezone.utc).replace(tzinfo=None) + FUTURE

    def add(self, filepath: str, taken: str) -> None:
        """Adds a photograph with a date, ISO 8601."""
        moment = clock_time(taken)
        if not (moment.year >= EARLIEST_YEAR and moment <= self._latest):
            return
        start, number = file_number(filepath) or ("", 0)
        folder = with_slashes(filepath).rpartition("/")[0]
        if not start:
            folder = "/".join(camera_folder(f"{folder}/"))
        numbers, seconds = self._series.setdefault((folder, start), (array("q"), array("q")))
        numbers.append(number)
        seconds.append((moment - EPOCH) // _ONE_SECOND)

    def note(self) -> str:
        """A sentence on the cameras whose clocks jumped; empty if there are none."""
        first: dict[str, Jump] = {}
        for (folder, start), (numbers, seconds) in sorted(self._series.items()):
            members = [
                (number, Taken(EPOCH + second * _ONE_SECOND, ""))
                for number, second in zip(numbers, seconds, strict=True)
            ]
            if jump := next(days_apart(in_order(start, members)), None):
                first.setdefault("/".join(camera_folder(f"{folder}/")), jump)
        found = Examples(
            "camera has a clock that seems to have jumped",
            "cameras have clocks that seem to have jumped",
            ". See speciesnet cameras, and correct the dates with a table for --clock_corrections",
        )
        for camera, jump in first.items():
            found.add(f"{camera or 'photographs without a folder'} ({_text(jump)})")
        return str(found)


def _text(jump: Jump) -> str:
    earlier = f"from {jump.before.moment:%Y-%m-%d %H:%M} " if jump.before else ""
    return f"{earlier}to {jump.after.moment:%Y-%m-%d %H:%M}"
