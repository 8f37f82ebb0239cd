"""Where the cameras were: a table of deployments, or one position for all photographs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

from speciesnet.app.errors import PageError, not_saved
from speciesnet.app.folders import Folders
from speciesnet.app.surveys import Survey
from speciesnet.files.atomic import write_atomically

# The options on where the cameras were, which a survey remembers.
CAMERAS = ("deployments", "latitude", "longitude", "timezone")
_LIMITS = {"latitude": 90, "longitude": 180}  # degrees


def with_table(
    options: Mapping[str, object], survey: Survey, table: Path, folders: Folders
) -> dict[str, object]:
    """The options of a command, with a table in place of a position.

    Args:
        options: Those that the page sends.
        survey: The survey, which remembers them.
        table: The table to write for a position.
        folders: Allows the command to name it.

    Raises:
        PageError: The position is incomplete or invalid, there is also a table, or the table cannot be
            written.
    """
    found = {key: value for key, value in options.items() if key not in _LIMITS}
    given = {key: options[key] for key in _LIMITS if options.get(key) not in (None, "")}
    if given:
        if found.get("deployments"):
            raise _bad("Give either a table of cameras or one position, not both.")
        if not survey.folders:
            raise _bad("Choose a table of cameras; the folders of this survey are unknown.")
        latitude, longitude = (_degrees(key, given.get(key)) for key in _LIMITS)
        if latitude == longitude == 0:
            raise _bad(
                "Latitude 0 and longitude 0 are in the Atlantic Ocean; enter the camera's position."
            )
        _write(survey, latitude, longitude, table)
        folders.admit([str(table)])
        found["deployments"] = str(table)
    survey.cameras = {key: options[key] for key in CAMERAS if options.get(key) not in (None, "")}
    return found


def _degrees(name: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except ValueError:
        number = math.nan
    if not abs(number) <= _LIMITS[name]:
        raise _bad(
            f"The {name} must be a number of degrees from -{_LIMITS[name]} to {_LIMITS[name]}, such as "
            "-1.29."
        )
    return number


def _write(survey: Survey, latitude: float, longitude: float, table: Path) -> None:
    """Writes a deployment at the position for each folder of the survey."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["deploymentID", "folder", "locationID", "latitude", "longitude"])
    for number, folder in enumerate(survey.folders, start=1):
        name = survey.name if len(survey.folders) == 1 else f"{survey.name} {number}"
        writer.writerow([name, folder, survey.name, latitude, longitude])
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(table) as part:
            part.write_text(text.getvalue(), "utf-8", "surrogateescape", newline="")
    except OSError as error:
        raise not_saved(table, error) from error


def _bad(sentence: str) -> PageError:
    return PageError(422, "bad_position", sentence, "choose_positions")
