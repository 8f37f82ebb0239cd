"""Stations: where cameras worked, on which days, and for how many nights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from speciesnet.ecology.reading import Position
from speciesnet.export.deployments import Place
from speciesnet.files.paths import path_parts, shared_start
from speciesnet.survey.effort import CameraEffort
from speciesnet.survey.events import Event
from speciesnet.taxonomy import species_name, split_label

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Station:
    """A place in a table of deployments or, without a table, a camera.

    Attributes:
        name: The name of the place, or the folder of the camera below the common folder.
        efforts: The effort of each of its cameras and deployments.
        position: Latitude and longitude in degrees, or None.
    """

    name: str
    efforts: tuple[CameraEffort, ...]
    position: Position | None = None

    @property
    def nights(self) -> int:
        """The nights that its cameras worked, added up."""
        return sum(one.nights or 0 for one in self.efforts)

    @property
    def days(self) -> dict[date, int]:
        """1 for each day on which a camera worked for some time, and 0 for the days in between."""
        found: dict[date, int] = {}
        for one in self.efforts:
            for day, works in _days(one).items():
                found[day] = max(works, found.get(day, 0))
        if not found:
            return {}
        first, last = min(found), max(found)
        days = (first + DAY * number for number in range((last - first).days + 1))
        return {day: found.get(day, 0) for day in days}


def _days(effort: CameraEffort) -> dict[date, int]:
    """1 for each day on which a camera worked for some time, and 0 for days within a gap."""
    if effort.start is None or effort.end is None:
        return {}
    found: dict[date, int] = {}
    for number in range((effort.end.date() - effort.start.date()).days + 1):
        day = effort.start.date() + DAY * number
        midnight = datetime.combine(day, time())
        start, end = max(midnight, effort.start), min(midnight + DAY, effort.end)
        lost = any(gap.start <= start and end <= gap.end for gap in effort.gaps)
        found[day] = int(not lost)
    return found


@dataclass(frozen=True)
class Detection:
    """An independent event at a station.

    Attributes:
        taxon: The name of the taxon, see ``taxon_names``.
        station: The name of the station.
        start: The date of its first photograph, on the camera's clock.
        event: The event.
        since_last: The seconds since the last photograph of the taxon by this camera, or since the
            start of its last event, depending on how events are compared; 0 for the first event.
    """

    taxon: str
    station: str
    start: datetime
    event: Event
    since_last: float


def make_stations(
    efforts: Sequence[CameraEffort],
    of_cameras: Mapping[str, Position],
    places: Mapping[str, Place],
) -> list[Station]:
    """The stations of a survey, in the order of their names.

    Args:
        efforts: The effort of each camera or deployment.
        of_cameras: The positions of cameras, from their photographs.
        places: The places of deployments in the table, whose positions take precedence.
    """
    names = station_names(efforts, places)
    groups: dict[str, list[CameraEffort]] = defaultdict(list)
    for one in efforts:
        groups[names[one.camera, one.deployment]].append(one)
    found = []
    for name in sorted(groups):
        in_table = (places[one.deployment].position for one in groups[name] if one.deployment)
        of_photographs = (of_cameras.get(one.camera) for one in groups[name])
        position = next(filter(None, (*in_table, *of_photographs)), None)
        found.append(Station(name, tuple(groups[name]), position))
    return found


def station_names(
    efforts: Iterable[CameraEffort], places: Mapping[str, Place]
) -> dict[tuple[str, str | None], str]:
    """The name of the station of each camera and deployment, see ``Station.name``."""
    pairs = [(one.camera, one.deployment) for one in efforts]
    folders = [path_parts(camera) for camera, deployment in pairs if deployment is None]
    base = shared_start(folders)
    found = {}
    for camera, deployment in pairs:
        parts = path_parts(camera)
        below = "/".join(parts[len(base) :]) or (parts[-1] if parts else "camera")
        found[camera, deployment] = below if deployment is None else places[deployment].name
    return found


def taxon_names(labels: Iterable[str]) -> dict[str, str]:
    """The scientific name of each label, otherwise its common name; both if several labels share it.

    Examples:
        >>> fox = "0;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
        >>> taxon_names([fox])[fox]
        'Vulpes vulpes'
    """
    names: dict[str, list[str]] = defaultdict(list)
    for label in sorted(set(labels)):
        parts = split_label(label)
        names[parts.scientific_name or parts.name].append(label)
    found: dict[str, str] = {}
    for name, same in names.items():
        found |= {label: name if len(same) == 1 else species_name(label) for label in same}
    return found


def detections_at(
    events: Iterable[Event],
    efforts: Sequence[CameraEffort],
    names: Mapping[str, str],
    places: Mapping[str, Place],
    *,
    since_start: bool = False,
) -> list[Detection]:
    """The detections of a survey, by station, taxon and time.

    Args:
        events: Dated events, by camera and time.
        efforts: The effort of each camera or deployment.
        names: The names of the labels.
        places: The places of deployments in the table.
        since_start: Whether ``since_last`` is the time since the start of the last event.
    """
    by_camera: dict[str, list[CameraEffort]] = defaultdict(list)
    for one in efforts:
        by_camera[one.camera].append(one)
    stations = station_names(efforts, places)
    last: dict[tuple[str, str], datetime] = {}
    found = []
    for event in events:
        start, end = (datetime.fromisoformat((d or "")[:19]) for d in (event.start, event.end))
        effort = min(by_camera[event.camera], key=lambda one: _distance(one, start))
        key = event.camera, event.label
        since = (start - last[key]).total_seconds() if key in last else 0.0
        last[key] = start if since_start else end
        station = stations[effort.camera, effort.deployment]
        found.append(Detection(names[event.label], station, start, event, since))
    return sorted(found, key=lambda one: (one.station, one.taxon, one.start))


def _distance(effort: CameraEffort, moment: datetime) -> timedelta:
    """The time between a moment and the period of an effort; 0 inside."""
    if effort.start is None or effort.end is None:
        return timedelta.max
    return max(effort.start - moment, moment - effort.end, timedelta())
