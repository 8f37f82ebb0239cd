"""Detection rates: independent events per 100 trap nights."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from speciesnet.ensemble.taxonomy import split_label
from speciesnet.export.tables import Row
from speciesnet.survey.ecology.stations import Detection, Station

RATE_COLUMNS: dict[str, type] = {
    "taxon": str, "common_name": str, "rank": str, "station": str, "events": int, "individuals": int,
    "trap_nights": int, "per_100_trap_nights": float,
}  # fmt: skip
TOTAL_COLUMNS: dict[str, type] = {
    **dict.fromkeys(("taxon", "common_name", "rank"), str),
    "stations": int, "stations_surveyed": int, "naive_occupancy": float,
    **{name: RATE_COLUMNS[name] for name in (*RATE_COLUMNS,)[4:]},
    "per_100_from": float, "per_100_to": float,
}  # fmt: skip
CONFIDENCE = 0.95


def per_100_nights(events: int, nights: int) -> float | None:
    """The events per 100 trap nights; None if no night is known.

    Examples:
        >>> per_100_nights(3, 40)
        7.5
    """
    return None if nights == 0 else 100 * events / nights


def rate_interval(effort: Sequence[tuple[int, int]]) -> tuple[float, float] | None:
    """The 95% interval of the events per 100 trap nights, with stations as independent units.

    The rate is a ratio of two sums, whose variance is that of a ratio estimator (Cochran 1977, section
    6.4), but at least that of independent events (Poisson). The interval is symmetric on a logarithmic
    scale, with Student's t for the number of stations.

    Args:
        effort: The events and the trap nights of each station that worked.

    Returns:
        Both ends; None if there are no events or fewer than two stations.

    Examples:
        >>> low, high = rate_interval([(3, 30), (1, 30), (2, 40)])
        >>> round(low, 2), round(high, 2)
        (1.04, 34.75)
    """
    from scipy.special import stdtrit

    count = len(effort)
    events, nights = (sum(one[i] for one in effort) for i in (0, 1))
    if count < 2 or not events or not nights:
        return None
    rate = events / nights
    spread = sum((own - rate * of_station) ** 2 for own, of_station in effort)
    variance = max(count / (count - 1) * spread, events)
    factor = math.exp(
        float(stdtrit(count - 1, (1 + CONFIDENCE) / 2)) * math.sqrt(variance) / events
    )
    return 100 * rate / factor, 100 * rate * factor


def rates_by_station(
    detections: Sequence[Detection], stations: Sequence[Station], labels: Mapping[str, str]
) -> Iterator[Row]:
    """A row for each taxon and each station, including those at which it was not detected.

    ``individuals`` is the sum over all events of the largest number in one photograph (MaxN). The same
    animal may be counted in several events.

    Args:
        detections: The detections of the survey.
        stations: All stations, including those without detections.
        labels: The label of each taxon.
    """
    events = Counter((one.taxon, one.station) for one in detections)
    individuals: Counter[tuple[str, str]] = Counter()
    for one in detections:
        individuals[one.taxon, one.station] += one.event.count
    for taxon in sorted({one.taxon for one in detections}):
        for station in stations:
            key = taxon, station.name
            yield {
                **taxon_cells(taxon, labels[taxon]),
                "station": station.name,
                **_rate_cells(events[key], individuals[key], station.nights),
            }


def rates_overall(
    detections: Sequence[Detection], stations: Sequence[Station], labels: Mapping[str, str]
) -> Iterator[Row]:
    """A row for each taxon: its events per 100 trap nights of all stations together.

    ``naive_occupancy`` is the share of the stations with a working camera at which it was detected. The
    interval is that of ``rate_interval``.
    """
    nights = sum(station.nights for station in stations)
    surveyed = {station.name for station in stations if station.days}
    for taxon in sorted({one.taxon for one in detections}):
        own = [one for one in detections if one.taxon == taxon]
        at = {one.station for one in own} & surveyed
        events = Counter(one.station for one in own)
        interval = rate_interval([(events[s.name], s.nights) for s in stations if s.nights])
        yield {
            **taxon_cells(taxon, labels[taxon]),
            "stations": len(at),
            "stations_surveyed": len(surveyed),
            "naive_occupancy": len(at) / len(surveyed) if surveyed else None,
            **_rate_cells(len(own), sum(one.event.count for one in own), nights),
            "per_100_from": interval and interval[0],
            "per_100_to": interval and interval[1],
        }


def taxon_cells(taxon: str, label: str) -> Row:
    """The cells that name a taxon."""
    parts = split_label(label)
    return {
        "taxon": taxon,
        "common_name": parts.common_name or None,
        "rank": parts.rank or None,
    }


def _rate_cells(events: int, individuals: int, nights: int) -> Row:
    return {
        "events": events,
        "individuals": individuals,
        "trap_nights": nights,
        "per_100_trap_nights": per_100_nights(events, nights),
    }
