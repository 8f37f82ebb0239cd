"""Deployments of cameras: from a table, or one for each camera."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo
from itertools import pairwise
from typing import NamedTuple

from speciesnet.errors import InputError
from speciesnet.files.csv_rows import read_table
from speciesnet.files.input_notes import counted, plural
from speciesnet.files.paths import Parts, end_of, note_on_lookalikes, shared_start, with_slashes
from speciesnet.files.storage import scheme_of
from speciesnet.metadata import day_comes_first, parse_table_date
from speciesnet.survey.effort import Deployed, Gap
from speciesnet.survey.sequences import clock_time, without_card

# Columns of deployments-table-schema.json, Camtrap DP 1.0.2.
DEPLOYMENT_COLUMNS = (
    "deploymentID", "locationID", "locationName", "latitude", "longitude", "coordinateUncertainty",
    "deploymentStart", "deploymentEnd", "setupBy", "cameraID", "cameraModel", "cameraDelay",
    "cameraHeight", "cameraDepth", "cameraTilt", "cameraHeading", "detectionDistance",
    "timestampIssues", "baitUse", "featureType", "habitat", "deploymentGroups", "deploymentTags",
    "deploymentComments",
)  # fmt: skip
PERIOD = ("deploymentStart", "deploymentEnd")
MAX_EXAMPLES = 3  # names in a warning
FOLDER = "folder"  # our own column: the folder with the photographs; the deploymentID if empty
NOT_WORKING = "notWorking"  # our own column: periods in between, see ``_gaps_in``
OWN_COLUMNS = (*DEPLOYMENT_COLUMNS, FOLDER, NOT_WORKING)
# The numbers that the schema allows: type, minimum and maximum.
_NUMBERS: dict[str, tuple[type[int] | type[float], float, float]] = {
    "latitude": (float, -90, 90), "longitude": (float, -180, 180),
    "coordinateUncertainty": (int, 1, math.inf), "cameraDelay": (int, 0, math.inf),
    "cameraHeight": (float, 0, math.inf), "cameraDepth": (float, 0, math.inf),
    "cameraTilt": (int, -90, 90), "cameraHeading": (int, 0, 360),
    "detectionDistance": (float, 0, math.inf),
}  # fmt: skip
_BOOLEAN = ("true", "True", "TRUE", "1", "false", "False", "FALSE", "0")
_WORDS = {
    "timestampIssues": _BOOLEAN,
    "baitUse": _BOOLEAN,
    "featureType": (
        "roadPaved", "roadDirt", "trailHiking", "trailGame", "roadUnderpass", "roadOverpass",
        "roadBridge", "culvert", "burrow", "nestSite", "carcass", "waterSource", "fruitingTree",
    ),
}  # fmt: skip
_MISSING = ("", "NA", "NaN", "nan")  # cells that the schema defines as empty


@dataclass
class Deployment:
    """A camera at a place, for some time.

    Attributes:
        cells: The known cells of its row, by the columns of Camtrap DP.
        folder: The parts of the folder that its row names; empty if there is no row.
        place: The place of its row for messages, such as "Line 2 of deployments.csv"; "" if
            there is no row.
        start: The start in its row, in seconds since 1970; -inf if unknown.
        end: The end in its row, in seconds since 1970; inf if unknown.
        gaps: The starts and ends of times in which the camera did not work, ISO 8601.
    """

    cells: dict[str, str]
    folder: Parts = ()
    place: str = ""
    gaps: tuple[tuple[str, str], ...] = ()
    start: float = -math.inf
    end: float = math.inf

    @property
    def deployment_id(self) -> str:
        """The name of the deployment."""
        return self.cells["deploymentID"]

    @property
    def full_name(self) -> str:
        """Its name and the place of its row, for messages."""
        return f"{self.deployment_id} in l{self.place[1:]}" if self.place else self.deployment_id

    @property
    def period(self) -> str:
        """Its start and end, as written in the table: "from ... to ...", or "" if it has neither."""
        words = zip(("from", "to"), map(self.cells.get, PERIOD), strict=True)
        return " ".join(f"{word} {date}" for word, date in words if date)

    def distance(self, seconds: float) -> float:
        """The seconds between a date (in seconds since 1970) and the period; 0 inside it."""
        return max(self.start - seconds, seconds - self.end, 0.0)


def moment_of(taken: str, zone: tzinfo | None, of: str) -> datetime:
    """A date with its own time zone, otherwise that of the cameras.

    Args:
        taken: The date, ISO 8601.
        zone: The time zone of clocks that do not record one, or None.
        of: The photograph or deployment, for the error message.

    Raises:
        InputError: There is no time zone.
    """
    moment = datetime.fromisoformat(taken)
    if moment.tzinfo is None and zone is None:
        raise InputError(
            f"The clock of {of} does not record its time zone; add --timezone, such as Africa/Nairobi or "
            "+03:00."
        )
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def one_for_each_camera(folders: Sequence[Parts]) -> dict[Parts, list[Deployment]]:
    """One deployment per camera, named by its path below the common folder.

    Folders on the web have their full names if there are others.

    Args:
        folders: The folders of photographs, including those that cameras created.

    Returns:
        A list with one deployment for each folder; the folders of one camera share it.
    """
    cameras = list(dict.fromkeys(map(without_card, folders)))
    base = shared_start([c for c in cameras if not is_on_web(c)] or cameras)
    found = {}
    for parts in cameras:
        below = parts[len(base) :] if parts[: len(base)] == base else parts
        name = "/".join(below) or (base[-1] if base and base[-1] else "deployment")
        found[parts] = [Deployment({"deploymentID": name})]
    return {folder: found[without_card(folder)] for folder in folders}


def is_on_web(folder: Parts) -> bool:
    """Whether a folder is in a bucket or on the web."""
    return scheme_of("/".join(folder)) is not None


def from_table(
    path: str,
    folders: Sequence[Parts],
    zone: tzinfo | None,
    undated: Sequence[Parts] = (),
    notes: list[str] | None = None,
) -> tuple[dict[Parts, list[Deployment]], list[Deployment]]:
    """Reads a table of deployments, and finds those of each folder.

    A row's ``folder`` names one or more consecutive parts of a path, such as ``cam1``, ``north/cam1``
    or ``north/cam1/100RECNX``; if several rows match, the deepest counts. If no row matches, the
    folders that cameras create are ignored in the table and in the path. Several rows may share a
    folder; their periods must not overlap.

    Args:
        path: Path or URL of a CSV file, separated by commas, semicolons or tabs, with columns of
            ``OWN_COLUMNS``, of which only ``deploymentID`` is required.
        folders: The folders of photographs, including those that cameras created.
        zone: The time zone of periods that do not have one, or None.
        undated: The folders of photographs without a date; they need no row.
        notes: Gets a sentence on rows without photographs.

    Returns:
        The deployments of each folder by their start, and all deployments in the order of the table.

    Raises:
        InputError: The table is invalid, lacks a row for a folder, or a row matches several cameras.
    """
    rows = _read(path)
    for row in rows:
        _set_period(row, zone)
    found: dict[Parts, list[Deployment]] = {}
    places: dict[str, Parts] = {}  # the folder that a row stands for
    lacking = None
    for folder in folders:
        end, fitting = _fitting(rows, folder)
        lacking = lacking or (None if fitting else folder)
        for row in fitting:
            _set_place(places, row, without_card(folder[:end]), path)
        found[folder] = sorted(fitting, key=lambda row: row.start)
        _check_periods(found[folder], folder, path)
    for folder in set(undated) - set(folders):
        _, found[folder] = _fitting(rows, folder)
        places |= {row.deployment_id: folder for row in found[folder]}
    unused = ["/".join(r.folder) or r.deployment_id for r in rows if r.deployment_id not in places]
    if lacking is not None:
        names = ", ".join(unused[:MAX_EXAMPLES])
        instead = f" No photographs are in {names}." if unused else ""
        raise InputError(
            f"The photographs in {'/'.join(lacking)} do not belong to any deployment in {path}; "
            "add a row with "
            f'the name of that folder as "{FOLDER}" or "deploymentID".{instead}'
        )
    if unused and notes is not None:
        notes.append(_note_on_unused(unused, path))
    return found, rows


def _set_place(places: dict[str, Parts], row: Deployment, place: Parts, path: str) -> None:
    """Notes the folder that a row represents, and rejects a second one."""
    other = places.setdefault(row.deployment_id, place)
    if other != place:
        raise InputError(
            f"The row {row.deployment_id} of {path} matches several folders, "
            f"{'/'.join(other)} and {'/'.join(place)}; give each camera its own row, with "
            f'more of its path as "{FOLDER}".{note_on_lookalikes(other, place)}'
        )


def _note_on_unused(names: Sequence[str], path: str) -> str:
    rest = plural(len(names), "It is a deployment", "They are deployments")
    return (
        f"{counted(len(names), 'row')} of {path} {plural(len(names), 'matches', 'match')} no "
        f"folder of photographs: {some_of(names)}. {rest} without photographs."
    )


def some_of(names: Sequence[str]) -> str:
    """The first few names of a list, for a warning."""
    return ", ".join(names[:MAX_EXAMPLES]) + (", ..." if len(names) > MAX_EXAMPLES else "")


def gathered_cameras(by_folder: Mapping[Parts, Sequence[Deployment]]) -> dict[str, list[str]]:
    """The cameras of each deployment that has photographs from several cameras, by its name.

    Args:
        by_folder: The deployments of each folder of photographs.
    """
    cameras: dict[str, dict[str, None]] = {}
    for folder, deployments in by_folder.items():
        for one in deployments:
            cameras.setdefault(one.deployment_id, {})["/".join(without_card(folder))] = None
    return {name: list(found) for name, found in cameras.items() if len(found) > 1}


def deployed(
    path: str, folders: Sequence[Parts], zone: tzinfo | None = None, undated: Sequence[Parts] = ()
) -> tuple[dict[str, list[Deployed]], list[Deployed]]:
    """The rows of a table of deployments for ``survey.effort``, with periods on the cameras' clocks.

    Args:
        path: See ``from_table``.
        folders: See ``from_table``.
        zone: The time zone of the cameras' clocks; None means that periods are in the time of these
            clocks, and their offsets are ignored.
        undated: See ``from_table``.

    Returns:
        The rows of each folder, by the path of the folder; and the rows without photographs.

    Raises:
        InputError: As for ``from_table``.
    """
    by_folder, rows = from_table(path, folders, zone or timezone.utc, undated)
    used = {row.deployment_id for found in by_folder.values() for row in found}
    given = {
        "/".join(folder): [_deployed(row, "/".join(without_card(folder)), zone) for row in found]
        for folder, found in by_folder.items()
    }
    unused = [row for row in rows if row.deployment_id not in used]
    return given, [_deployed(row, "/".join(row.folder), zone) for row in unused]


def _deployed(row: Deployment, camera: str, zone: tzinfo | None) -> Deployed:
    def clock(written: str) -> datetime:
        if zone is not None:
            written = moment_of(written, zone, row.full_name).astimezone(zone).isoformat()
        return clock_time(written)

    start, end = (clock(cell) if (cell := row.cells.get(column)) else None for column in PERIOD)
    gaps = tuple(Gap(clock(first), clock(last)) for first, last in row.gaps)
    return Deployed(row.deployment_id, camera, start, end, gaps)


def _set_period(deployment: Deployment, zone: tzinfo | None) -> None:
    """Adds the time zone to the period of a row, and its bounds in seconds to the deployment."""
    cells, name = deployment.cells, deployment.deployment_id
    for column in PERIOD:
        if column in cells:
            moment = moment_of(cells[column], zone, f"deployment {name}")
            cells[column] = moment.isoformat()
            if column == "deploymentStart":
                deployment.start = moment.timestamp()
            else:
                deployment.end = moment.timestamp()
    check_order(deployment)


def check_order(deployment: Deployment) -> None:
    """Checks that a deployment does not end before it starts, as far as both are known."""
    start, end = (deployment.cells.get(column) for column in PERIOD)
    if start and end and datetime.fromisoformat(end) < datetime.fromisoformat(start):
        raise InputError(
            f"The deployment {deployment.full_name} ends at {end}, before it starts at {start}; "
            "correct its deploymentStart or deploymentEnd."
        )


def _fitting(rows: Sequence[Deployment], folder: Parts) -> tuple[int, list[Deployment]]:
    """The rows that best match a folder, and the number of its parts up to the end of the match."""
    for shortened in (tuple, without_card):
        wanted = [shortened(row.folder) for row in rows]
        path = shortened(folder)
        matches = [(end_of(parts, path) if parts else -1, len(parts)) for parts in wanted]
        best = max(matches, default=(-1, 0))
        if best[0] > 0:
            return best[0], [r for r, match in zip(rows, matches, strict=True) if match == best]
    return -1, []


def _check_periods(deployments: Sequence[Deployment], folder: Parts, path: str) -> None:
    for one, other in pairwise(deployments):
        if other.start < one.end:
            raise InputError(
                f"The periods of {one.deployment_id} ({one.period or 'always'}) and "
                f"{other.deployment_id} ({other.period or 'always'}) in {path} overlap, and "
                f"both have the photographs in {'/'.join(folder)}; correct their deploymentStart and "
                f'deploymentEnd, or give each its own "{FOLDER}".'
            )


def deployment_folders(path: str) -> dict[str, str]:
    """The folder of each deployment in a table, by its ID; raises ``InputError`` like ``from_table``."""
    return {row.deployment_id: "/".join(row.folder) for row in _read(path)}


class Place(NamedTuple):
    """Where a camera was deployed.

    Attributes:
        name: The locationID, otherwise the locationName, otherwise the deploymentID.
        position: Latitude and longitude in degrees, or None.
    """

    name: str
    position: tuple[float, float] | None


def deployment_places(path: str) -> dict[str, Place]:
    """The place of each deployment in a table, by its ID; raises ``InputError`` like ``from_table``."""
    found = {}
    for row in _read(path):
        cells, position = row.cells, None
        if {"latitude", "longitude"} <= cells.keys():
            position = float(cells["latitude"]), float(cells["longitude"])
        name = cells.get("locationID") or cells.get("locationName") or row.deployment_id
        found[row.deployment_id] = Place(name, position)
    return found


def _read(path: str) -> list[Deployment]:
    columns, rows = read_table(path, "deployments", OWN_COLUMNS)
    if "deploymentID" not in columns:
        raise InputError(
            f'The deployments {path} have no "deploymentID" column, only {", ".join(columns) or "none"}; '
            "their first line must name the columns, such as deploymentID,folder,latitude,longitude."
        )
    if unknown := set(columns) - {*OWN_COLUMNS, ""}:
        raise InputError(
            f'The deployments {path} have a column "{sorted(unknown)[0]}", which Camtrap DP does not '
            f"define; remove it, or name it {FOLDER}, {NOT_WORKING}, {', '.join(DEPLOYMENT_COLUMNS)}."
        )
    found: list[Deployment] = []
    known: set[str] = set()
    for place, row in rows:
        cells = {name: cell for name, cell in row.items() if cell not in _MISSING}
        if cells:
            folder = cells.pop(FOLDER, cells.get("deploymentID", ""))
            gaps = _gaps_in(cells.pop(NOT_WORKING, ""), place)
            _check(cells, place, known)
            parts = tuple(part for part in with_slashes(folder).split("/") if part)
            found.append(Deployment(cells, parts, place, gaps=gaps))
    _read_periods(found)
    return found


def _gaps_in(text: str, place: str) -> tuple[tuple[str, str], ...]:
    """Reads periods such as ``2024-05-01T12:00:00/2024-05-09``, separated by spaces."""
    found = []
    for period in text.split():
        first, _, last = period.partition("/")
        start = parse_table_date(first, "00:00:00")
        end = parse_table_date(last, "23:59:59") if last else None
        if start is None or end is None or clock_time(end) < clock_time(start):
            raise InputError(
                f"{place} has {period!r} as {NOT_WORKING}; write a start and an end, such as "
                "2024-05-01T06:30:00/2024-05-09T12:00:00, and separate several with spaces."
            )
        found.append((start, end))
    return tuple(found)


def _read_periods(rows: Sequence[Deployment]) -> None:
    """Converts the dates of periods to ISO 8601; a period without times includes its first and last day.

    Args:
        rows: All rows of a table, because one date can show how the others are written.
    """
    dates = [row.cells[column] for row in rows for column in PERIOD if column in row.cells]
    is_day_first = day_comes_first(dates)
    for row in rows:
        for column, without_time in zip(PERIOD, ("00:00:00", "23:59:59"), strict=True):
            if (text := row.cells.get(column)) is None:
                continue
            taken = parse_table_date(text, without_time, is_day_first)
            if taken is None:
                readings = {parse_table_date(text, without_time, first) for first in (True, False)}
                days = sorted(reading[:10] for reading in readings - {None} if reading)
                may_be = f", which may be {' or '.join(days)}" if len(days) > 1 else ""
                raise InputError(
                    f"{row.place} has {text!r} as {column}{may_be}; it must look like "
                    "2024-05-01T06:30:00 or 2024-05-01."
                )
            row.cells[column] = taken


def _check(cells: Mapping[str, str], where: str, known: set[str]) -> None:
    name = cells.get("deploymentID")
    if name is None:
        raise InputError(f"{where} has no deploymentID; add one.")
    if name in known:
        raise InputError(f"{where} repeats the deploymentID {name}; each row needs its own.")
    known.add(name)
    for column, (kind, least, most) in _NUMBERS.items():
        if column in cells and not _is_number(cells[column], kind, least, most):
            what = "a whole number" if kind is int else "a number with a point"
            limit = (
                f"between {least:g} and {most:g}" if most < math.inf else f"of at least {least:g}"
            )
            raise InputError(
                f"{where} has {cells[column]!r} as {column}; it must be {what}, {limit}."
            )
    if {float(cells.get(column, 1)) for column in ("latitude", "longitude")} == {0.0}:
        raise InputError(
            f"{where} has latitude 0 and longitude 0, which devices write when they have no "
            "position; write that of the camera, or leave both cells empty to use that of the "
            "photographs."
        )
    for column, words in _WORDS.items():
        if column in cells and cells[column] not in words:
            allowed = "true or false" if words is _BOOLEAN else f"one of {', '.join(words)}"
            raise InputError(f"{where} has {cells[column]!r} as {column}; it must be {allowed}.")


def _is_number(text: str, kind: type[int] | type[float], least: float, most: float) -> bool:
    try:
        number = kind(text)
    except ValueError:
        return False
    return "_" not in text and math.isfinite(number) and least <= number <= most
