"""The page with detection rates, activity by hour and species accumulation."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from speciesnet.constants import DEFAULT_EVENT_GAP
from speciesnet.export.tables import Cell
from speciesnet.survey.ecology.accumulation import Expected, accumulate, by_day, by_station
from speciesnet.survey.ecology.activity import by_hour
from speciesnet.survey.ecology.activity_tables import CLOCK, Activity
from speciesnet.survey.ecology.folder import Options, ecology_survey
from speciesnet.survey.ecology.rates import rates_overall
from speciesnet.survey.ecology.reading import found_in
from speciesnet.survey.report.ecology_plots import DayCurve, RatePoint
from speciesnet.survey.survey import Survey

ECOLOGY_PAGE, ECOLOGY_HEADING = "ecology.html", "Ecology"
SHADES = 4  # of the cells with events
MAX_ROWS = 20  # in the table of species by cameras
MAX_POINTS = 300  # in a curve


@dataclass(frozen=True)
class Rate:
    """A row of the page: a taxon, with the number and hours of its detections.

    Attributes:
        taxon: Its scientific name, otherwise its common name.
        common: Its common name, or "".
        events: The number of independent events.
        stations: The number of cameras.
        rate: The events per 100 trap nights, or None.
        interval: The ends of its 95% interval, or None.
        hours: The number of events in each hour, and the shade of the cell from 0 to ``SHADES``.
    """

    taxon: str
    common: str
    events: Cell
    stations: Cell
    rate: Cell
    interval: tuple[float, float] | None
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
        days: The same for camera days, at most about ``MAX_POINTS`` numbers of them.
        activity: The times of the most frequent taxa with enough events.
        undated: The number of photographs of animals without a reliable date.
    """

    rates: list[Rate]
    nights: int
    stations: int
    gap: float
    curve: list[Expected]
    days: list[Expected]
    activity: list[DayCurve]
    undated: int

    @property
    def points(self) -> list[RatePoint]:
        """The detection rates, the highest first."""
        known = [
            RatePoint(one.common or one.taxon, float(one.rate), one.interval)
            for one in self.rates
            if one.rate is not None
        ]
        return sorted(known, key=lambda one: -one.rate)

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
    times = Activity(data.detections, {})
    hours = times.hours
    rates = [
        Rate(
            taxon=str(row["taxon"]),
            common=str(row["common_name"] or ""),
            events=row["events"],
            stations=row["stations"],
            rate=row["per_100_trap_nights"],
            interval=_interval(row["per_100_from"], row["per_100_to"]),
            hours=_shaded(by_hour(hours[str(row["taxon"]), CLOCK])),
        )
        for row in rates_overall(data.detections, data.stations, data.labels)
    ]
    rates.sort(key=lambda one: -sum(events for events, _ in one.hours))
    curve = list(accumulate(by_station(data.of_species, data.stations)))
    nights = sum(station.nights for station in data.stations)
    samples = by_day(data.of_species, data.stations)
    days = list(accumulate(samples, every=math.ceil(len(samples) / MAX_POINTS) or 1))
    undated = len({path for path, _, _ in found.undated})
    return EcologyPage(
        rates, nights, len(data.stations), DEFAULT_EVENT_GAP, curve, days,
        list(_activity(rates, times)), undated,
    )  # fmt: skip


def _interval(low: Cell, high: Cell) -> tuple[float, float] | None:
    return None if low is None or high is None else (float(low), float(high))


def _activity(rates: Sequence[Rate], times: Activity) -> Iterator[DayCurve]:
    """The hours and densities of the taxa with a density, the most frequent first."""
    densities: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for taxon, _, hour, density in times.densities():
        densities[taxon].append((hour, density))
    for one in rates:
        if curve := densities.get(one.taxon):
            yield DayCurve(one.common or one.taxon, [events for events, _ in one.hours], curve)


def _shaded(hours: Sequence[int]) -> list[tuple[int, int]]:
    most = max(hours)
    return [(events, math.ceil(SHADES * events / most) if most else 0) for events in hours]
