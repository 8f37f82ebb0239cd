"""Detection histories for occupancy models: at which stations and when a taxon was detected.

The rules are those of camtrapR's ``detectionHistory`` with ``output = "binary"``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from speciesnet.survey.ecology.stations import DAY, Detection, Station

FirstDay = Literal["survey", "station"]
Matrix = dict[str, list[int | None]]  # a row for each station; None is NA


@dataclass(frozen=True)
class Occasions:
    """The occasions of a survey.

    Attributes:
        days: The length of an occasion in days, at least 1.
        first_day: Whether the first occasion starts on the first day of the survey, or on each
            station's own first day.
        min_active_days: Occasions in which a station worked on fewer days are NA; at least 1.
    """

    days: int = 7
    first_day: FirstDay = "survey"
    min_active_days: int = 1

    def starts(self, stations: Iterable[Station]) -> dict[str, date]:
        """The first day of the first occasion of each station that worked."""
        own = {one.name: min(days) for one in stations if (days := one.days)}
        if self.first_day == "survey" and own:
            return dict.fromkeys(own, min(own.values()))
        return own


def effort_matrix(stations: Sequence[Station], occasions: Occasions) -> Matrix:
    """The number of days on which each station worked in each occasion.

    It is None if a station worked on fewer than ``min_active_days``, or not at all. The last occasion
    may be shorter than the others.
    """
    starts = occasions.starts(stations)
    days = {one.name: one.days for one in stations}
    lengths = [(max(days[name]) - start).days + 1 for name, start in starts.items()]
    columns = -(-max(lengths, default=0) // occasions.days)
    found: Matrix = {}
    for name, start in starts.items():
        active = [0] * columns
        for day, works in days[name].items():
            active[(day - start).days // occasions.days] += works
        found[name] = [n if n >= max(occasions.min_active_days, 1) else None for n in active]
    return found


def detection_history(
    detections: Iterable[Detection],
    effort: Mapping[str, Sequence[int | None]],
    starts: Mapping[str, date],
    occasions: Occasions,
) -> tuple[Matrix, int]:
    """The detection history of one taxon, and the number of its detections outside all occasions.

    An occasion is 1 if an event started in it, and 0 otherwise; it is None if the effort is None. An
    event belongs to the occasion in which it starts, even if it continues into the next one.

    Args:
        detections: The detections of the taxon.
        effort: The effort matrix.
        starts: The first day of each station, see ``Occasions.starts``.
        occasions: The occasions.
    """
    found: Matrix = {
        name: [None if n is None else 0 for n in active] for name, active in effort.items()
    }
    lost = 0
    for one in detections:
        row = found.get(one.station, [])
        number = -1
        if one.station in starts:
            number = (one.start.date() - starts[one.station]).days // occasions.days
        if 0 <= number < len(row) and row[number] is not None:
            row[number] = 1
        else:
            lost += 1
    return found, lost


def operation_matrix(stations: Sequence[Station]) -> tuple[list[date], Matrix]:
    """The camera operation matrix of camtrapR: the days of the survey, and a row for each station.

    A day is 1 if a camera of the station worked for some time, and 0 if none did. Days before the
    station's first day and after its last day are None.
    """
    known = {one.name: days for one in stations if (days := one.days)}
    if not known:
        return [], {}
    first = min(min(days) for days in known.values())
    last = max(max(days) for days in known.values())
    survey = [first + DAY * number for number in range((last - first).days + 1)]
    return survey, {name: [days.get(day) for day in survey] for name, days in known.items()}
