"""Deployments of cameras: from a table, or one for each folder of photographs."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from speciesnet.errors import InputError
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
_LIMITS = {"latitude": 90.0, "longitude": 180.0}  # degrees, either side of zero

# Folders that cameras make on their cards, by the DCF standard (CIPA DC-009): DCIM, 100RECNX.
_MADE_BY_CAMERA = re.compile(r"DCIM|[1-9]\d\d\w{5}", re.ASCII | re.IGNORECASE)

Parts = tuple[str, ...]


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


def camera_folder(filepath: str) -> Parts:
    """The parts of the folder that a photograph's camera stands for: without DCIM, 100RECNX."""
    parts = filepath.replace("\\", "/").split("/")[:-1]
    while parts and _MADE_BY_CAMERA.fullmatch(parts[-1]):
        parts.pop()
    return tuple(parts)


def common_folder(folders: Iterable[Parts]) -> Parts:
    """The parts that all folders begin with."""
    found: Parts | None = None
    for parts in folders:
        if found is None:
            found = parts
        shared = 0
        for one, other in zip(found, parts, strict=False):
            if one != other:
                break
            shared += 1
        found = found[:shared]
    return found or ()


def one_for_each_folder(folders: Sequence[Parts]) -> dict[Parts, Deployment]:
    """Deployments named after their folders, below the folder that all share."""
    base = common_folder(folders)
    found = {}
    for parts in folders:
        name = "/".join(parts[len(base) :]) or (base[-1] if base and base[-1] else "deployment")
        found[parts] = Deployment({"deploymentID": name})
    return found


def from_table(
    path: str, folders: Sequence[Parts]
) -> tuple[dict[Parts, Deployment], list[Deployment]]:
    """The deployment of each folder, by a table; and all in it.

    A row's ``folder`` names one or more parts in a row of the path, such as ``cam1`` or ``north/cam1``;
    of several rows that fit, the deepest counts.

    Args:
        path: A CSV file with the columns of ``COLUMNS`` and ``FOLDER``, of which only ``deploymentID``
            must be there; commas or semicolons.
        folders: As ``camera_folder`` gives them.

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
        text = Path(path).read_text(encoding="utf-8-sig")
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
            if isinstance(name, str) and isinstance(value, str) and value.strip()
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
    for column, limit in _LIMITS.items():
        try:
            inside = abs(float(given.get(column, "0"))) <= limit
        except ValueError:
            inside = False
        if not inside:
            raise InputError(
                f"{where} has {given[column]!r} as {column}; it must be a number of degrees between "
                f"{-limit:g} and {limit:g}, with a point."
            )
    for column in ("deploymentStart", "deploymentEnd"):
        if column in given and parse_datetime(given[column]) is None:
            raise InputError(
                f"{where} has {given[column]!r} as {column}; it must look like 2024-05-01T06:30:00."
            )
