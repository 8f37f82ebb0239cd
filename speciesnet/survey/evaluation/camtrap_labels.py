"""Reads people's labels in a Camtrap DP package, version 1.

https://camtrap-dp.tdwg.org/data/: an observation belongs to a medium or to an event. An event consists
of all media of a deployment in a period of time.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from datetime import datetime
from pathlib import Path

from speciesnet.errors import InputError, file_errors
from speciesnet.files.csv_rows import Row, read_table
from speciesnet.files.input_notes import Examples, counted, plural
from speciesnet.files.storage import read_text
from speciesnet.survey.evaluation.labels import Written, WrittenLabels, count_in

_KINDS = {"animal": "animal", "human": "human", "vehicle": "vehicle", "blank": "blank",
          "unknown": "unknown"}  # fmt: skip


def read_camtrap_labels(path: str) -> WrittenLabels:
    """Reads a package's observations that people classified.

    If there are observations of media, only these count. Otherwise, an observation of an event counts
    for all media of the event, which may include blank ones; a note says so.

    Args:
        path: The folder of the package, or its ``datapackage.json``.

    Raises:
        InputError: A table is missing or invalid, or all observations were made by a machine.
    """
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    media = _table(folder, "media")
    observations = _table(folder, "observations")
    found = WrittenLabels(path)
    human = [row for row in observations if row[1].get("classificationMethod") != "machine"]
    if observations and not human:
        raise InputError(
            f"All observations of {path} were made by a machine; labels must come from people."
        )
    if left_out := len(observations) - len(human):
        found.notes.append(
            f"{counted(left_out, 'observation')} made by a machine "
            f"{plural(left_out, 'is', 'are')} left out."
        )
    paths = {cells.get("mediaID", ""): _path_in(place, cells) for place, cells in media}
    of_media = [row for row in human if row[1].get("mediaID")]
    missing = Examples(
        "observation refers to a medium that is not in the package",
        "observations refer to media that are not in the package",
    )
    for row in of_media:
        medium = row[1]["mediaID"]
        if medium in paths:
            found.add(paths[medium], _written(row))
        else:
            missing.add(medium)
    if human and not of_media:
        _add_events(found, media, human)
    found.notes += filter(None, [str(missing)])
    return found


def _table(folder: Path, name: str) -> list[Row]:
    """The rows of a table of the package."""
    descriptor = folder / "datapackage.json"
    place = f"{name}.csv"
    if descriptor.is_file():
        try:
            with file_errors(InputError, descriptor):
                resources = json.loads(read_text(str(descriptor)))["resources"]
            place = next(one["path"] for one in resources if one["name"] == name)
        except (ValueError, KeyError, TypeError, StopIteration) as error:
            raise InputError(
                f"{descriptor} does not list the table {name}. Pass the folder of a Camtrap DP package."
            ) from error
    if not isinstance(place, str) or not (folder / place).is_file():
        raise InputError(
            f"{folder} has no file {place}. Pass the folder of a Camtrap DP package, unpacked."
        )
    return read_table(str(folder / place), name, ())[1]


def _path_in(place: str, cells: dict[str, str]) -> str:
    path = cells.get("filePath") or cells.get("fileName")
    if not path:
        raise InputError(f"{place} has no filePath. Add the path of the photograph.")
    return path


def _written(row: Row) -> Written | None:
    """The label of an observation, or None if nobody has classified it."""
    place, cells = row
    kind = _KINDS.get(cells.get("observationType", "animal"))
    if kind is None:
        return None
    name = cells.get("scientificName") if kind == "animal" else None
    return Written((name or kind,), count_in(row, "count"), place)


def _add_events(found: WrittenLabels, media: list[Row], observations: list[Row]) -> None:
    """Adds the observations of events to all media of their deployments in their periods."""
    dated: dict[str, list[tuple[datetime, str]]] = {}
    by_event: dict[str, list[str]] = {}
    for place, cells in media:
        path = _path_in(place, cells)
        by_event.setdefault(cells.get("eventID", ""), []).append(path)
        if taken := cells.get("timestamp"):
            found_at = _moment(place, taken), path
            dated.setdefault(cells.get("deploymentID", ""), []).append(found_at)
    for pairs in dated.values():
        pairs.sort()
    for row in observations:
        place, cells = row
        paths = by_event.get(cells["eventID"], []) if cells.get("eventID") else []
        if not paths and cells.get("eventStart") and cells.get("eventEnd"):
            pairs = dated.get(cells.get("deploymentID", ""), [])
            start = bisect_left(pairs, (_moment(place, cells["eventStart"]), ""))
            end = bisect_right(pairs, (_moment(place, cells["eventEnd"]), "\U0010ffff"))
            paths = [path for _, path in pairs[start:end]]
        for path in paths:
            found.add(path, _written(row))
    found.notes.append(
        "The observations are of events, so their labels apply to all "
        f"{counted(len(found.by_file), 'photograph')} of these events. Blank photographs among them "
        "count as wrong, and numbers of individuals are right for sequences only."
    )


def _moment(place: str, text: str) -> datetime:
    """A time of the package; raises ``InputError`` unless it is ISO 8601 with an offset."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        if moment.tzinfo is not None:
            return moment
    except ValueError:
        pass
    raise InputError(
        f"{place}: {text!r} is not a time with an offset, such as 2024-05-01T06:30:00Z."
    )
