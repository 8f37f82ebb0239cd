"""Corrections of cameras whose clocks were wrong: a CSV file with a row for each camera."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from speciesnet.errors import InputError
from speciesnet.files.csv_rows import Row, read_table
from speciesnet.files.input_notes import counted, plural
from speciesnet.files.paths import Parts, end_of, note_on_lookalikes, with_slashes
from speciesnet.images.metadata import parse_datetime
from speciesnet.survey.sequences import camera_folder, clock_time

FOLDER, OFFSET, CAMERA_TIME, ACTUAL_TIME = "folder", "offset", "cameraTime", "actualTime"
COLUMNS = (FOLDER, OFFSET, CAMERA_TIME, ACTUAL_TIME)
MAX_SHIFT = timedelta(days=366 * 100)

_SECONDS = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600,
            "d": 86_400, "day": 86_400, "w": 604_800, "week": 604_800}  # fmt: skip
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)|(\d+):([0-5]\d):([0-5]\d)", re.ASCII)
_HEADER_FORMS = f"{FOLDER},{OFFSET} or {FOLDER},{CAMERA_TIME},{ACTUAL_TIME}"


def parse_shift(text: str) -> timedelta | None:
    """Reads a signed length of time, such as "+1:00:00", "-3 days" or "1 d 2 h".

    Returns:
        The time to add to the clock; None if the text is not a length of time, or is ambiguous.

    Examples:
        >>> parse_shift("-1 day 02:30:00")
        datetime.timedelta(days=-2, seconds=77400)
    """
    text = text.strip().lower().replace("\N{MINUS SIGN}", "-")
    sign = -1 if text.startswith("-") else 1
    text = text.lstrip("+-") if text[:1] in ("+", "-") and text[1:2] not in ("+", "-") else text
    seconds = 0.0
    position = 0
    for part in _PART.finditer(text):
        if text[position : part.start()].strip(" ,"):
            return None
        position = part.end()
        if part[2]:
            unit = _SECONDS.get(part[2]) or _SECONDS.get(part[2].removesuffix("s"))
            if unit is None:
                return None
            seconds += float(part[1]) * unit
        else:
            seconds += int(part[3]) * 3600 + int(part[4]) * 60 + int(part[5])
    if not position or text[position:].strip(" ,"):
        return None
    return (
        timedelta(seconds=sign * round(seconds)) if seconds <= MAX_SHIFT.total_seconds() else None
    )


@dataclass(frozen=True)
class _Row:
    """A row of the file.

    Attributes:
        name: The folder, as written.
        parts: The parts of the folder, without those that cameras create.
        shift: The time to add to the clock.
        is_deployment: Whether the row names a deployment, which may have several folders.
        is_given: False for a deployment without a row, whose clock is right.
    """

    name: str
    parts: Parts
    shift: timedelta = timedelta()
    is_deployment: bool = False
    is_given: bool = True


class ClockCorrections:
    """The corrections in a file.

    Args:
        path: Path or URL of a CSV file with the columns ``folder`` and either ``offset`` or
            ``cameraTime`` and ``actualTime``, separated by commas, semicolons or tabs. A folder is
            one or more consecutive parts of the path of a camera's photographs, such as ``cam1`` or
            ``north/cam1``.
        deployments: The folders of deployments, by ID; a row may name a deployment instead of a folder.

    Raises:
        InputError: The file cannot be read, or has an invalid row.
    """

    def __init__(self, path: str, deployments: Mapping[str, str] | None = None) -> None:
        self.path = path
        folders = {name: _parts(folder) for name, folder in (deployments or {}).items()}
        self._rows = [_checked(*row, folders) for row in _read(path)]
        names: set[Parts] = set()
        for row in self._rows:
            if row.parts in names:
                raise InputError(
                    f"The folder {row.name} is in several rows of {path}. Keep one of them."
                )
            names.add(row.parts)
        given = {row.name for row in self._rows}
        for name, parts in folders.items():
            shared = [other for other in folders if folders[other] == parts]
            if name in given and len(shared) > 1:
                raise InputError(
                    f"The clock of {name} in {path} cannot be corrected: {' and '.join(shared)} have the "
                    "same folder. Move the photographs of each deployment to a separate folder."
                )
            if name not in given and parts not in names:
                self._rows.append(_Row(name, parts, is_deployment=True, is_given=False))

    def start(self) -> CameraClocks:
        """Starts a pass over the photographs of a survey."""
        return CameraClocks(self.path, self._rows)


class CameraClocks:
    """The corrections for one pass over the photographs; created by ``ClockCorrections.start``."""

    def __init__(self, path: str, rows: list[_Row]) -> None:
        self._path = path
        self._rows = rows
        self._by_camera: dict[Parts, timedelta] = {}
        self._cameras: dict[str, Parts] = {}  # for each row, the first camera that it fits
        self._deeper: dict[str, str] = {}  # for each row, the first one that took precedence

    def shift(self, filepath: str) -> timedelta:
        """The time to add to the clock of the camera that took a photograph.

        Raises:
            InputError: The row of this camera also matches another camera.
        """
        camera = camera_folder(filepath)
        if camera not in self._by_camera:
            self._by_camera[camera] = self._find(camera)
        return self._by_camera[camera]

    def _find(self, camera: Parts) -> timedelta:
        parts = tuple(part for part in camera if part not in ("", "."))
        fitting = [(end_of(row.parts, parts), len(row.parts), row) for row in self._rows]
        fitting = [fit for fit in fitting if fit[0] >= 0]
        if not fitting:
            return timedelta()
        *_, row = max(fitting, key=lambda fit: fit[:2])  # the deepest folder
        for *_, other_row in fitting:
            self._deeper.setdefault(other_row.name, row.name)
        other = self._cameras.setdefault(row.name, camera)
        if other != camera and not row.is_deployment:
            raise InputError(
                f"The folder {row.name} in {self._path} matches two cameras, {'/'.join(other)} and "
                f"{'/'.join(camera)}. Write more of their paths, in a row for each."
                f"{note_on_lookalikes(other, camera)}"
            )
        return row.shift

    def finish(self) -> list[str]:
        """Sentences about rows that correct no camera.

        Raises:
            InputError: None of the rows matches, although there are photographs.
        """
        notes: list[str] = []
        unused = [row.name for row in self._rows if row.is_given and row.name not in self._cameras]
        if not unused or not self._by_camera:
            return notes
        if lost := [f"{name} ({self._deeper[name]})" for name in unused if name in self._deeper]:
            notes.append(
                f"{counted(len(lost), 'folder')} in {self._path} "
                f"{plural(len(lost), 'has', 'have')} no effect, because deeper folders in the "
                f"table contain all {plural(len(lost), 'its', 'their')} photographs: "
                f"{', '.join(lost)}."
            )
        unknown = [name for name in unused if name not in self._deeper]
        if not unknown:
            return notes
        examples = ", ".join(unknown)
        if len(unknown) == sum(row.is_given for row in self._rows):
            camera = "/".join(next(iter(self._by_camera)))
            raise InputError(
                f"None of the folders in {self._path} ({examples}) has photographs in these predictions. "
                f"Write folders such as {camera or 'that of the photographs'}."
            )
        notes.append(
            f"{counted(len(unknown), 'folder')} in {self._path} {plural(len(unknown), 'has', 'have')} no "
            f"photographs in these predictions and {plural(len(unknown), 'is', 'are')} ignored: "
            f"{examples}."
        )
        return notes


def _parts(folder: str) -> Parts:
    """The parts of a folder; "cam1/DCIM/100RECNX" is the camera in "cam1"."""
    parts = tuple(part for part in with_slashes(folder).split("/") if part not in ("", "."))
    return camera_folder("/".join((*parts, ""))) or parts


def _read(path: str) -> list[Row]:
    columns, rows = read_table(path, "clock corrections", COLUMNS)
    given = set(filter(None, columns))
    if FOLDER not in given or not ({OFFSET} <= given or {CAMERA_TIME, ACTUAL_TIME} <= given):
        raise InputError(
            f"The first line of {path} must name the columns {_HEADER_FORMS}; it has "
            f"{', '.join(columns) or 'none'}."
        )
    if unknown := sorted(given - {*COLUMNS}):
        raise InputError(
            f'{path} has a column "{unknown[0]}". Remove it; the columns are {_HEADER_FORMS}.'
        )
    if not rows:
        raise InputError(f"{path} has no rows. Add one for each camera whose clock was wrong.")
    return rows


def _checked(where: str, given: Mapping[str, str], deployments: Mapping[str, Parts]) -> _Row:
    name = given.get(FOLDER)
    parts = _parts(name or "")
    if name is None or not parts:
        raise InputError(f"{where} has no folder. Give the folder of the camera's photographs.")
    has_times = CAMERA_TIME in given and ACTUAL_TIME in given
    if (OFFSET in given) == (CAMERA_TIME in given or ACTUAL_TIME in given) or not (
        OFFSET in given or has_times
    ):
        raise InputError(
            f"{where} must have either {OFFSET} or both {CAMERA_TIME} and {ACTUAL_TIME}. Correct it."
        )
    shift = _shift(where, given)
    if name in deployments:
        return _Row(name, deployments[name], shift, is_deployment=True)
    return _Row(name, parts, shift)


def _shift(where: str, given: Mapping[str, str]) -> timedelta:
    if OFFSET in given:
        shift = parse_shift(given[OFFSET])
        if shift is None:
            raise InputError(
                f"{where} has {given[OFFSET]!r} as {OFFSET}. Write a time such as +1:00:00 (hours, "
                "minutes and seconds), -3 days or 365d."
            )
        return shift
    times = []
    for column in (CAMERA_TIME, ACTUAL_TIME):
        taken = parse_datetime(given[column])
        if taken is None or taken != clock_time(taken).isoformat():
            raise InputError(
                f"{where} has {given[column]!r} as {column}. Write the time that a clock shows, without "
                "a time zone, such as 2024-05-01 06:30:00."
            )
        times.append(clock_time(taken))
    return times[1] - times[0]
