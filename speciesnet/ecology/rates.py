"""Detection rates: independent events per 100 trap nights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from speciesnet.ecology.stations import Detection, Station
from speciesnet.export.tables import Row
from speciesnet.taxonomy import split_label

RATE_COLUMNS: dict[str, type] = {
    "taxon": str, "common_name": str, "rank": str, "station": str, "events": int, "individuals": int,
    "trap_nights": int, "per_100_trap_nights": float,
}  # fmt: skip
TOTAL_COLUMNS: dict[str, type] = {
    **dict.fromkeys(("taxon", "common_name", "rank"), str),
    "stations": int, "stations_surveyed": int, "naive_occupancy": float,
    **{name: RATE_COLUMNS[name] for name in (*RATE_COLUMNS,)[4:]},
}  # fmt: skip


def per_100_nights(events: int, nights: int) -> float | None:
    """The events per 100 trap nights; None if no night is known.

    Examples:
        >>> per_100_nights(3, 40)
        7.5
    """
    return None if nights == 0 else 100 * events / nights


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

    ``naive_occupancy`` is the share of the stations with a working camera at which it was detected.
    """
    nights = sum(station.nights for station in stations)
    surveyed = {station.name for station in stations if station.days}
    for taxon in sorted({one.taxon for one in detections}):
        own = [one for one in detections if one.taxon == taxon]
        at = {one.station for one in own} & surveyed
        yield {
            **taxon_cells(taxon, labels[taxon]),
            "stations": len(at),
            "stations_surveyed": len(surveyed),
            "naive_occupancy": len(at) / len(surveyed) if surveyed else None,
            **_rate_cells(len(own), sum(one.event.count for one in own), nights),
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
