"""The page with detection rates, activity by hour and accumulation of species."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from speciesnet.constants import DEFAULT_EVENT_GAP
from speciesnet.ecology.accumulation import Expected, accumulate, by_station
from speciesnet.ecology.activity import by_hour
from speciesnet.ecology.activity_tables import CLOCK, Activity
from speciesnet.ecology.folder import Options, ecology_survey
from speciesnet.ecology.rates import rates_overall
from speciesnet.ecology.reading import found_in
from speciesnet.export.tables import Cell
from speciesnet.survey.survey import Survey

ECOLOGY_PAGE, ECOLOGY_HEADING = "ecology.html", "Ecology"
SHADES = 4  # of the cells with events
MAX_ROWS = 20  # of the table of species by cameras


@dataclass(frozen=True)
class Rate:
    """A row of the page: a taxon, with the number and hours of its detections.

    Attributes:
        taxon: Its scientific name, or else its common name.
        common: Its common name, or "".
        events: The number of independent events.
        stations: The number of cameras.
        rate: The events per 100 trap nights, or None.
        hours: The number of events in each hour, and the shade of the cell from 0 to ``SHADES``.
    """

    taxon: str
    common: str
    events: Cell
    stations: Cell
    rate: Cell
    hours: list[tuple[int, int]]


@dataclass(frozen=True)
class EcologyPage:
    """The contents of the page.

    Attributes:
        rates: A row for each taxon, the most frequent first.
        nights: The trap nights of all cameras.
        stations: The number of cameras.
        gap: The minutes between two independent events.
        curve: The expected number of species in 1, 2, ... cameras.
        undated: The number of photographs of animals without a reliable date.
    """

    rates: list[Rate]
    nights: int
    stations: int
    gap: float
    curve: list[Expected]
    undated: int

    @property
    def numbers(self) -> list[Expected]:
        """At most about ``MAX_ROWS`` points of the curve, including the first and the last."""
        step = math.ceil(len(self.curve) / MAX_ROWS)
        last = len(self.curve) - 1
        return [one for i, one in enumerate(self.curve) if i % step == 0 or i == last]


def ecology_page(survey: Survey) -> EcologyPage | None:
    """The page of a survey, or None if no animal was detected at a known time."""
    found = found_in(survey)
    data = ecology_survey(found, Options())
    if not data.detections:
        return None
    hours = Activity(data.detections, {}).hours
    rates = [
        Rate(
            taxon=str(row["taxon"]),
            common=str(row["common_name"] or ""),
            events=row["events"],
            stations=row["stations"],
            rate=row["per_100_trap_nights"],
            hours=_shaded(by_hour(hours[str(row["taxon"]), CLOCK])),
        )
        for row in rates_overall(data.detections, data.stations, data.labels)
    ]
    rates.sort(key=lambda one: -sum(events for events, _ in one.hours))
    curve = list(accumulate(by_station(data.of_species, data.stations)))
    nights = sum(station.nights for station in data.stations)
    undated = len({path for path, _, _ in found.undated})
    return EcologyPage(rates, nights, len(data.stations), DEFAULT_EVENT_GAP, curve, undated)


def _shaded(hours: Sequence[int]) -> list[tuple[int, int]]:
    most = max(hours)
    return [(events, math.ceil(SHADES * events / most) if most else 0) for events in hours]
