"""Deployments of cameras: from a table, or one for each folder of photographs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from speciesnet.errors import InputError
from speciesnet.files.paths import Parts, shared_start
from speciesnet.files.storage import read_text, scheme_of
from speciesnet.metadata import parse_datetime

# Columns of deployments-table-schema.json, Camtrap DP 1.0.2.
COLUMNS = (
    "deploymentID", "locationID", "locationName", "latitude", "longitude", "coordinateUncertainty",
    "deploymentStart", "deploymentEnd", "setupBy", "cameraID", "cameraModel", "cameraDelay",
    "cameraHeight", "cameraDepth", "cameraTilt", "cameraHeading", "detectionDistance",
    "timestampIssues", "baitUse", "featureType", "habitat", "deploymentGroups", "deploymentTags",
    "deploymentComments",
)  # fmt: skip
FOLDER = "folder"  # our own column: the photographs of the deployment; its deploymentID if empty
# What the cells of that schema may hold: their type, and the least and the largest number.
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
_MISSING = ("", "NA", "NaN", "nan")  # cells that the schema takes for empty ones


@dataclass
class Deployment:
    """A camera at a place.

    Attributes:
        given: Cells by the columns of Camtrap DP, as far as they are known.
    """

    given: dict[str, str]

    @property
    def deployment_id(self) -> str:
        """Its name."""
        return self.given["deploymentID"]


def one_for_each_folder(folders: Sequence[Parts]) -> dict[Parts, Deployment]:
    """Deployments named after their folders, below the folder that all share.

    Folders on the web are named in full where others are not.
    """
    base = shared_start([f for f in folders if not is_on_web(f)] or folders)
    found = {}
    for parts in folders:
        below = parts[len(base) :] if parts[: len(base)] == base else parts
        name = "/".join(below) or (base[-1] if base and base[-1] else "deployment")
        found[parts] = Deployment({"deploymentID": name})
    return found


def is_on_web(folder: Parts) -> bool:
    """Whether a folder is in a cloud or on the web."""
    return scheme_of("/".join(folder)) is not None


def from_table(
    path: str, folders: Sequence[Parts]
) -> tuple[dict[Parts, Deployment], list[Deployment]]:
    """The deployment of each folder, by a table; and all in it.

    A row's ``folder`` names one or more parts in a row of the path, such as ``cam1`` or ``north/cam1``;
    of several rows that fit, the deepest counts.

    Args:
        path: Path or URL of a CSV file with the columns of ``COLUMNS`` and ``FOLDER``, of which only
            ``deploymentID`` must be there; commas or semicolons.
        folders: As ``sequences.camera_folder`` gives them.

    Raises:
        InputError: The table cannot be read or has a wrong cell, or a folder has no row.
    """
    rows = _read(path)
    found = {}
    for parts in folders:
        fitting = [(_end_of(row_parts, parts), row) for row_parts, row in rows]
        depth, deployment = max(fitting, key=lambda fit: fit[0], default=((-1, 0), None))
        if deployment is None or depth[0] < 0:
            raise InputError(
                f"The photographs in {'/'.join(parts)} belong to no deployment in {path}; add a row for "
                f'them, with the name of that folder as "{FOLDER}" or "deploymentID".'
            )
        found[parts] = deployment
    return found, [deployment for _, deployment in rows]


def _end_of(wanted: Parts, parts: Parts) -> tuple[int, int]:
    """Where ``wanted`` ends in a path, and its length; -1 where it is not in it."""
    for end in range(len(parts), len(wanted) - 1, -1):
        if parts[end - len(wanted) : end] == wanted:
            return end, len(wanted)
    return -1, 0


def _read(path: str) -> list[tuple[Parts, Deployment]]:
    try:
        text = read_text(path)
    except OSError as error:
        raise InputError(
            f"The deployments {path} cannot be read ({error.strerror}); give a CSV file."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"The deployments {path} are not UTF-8 text; save them as that."
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
    if unknown := set(columns) - {*COLUMNS, FOLDER}:
        raise InputError(
            f'The deployments {path} have a column "{sorted(unknown)[0]}", which Camtrap DP does not '
            f"know; leave it out, or name it {FOLDER}, {', '.join(COLUMNS)}."
        )
    rows: list[tuple[Parts, Deployment]] = []
    known: set[str] = set()
    for number, cells in enumerate(reader, start=2):
        given = {
            name.strip(): value.strip()
            for name, value in cells.items()
            if isinstance(name, str) and isinstance(value, str) and value.strip() not in _MISSING
        }
        if not given:
            continue
        folder = given.pop(FOLDER, given.get("deploymentID", ""))
        _check(given, f"Line {number} of {path}", known)
        parts = tuple(part for part in folder.replace("\\", "/").split("/") if part)
        rows.append((parts, Deployment(given)))
    return rows


def _check(given: Mapping[str, str], where: str, known: set[str]) -> None:
    name = given.get("deploymentID")
    if name is None:
        raise InputError(f"{where} has no deploymentID; give it one.")
    if name in known:
        raise InputError(f"{where} has the deploymentID {name} again; each needs one of its own.")
    known.add(name)
    for column, (kind, least, most) in _NUMBERS.items():
        if column in given and not _is_number(given[column], kind, least, most):
            what = "a whole number" if kind is int else "a number with a point"
            limit = (
                f"between {least:g} and {most:g}" if most < math.inf else f"of at least {least:g}"
            )
            raise InputError(
                f"{where} has {given[column]!r} as {column}; it must be {what}, {limit}."
            )
    for column, words in _WORDS.items():
        if column in given and given[column] not in words:
            allowed = "true or false" if words is _BOOLEAN else f"one of {', '.join(words)}"
            raise InputError(f"{where} has {given[column]!r} as {column}; it must be {allowed}.")
    for column in ("deploymentStart", "deploymentEnd"):
        if column in given and parse_datetime(given[column]) is None:
            raise InputError(
                f"{where} has {given[column]!r} as {column}; it must look like 2024-05-01T06:30:00."
            )


def _is_number(text: str, kind: type[int] | type[float], least: float, most: float) -> bool:
    try:
        number = kind(text)
    except ValueError:
        return False
    return "_" not in text and math.isfinite(number) and least <= number <= most
