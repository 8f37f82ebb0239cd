"""Deployments of cameras: from a table, or one per folder of photographs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from speciesnet.errors import InputError
from speciesnet.files.paths import Parts, shared_start, with_slashes
from speciesnet.files.storage import read_text, scheme_of
from speciesnet.metadata import parse_datetime

# Columns of deployments-table-schema.json, Camtrap DP 1.0.2.
DEPLOYMENT_COLUMNS = (
    "deploymentID", "locationID", "locationName", "latitude", "longitude", "coordinateUncertainty",
    "deploymentStart", "deploymentEnd", "setupBy", "cameraID", "cameraModel", "cameraDelay",
    "cameraHeight", "cameraDepth", "cameraTilt", "cameraHeading", "detectionDistance",
    "timestampIssues", "baitUse", "featureType", "habitat", "deploymentGroups", "deploymentTags",
    "deploymentComments",
)  # fmt: skip
FOLDER = "folder"  # our own column: the folder of the photographs; the deploymentID if empty
# The numbers that the schema allows: their type, the least and the greatest.
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
    """

    cells: dict[str, str]

    @property
    def deployment_id(self) -> str:
        """The name of the deployment."""
        return self.cells["deploymentID"]


def one_for_each_folder(folders: Sequence[Parts]) -> dict[Parts, Deployment]:
    """One deployment per folder, named by its path below the common folder.

    Folders on the web have their full name if there are others.
    """
    base = shared_start([f for f in folders if not is_on_web(f)] or folders)
    found = {}
    for parts in folders:
        below = parts[len(base) :] if parts[: len(base)] == base else parts
        name = "/".join(below) or (base[-1] if base and base[-1] else "deployment")
        found[parts] = Deployment({"deploymentID": name})
    return found


def is_on_web(folder: Parts) -> bool:
    """Whether a folder is in a bucket or on the web."""
    return scheme_of("/".join(folder)) is not None


def from_table(
    path: str, folders: Sequence[Parts]
) -> tuple[dict[Parts, Deployment], list[Deployment]]:
    """Reads a table of deployments.

    A row's ``folder`` names one or more consecutive parts of a path, such as ``cam1`` or ``north/cam1``;
    if several rows match, the deepest counts.

    Args:
        path: Path or URL of a CSV file, separated by commas or semicolons, with columns of
            ``DEPLOYMENT_COLUMNS`` and ``FOLDER``, of which only ``deploymentID`` is required.
        folders: The folders of the cameras, see ``sequences.camera_folder``.

    Returns:
        The deployment of each folder, and all deployments in the order of the table.

    Raises:
        InputError: The table cannot be read, has an invalid cell, or lacks a row for a folder.
    """
    rows = _read(path)
    found = {}
    for parts in folders:
        matches = [(_end_of(row_parts, parts), row) for row_parts, row in rows]
        depth, deployment = max(matches, key=lambda match: match[0], default=((-1, 0), None))
        if deployment is None or depth[0] < 0:
            raise InputError(
                f"The photographs in {'/'.join(parts)} belong to no deployment in {path}; add a row with "
                f'the name of that folder as "{FOLDER}" or "deploymentID".'
            )
        found[parts] = deployment
    return found, [deployment for _, deployment in rows]


def deployment_folders(path: str) -> dict[str, str]:
    """The folder of each deployment in a table, by its ID; raises ``InputError`` as ``from_table``."""
    return {row.deployment_id: "/".join(parts) for parts, row in _read(path)}


def _end_of(wanted: Parts, parts: Parts) -> tuple[int, int]:
    """The position at which ``wanted`` ends in a path, or -1 if it does not occur; and its length."""
    for end in range(len(parts), len(wanted) - 1, -1):
        if parts[end - len(wanted) : end] == wanted:
            return end, len(wanted)
    return -1, 0


def _read(path: str) -> list[tuple[Parts, Deployment]]:
    try:
        text = read_text(path)
    except OSError as error:
        raise InputError(
            f"The deployments {path} cannot be read ({error.strerror or error}); pass a CSV file."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"The deployments {path} are not UTF-8 text; save them as UTF-8."
        ) from error
    header = text.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns = [name.strip() for name in reader.fieldnames or []]
    if "deploymentID" not in columns:
        raise InputError(
            f'The deployments {path} have no column "deploymentID"; their first line must name the '
            "columns, such as deploymentID,folder,latitude,longitude."
        )
    if unknown := set(columns) - {*DEPLOYMENT_COLUMNS, FOLDER}:
        raise InputError(
            f'The deployments {path} have a column "{sorted(unknown)[0]}", which Camtrap DP does not '
            f"define; remove it, or name it {FOLDER}, {', '.join(DEPLOYMENT_COLUMNS)}."
        )
    rows: list[tuple[Parts, Deployment]] = []
    known: set[str] = set()
    for number, row in enumerate(reader, start=2):
        cells = {
            name.strip(): value.strip()
            for name, value in row.items()
            if isinstance(name, str) and isinstance(value, str) and value.strip() not in _MISSING
        }
        if not cells:
            continue
        folder = cells.pop(FOLDER, cells.get("deploymentID", ""))
        _check(cells, f"Line {number} of {path}", known)
        parts = tuple(part for part in with_slashes(folder).split("/") if part)
        rows.append((parts, Deployment(cells)))
    return rows


def _check(cells: Mapping[str, str], where: str, known: set[str]) -> None:
    name = cells.get("deploymentID")
    if name is None:
        raise InputError(f"{where} has no deploymentID; add one.")
    if name in known:
        raise InputError(f"{where} has the deploymentID {name} again; each row needs its own.")
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
    for column, words in _WORDS.items():
        if column in cells and cells[column] not in words:
            allowed = "true or false" if words is _BOOLEAN else f"one of {', '.join(words)}"
            raise InputError(f"{where} has {cells[column]!r} as {column}; it must be {allowed}.")
    for column in ("deploymentStart", "deploymentEnd"):
        if column in cells and parse_datetime(cells[column]) is None:
            raise InputError(
                f"{where} has {cells[column]!r} as {column}; it must look like 2024-05-01T06:30:00."
            )


def _is_number(text: str, kind: type[int] | type[float], least: float, most: float) -> bool:
    try:
        number = kind(text)
    except ValueError:
        return False
    return "_" not in text and math.isfinite(number) and least <= number <= most
