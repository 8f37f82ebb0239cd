"""The tables for R's camtrapR: records, camera operation, and cameras.

The columns and rules are those of camtrapR 2 (https://jniedballa.github.io/camtrapR/).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby

from speciesnet.ensemble.taxonomy import split_label
from speciesnet.export.tables import Row
from speciesnet.files.paths import file_name, with_slashes
from speciesnet.survey.ecology.occupancy import Matrix
from speciesnet.survey.ecology.stations import Detection, Station
from speciesnet.survey.ecology.sun import Sun

NA = "NA"  # a missing value in a matrix, as R writes and reads it
RECORD_COLUMNS: dict[str, type] = {
    "Station": str, "Species": str, "DateTimeOriginal": str, "Date": str, "Time": str,
    "delta.time.secs": int, "delta.time.mins": float, "delta.time.hours": float,
    "delta.time.days": float, "Directory": str, "FileName": str, "n_images": int,
    "common_name": str, "rank": str, "count": int, "light": str, "sun_height": float, "sun_hour": float,
}  # fmt: skip
_CAMERA_COLUMNS: dict[str, type] = {
    "Station": str, "Setup_date": str, "Retrieval_date": str, "latitude": float, "longitude": float,
    "trap_nights": int,
}  # fmt: skip


def record_rows(detections: Sequence[Detection], suns: Mapping[int, Sun]) -> Iterator[Row]:
    """The record table: a row for each detection, by station, species and time.

    ``delta.time`` is the time since the last photograph, or since the last independent one.
    ``n_images`` is the number of photographs of the event. More columns follow those of camtrapR.

    Args:
        detections: The detections; see ``detections_at``.
        suns: The sun at the time of detections for which it is known, by their positions.
    """
    for number, one in enumerate(detections):
        path, label = with_slashes(one.event.sightings[0].filepath), split_label(one.event.label)
        minutes = round(one.since_last / 60, 1)
        hours = round(minutes / 60, 1)
        sun = suns.get(number)
        yield {
            "Station": one.station,
            "Species": one.taxon,
            "DateTimeOriginal": one.start.isoformat(" "),
            "Date": one.start.date().isoformat(),
            "Time": one.start.time().isoformat(),
            "delta.time.secs": round(one.since_last),
            "delta.time.mins": minutes,
            "delta.time.hours": hours,
            "delta.time.days": round(hours / 24, 1),
            "Directory": path.rpartition("/")[0],
            "FileName": file_name(path),
            "n_images": len(one.event.sightings),
            "common_name": label.common_name or None,
            "rank": label.rank or None,
            "count": one.event.count,
            "light": None if sun is None else sun.light,
            "sun_height": None if sun is None else round(sun.height, 2),
            "sun_hour": None if sun is None or sun.hour is None else round(sun.hour, 3),
        }


def matrix_rows(columns: Sequence[str], matrix: Matrix) -> Iterator[Row]:
    """The rows of a matrix, one for each station; missing values are NA."""
    for station, values in matrix.items():
        cells = (NA if value is None else value for value in values)
        yield {"Station": station, **dict(zip(columns, cells, strict=True))}


def matrix_types(columns: Sequence[str]) -> dict[str, type]:
    """The columns of a matrix and their types."""
    return {"Station": str, **dict.fromkeys(columns, str)}


def camera_types(stations: Sequence[Station]) -> dict[str, type]:
    """The columns of ``camera_rows`` and their types."""
    most = max((len(_problems(one)) for one in stations), default=0)
    return _CAMERA_COLUMNS | {
        f"Problem{number}_{end}": str for number in range(1, most + 1) for end in ("from", "to")
    }


def camera_rows(stations: Sequence[Station]) -> Iterator[Row]:
    """The table of camera traps: a row for each station, even if it never worked.

    ``Problem1_from`` and ``Problem1_to`` are the first and the last of consecutive days on which no
    camera of the station worked.
    """
    empty: Row = dict.fromkeys(camera_types(stations))
    for one in stations:
        days = sorted(one.days)
        latitude, longitude = one.position or (None, None)
        found: Row = {
            "Station": one.name,
            "Setup_date": days[0].isoformat() if days else None,
            "Retrieval_date": days[-1].isoformat() if days else None,
            "latitude": latitude,
            "longitude": longitude,
            "trap_nights": one.nights,
        }
        for number, (first, last) in enumerate(_problems(one), 1):
            found[f"Problem{number}_from"] = first.isoformat()
            found[f"Problem{number}_to"] = last.isoformat()
        yield empty | found


def _problems(station: Station) -> list[tuple[date, date]]:
    """The first and the last of consecutive days without a working camera."""
    found = []
    for works, group in groupby(sorted(station.days.items()), key=lambda item: item[1]):
        days = [day for day, _ in group]
        if not works:
            found.append((days[0], days[-1]))
    return found
