"""Tables of activity: events by hour, means and shares by light, densities, and overlap of two taxa."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from itertools import combinations

from speciesnet.export.tables import Row
from speciesnet.survey.ecology import activity
from speciesnet.survey.ecology.stations import Detection, Station
from speciesnet.survey.ecology.sun import Sun, sun_at

HOUR_COLUMNS: dict[str, type] = {
    "taxon": str, "time": str, "hour": int, "events": int, "share": float,
}  # fmt: skip
SUMMARY_COLUMNS: dict[str, type] = {
    "taxon": str, "time": str, "events": int, "mean_hour": float, "concentration": float,
    "bandwidth": float, "activity_level": float, "day": float, "twilight": float, "night": float,
}  # fmt: skip
DENSITY_COLUMNS: dict[str, type] = {"taxon": str, "time": str, "hour": float, "density": float}
OVERLAP_COLUMNS: dict[str, type] = {
    "taxon_1": str, "taxon_2": str, "time": str, "events_1": int, "events_2": int,
    "dhat1": float, "dhat4": float,
}  # fmt: skip
CLOCK, SUN = "clock", "sun"
_LIGHTS = ("day", "twilight", "night")


def suns_of(
    detections: Sequence[Detection], stations: Sequence[Station], zone: tzinfo | None
) -> dict[int, Sun]:
    """The sun at each detection whose position and time zone are known, by the detection's index.

    Args:
        detections: The detections.
        stations: The stations, with their positions.
        zone: The time zone of clocks that do not record one, or None.
    """
    positions = {one.name: one.position for one in stations}
    found: dict[int, Sun] = {}
    for number, one in enumerate(detections):
        moment, position = datetime.fromisoformat(one.event.start or ""), positions[one.station]
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        if position is not None and moment.tzinfo is not None:
            found[number] = sun_at(moment, position)
    return found


class Activity:
    """The times at which taxa were detected, by the cameras' clocks and by the sun.

    Args:
        detections: The detections.
        suns: See ``suns_of``.

    Attributes:
        hours: The hours of the events of each taxon and kind of time, "clock" or "sun".
    """

    def __init__(self, detections: Sequence[Detection], suns: Mapping[int, Sun]) -> None:
        found: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._lights: dict[str, Counter[str]] = defaultdict(Counter)
        for number, one in enumerate(detections):
            clock = one.start.hour + one.start.minute / 60 + one.start.second / 3600
            found[one.taxon, CLOCK].append(clock)
            if (sun := suns.get(number)) is not None:
                self._lights[one.taxon][sun.light] += 1
                if sun.hour is not None:
                    found[one.taxon, SUN].append(sun.hour)
        self.hours = dict(sorted(found.items()))
        self._times = {
            key: activity.Times(hours)
            for key, hours in self.hours.items()
            if len(hours) >= activity.MIN_EVENTS
        }

    def hour_rows(self) -> Iterator[Row]:
        """A row for each hour: the events in it and their share."""
        for (taxon, time), hours in self.hours.items():
            for hour, events in enumerate(activity.by_hour(hours)):
                share = events / len(hours)
                yield {"taxon": taxon, "time": time, "hour": hour, "events": events, "share": share}

    def summary_rows(self) -> Iterator[Row]:
        """A row for each taxon and kind of time.

        Only the rows with clock times have the shares of day, twilight and night, which are for the
        events whose position of the sun is known.
        """
        for (taxon, time), hours in self.hours.items():
            mean, times = activity.circular_mean(hours), self._times.get((taxon, time))
            lights = self._lights[taxon] if time == CLOCK else Counter()
            shares = {
                name: lights[name] / total if (total := lights.total()) else None
                for name in _LIGHTS
            }
            yield {
                "taxon": taxon,
                "time": time,
                "events": len(hours),
                "mean_hour": mean.hour,
                "concentration": mean.concentration,
                "bandwidth": None if times is None else times.bandwidth,
                "activity_level": None if times is None else times.activity_level,
                **shares,
            }

    def densities(self) -> Iterator[tuple[str, str, float, float]]:
        """The kernel density of each taxon with at least ``MIN_EVENTS`` events.

        Yields the taxon, the kind of time, the hour and the density per hour.
        """
        for (taxon, time), times in self._times.items():
            for hour, value in times.curve:
                yield taxon, time, hour, value

    def density_rows(self) -> Iterator[Row]:
        """The rows of a table of ``densities``."""
        return (dict(zip(DENSITY_COLUMNS, one, strict=True)) for one in self.densities())

    def overlap_rows(self) -> Iterator[Row]:
        """The overlap of each pair of taxa with at least ``MIN_EVENTS`` events."""
        for ((taxon, time), one), ((second, other_time), other) in combinations(
            self._times.items(), 2
        ):
            if time == other_time:
                yield {
                    "taxon_1": taxon,
                    "taxon_2": second,
                    "time": time,
                    "events_1": len(one.hours),
                    "events_2": len(other.hours),
                    "dhat1": one.overlap_1(other),
                    "dhat4": one.overlap_4(other),
                }
