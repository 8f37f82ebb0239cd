"""An index of the dates, deployments and events of the photographs in a predictions file."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone, tzinfo
from itertools import filterfalse
from typing import TypeVar
from zoneinfo import ZoneInfo

from speciesnet.errors import InputError
from speciesnet.export.deployments import (
    Deployment,
    check_order,
    from_table,
    gathered_cameras,
    is_on_web,
    moment_of,
    one_for_each_camera,
    some_of,
)
from speciesnet.files.input_notes import counted, plural
from speciesnet.files.moved_photographs import Photographs
from speciesnet.files.paths import Parts, shared_start, with_slashes
from speciesnet.files.storage import scheme_of
from speciesnet.geolocation import distance_km
from speciesnet.images.instances import path_digest
from speciesnet.images.metadata import PhotoMetadata
from speciesnet.records import Record, record_errors
from speciesnet.survey.cards import note_on
from speciesnet.survey.dates import DateRules
from speciesnet.survey.photographs import position_of, with_metadata
from speciesnet.survey.sequences import is_blank, sequence_numbers, without_card
from speciesnet.survey.timestamps import Problem, file_number, problems_in

Position = tuple[float, float]
FAR_KM = 1.0  # a GPS is wrong by meters, and a row for another place by more than this
_Span = tuple[int, int]  # the positions of the first and the last record
_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True)
class Medium:
    """A photograph in its deployment and event; dates are ISO 8601 with an offset.

    Attributes:
        path: Its path in the package.
        deployment: The name of its deployment.
        taken: Its date.
        event: The name of its event.
        event_start: The date of the first photograph of the event.
        event_end: The date of the last photograph of the event.
        event_size: The number of photographs of the event.
    """

    path: str
    deployment: str
    taken: str
    event: str
    event_start: str
    event_end: str
    event_size: int


@dataclass(frozen=True)
class Misplaced:
    """Photographs that were taken far from the position of their deployment.

    Attributes:
        deployment: The name of the deployment.
        position: Its latitude and longitude.
        other: The most frequent position of these photographs.
        photographs: The number of these photographs.
        km: The distance between the two positions, in kilometers.
    """

    deployment: str
    position: Position
    other: Position
    photographs: int
    km: float


@dataclass
class _Found:
    """What the photographs of a deployment show about it."""

    positions: Counter[Position] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    photographs: list[int] = field(default_factory=list)  # positions of records
    undated: list[str] = field(default_factory=list)  # paths of photographs without a date
    start: str = ""  # the first of their dates, ISO 8601
    end: str = ""  # the last one

    def add(self, photograph: int, place: Position | None, model: str | None) -> None:
        """Counts a photograph."""
        self.photographs.append(photograph)
        if place is not None:
            self.positions[place] += 1
        if model is not None:
            self.models[model] += 1


class MediaIndex:
    """An index of records by their position in the file, made by ``read``.

    ``deploy`` and then ``find_events`` complete it. Its arrays need a tenth of the memory of objects.

    Attributes:
        deployments: The deployments, after ``deploy``.
        kept: The number of photographs with a date.
        undated: The paths of photographs without a date.
        dateless: The same, for deployments in the table without dated photographs, by their names.
        outside: The positions of photographs that are outside all periods in the table.
        problems: Definitely wrong dates, after ``deploy``.
        doubtful: The names of their deployments.
        gathered: The cameras of each deployment in the table that has several.
        misplaced: The deployments whose photographs were taken somewhere else.
        similar_folders: A sentence on deployments that may belong to one camera; empty if there are none.
        notes: Sentences on folders without photographs, and on photographs without a common folder.
    """

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone
        self._folders: dict[Parts, int] = {}
        self._places: dict[Position | None, int] = {None: 0}
        self._models: dict[str | None, int] = {None: 0}
        self._series: dict[tuple[int, str], int] = {}
        self.deployments: list[Deployment] = []
        self._base: Parts = ()
        # One entry per record, by its position in the file:
        self._digests = array("Q")  # the digest of its path
        self._folder = array("i")  # the number of its folder; -1 if it is left out
        self._place = array("i")  # the number of its latitude and longitude
        self._model = array("i")  # the number of its camera model
        self._seconds = array("q")  # its date, in seconds since 1970
        self._offset = array("h")  # of the camera's clock from UTC, in minutes
        self._file = array("i")  # the number of its series of files; -1 if its name has none
        self._file_number = array("h")  # its number in that series
        self._blank = bytearray()  # whether it is blank
        self._deployment = array("i")  # the number of its deployment
        self._event = array("i")  # the number of its event within the deployment
        self._events: dict[tuple[int, int], _Span] = {}
        self._sizes: Counter[tuple[int, int]] = Counter()
        self.kept = 0
        self.undated: list[str] = []
        self.dateless: dict[str, list[str]] = {}
        self.outside = array("q")
        self.problems: list[Problem] = []
        self.doubtful: list[str] = []
        self.gathered: dict[str, list[str]] = {}
        self.misplaced: list[Misplaced] = []
        self.similar_folders = ""
        self.notes: list[str] = []

    @property
    def event_count(self) -> int:
        """The number of events, after ``find_events``."""
        return len(self._events)

    @classmethod
    def read(
        cls,
        records: Iterable[Record],
        photographs: Photographs,
        zone: tzinfo | None,
        dates: DateRules | None = None,
    ) -> MediaIndex:
        """Reads dates, positions and cameras.

        Args:
            records: Records from any run. If a path occurs twice, the first record counts.
            photographs: Finds the photographs, to read what is not in the records.
            zone: The time zone of clocks that do not record one, or None.
            dates: Dates from file names, and corrections of the cameras' clocks.

        Raises:
            InputError: No record has a date, a date has no time zone, or the clock corrections do not
                fit the photographs.
        """
        index = cls(zone)
        # ``deploy`` knows more about wrong clocks.
        dates = replace(dates or DateRules(), checks_clocks=False)
        seen: set[str] = set()
        for record, metadata in with_metadata(records, photographs, dates):
            path = record["filepath"]
            is_new = path not in seen
            seen.add(path)
            index._add(record, metadata, is_new)
        if not seen:
            raise InputError(
                "The predictions contain no records, so there is nothing to write; pass the file of a "
                "finished run."
            )
        if not index.kept:
            raise _undated(photographs)
        index._base = _base_of(index._folders, index.notes)
        return index

    def _add(self, record: Record, metadata: PhotoMetadata, is_new: bool) -> None:
        path = record["filepath"]
        folder, place, model, series, number, moment = -1, 0, 0, -1, 0, None
        if is_new and metadata.datetime is None:
            self.undated.append(path)
        elif is_new and metadata.datetime is not None:
            moment = moment_of(metadata.datetime, self._zone, path)
            folder = _number_of(_folder_of(path), self._folders)
            latitude, longitude = position_of(record, metadata)
            if latitude is not None and longitude is not None:
                place = _number_of((latitude, longitude), self._places)
            if metadata.model:
                name = "-".join(filter(None, (metadata.make, metadata.model)))
                model = _number_of(name, self._models)
            if (file := file_number(path)) is not None:
                series, number = _number_of((folder, file[0]), self._series), file[1]
            self.kept += 1
        with record_errors(record):
            self._blank.append(is_blank(record))
        self._digests.frombytes(path_digest(path, 8))
        self._folder.append(folder)
        self._place.append(place)
        self._model.append(model)
        self._file.append(series)
        self._file_number.append(number)
        self._seconds.append(int(moment.timestamp()) if moment else 0)
        offset = moment.utcoffset() if moment else None
        self._offset.append(int(offset.total_seconds()) // 60 if offset else 0)

    def deploy(self, deployments_csv: str | None) -> None:
        """Assigns photographs to deployments, and completes their positions and periods.

        A photograph in a folder with several deployments belongs to the one whose period contains its
        date, otherwise to the nearest one. Deployments with wrong dates, or with photographs but no
        dates, get ``timestampIssues``, unless the table sets it.

        Args:
            deployments_csv: The table, see ``deployments.from_table``; None: each camera is a deployment.

        Raises:
            InputError: The table is invalid, or a deployment has no position or period.
        """
        folders = list(self._folders)
        if deployments_csv is None:
            by_folder = one_for_each_camera(folders)
            self.deployments = list({id(d): d for [d] in by_folder.values()}.values())
            self.similar_folders = note_on(folders)
        else:
            undated = [*map(_folder_of, self.undated)]
            table = deployments_csv, folders, self._zone, undated, self.notes
            by_folder, self.deployments = from_table(*table)
            self.gathered = gathered_cameras({folder: by_folder[folder] for folder in folders})
        numbers = {id(deployment): i for i, deployment in enumerate(self.deployments)}
        choices = list(by_folder.values())
        found = [_Found() for _ in self.deployments]
        places, models = list(self._places), list(self._models)
        for position, folder in enumerate(self._folder):
            if folder < 0:
                self._deployment.append(-1)
                continue
            chosen = _nearest(choices[folder], self._seconds[position])
            if chosen.distance(self._seconds[position]):
                self.outside.append(position)
            number = numbers[id(chosen)]
            self._deployment.append(number)
            place, model = places[self._place[position]], models[self._model[position]]
            found[number].add(position, place, model)
        for path in self.undated:
            for deployment in by_folder.get(_folder_of(path), ()):
                found[numbers[id(deployment)]].undated.append(path)
        self._find_problems(found)
        _check_positions(self.deployments, found, deployments_csv)
        by_date = self._seconds.__getitem__
        for deployment, facts in zip(self.deployments, found, strict=True):
            if taken := facts.photographs:
                facts.start = self.taken(min(taken, key=by_date))
                facts.end = self.taken(max(taken, key=by_date))
            elif facts.undated:
                self.dateless[deployment.deployment_id] = facts.undated
                deployment.cells.setdefault("timestampIssues", "true")
            _complete(deployment, facts)
            self.misplaced += _misplaced(deployment, facts.positions)

    def _find_problems(self, found: Sequence[_Found]) -> None:
        taken = [facts.photographs for facts in found]
        self.problems = problems_in(self._seconds, self._file, self._file_number, taken)
        numbers = sorted({self._deployment[problem.position] for problem in self.problems})
        for deployment in map(self.deployments.__getitem__, numbers):
            self.doubtful.append(deployment.deployment_id)
            deployment.cells.setdefault("timestampIssues", "true")

    def find_events(self, gap: float) -> None:
        """Groups the photographs of each deployment into events; ``gap`` is in seconds."""
        kept = [position for position, number in enumerate(self._folder) if number >= 0]
        numbers = sequence_numbers(
            ((str(self._deployment[p]), self._utc(p)) for p in kept),
            gap,
            bytes(self._blank[p] for p in kept),
        )
        self._event = array("i", [0]) * len(self._folder)
        seconds = self._seconds.__getitem__
        for position, number in zip(kept, numbers, strict=True):
            self._event[position] = number
            key = self._deployment[position], number
            first, last = self._events.get(key, (position, position))
            self._events[key] = min(first, position, key=seconds), max(last, position, key=seconds)
            self._sizes[key] += 1

    def period_of(self, position: int) -> str:
        """The period that the table gives for a photograph's deployment; "" if there is none."""
        return self.deployments[self._deployment[position]].period

    def medium(self, position: int, filepath: str) -> Medium | None:
        """The photograph of a record, or None if it is left out.

        Args:
            position: The position of its record in the file.
            filepath: The path in its record.

        Raises:
            InputError: A different record was at this position when the file was indexed.
        """
        if self._digests[position : position + 1].tobytes() != path_digest(filepath, 8):
            raise InputError(
                f"The predictions were changed while being read (the record of {filepath}); run "
                "the command again when the run has ended."
            )
        if self._folder[position] < 0:
            return None
        key = self._deployment[position], self._event[position]
        deployment = self.deployments[key[0]].deployment_id
        first, last = self._events[key]
        return Medium(
            path=self._relative(filepath),
            deployment=deployment,
            taken=self.taken(position),
            event=f"{deployment}#{key[1]}",
            event_start=self.taken(first),
            event_end=self.taken(last),
            event_size=self._sizes[key],
        )

    def _relative(self, filepath: str) -> str:
        if scheme_of(filepath) is not None:
            return filepath
        return "/".join(with_slashes(filepath).split("/")[len(self._base) :])

    def taken(self, position: int) -> str:
        """The date of a photograph, ISO 8601 with an offset."""
        zone = timezone(timedelta(minutes=self._offset[position]))
        return datetime.fromtimestamp(self._seconds[position], zone).isoformat()

    def _utc(self, position: int) -> str:
        return datetime.fromtimestamp(self._seconds[position], timezone.utc).isoformat()


def _folder_of(path: str) -> Parts:
    return tuple(with_slashes(path).split("/")[:-1])


def _undated(photographs: Photographs) -> InputError:
    advice = (
        "if they have moved, pass their new folder with --image_root"
        if photographs.missing
        else "write the dates into the photographs, for example with ExifTool"
    )
    return InputError(
        f"None of the photographs has a date, and Camtrap DP requires dates; {advice}."
    )


def _nearest(deployments: Sequence[Deployment], seconds: int) -> Deployment:
    """The deployment whose period is nearest to a date; if two periods touch, the later one."""
    return min(reversed(deployments), key=lambda deployment: deployment.distance(seconds))


def _base_of(folders: Iterable[Parts], notes: list[str]) -> Parts:
    """The folder that paths in the package are relative to; URLs do not count."""
    local = list(dict.fromkeys(map(without_card, filterfalse(is_on_web, folders))))
    base = shared_start(local)
    absolute = next((f for f in local if f and (not f[0] or f[0].endswith(":"))), None)
    if absolute is not None and not any(base) and len(local) > 1:
        other = next((f for f in local if f[:2] != absolute[:2]), local[-1])
        notes.append(
            f"The photographs in {'/'.join(absolute)} and {'/'.join(other)} have no folder in common: "
            "paths in the package start at the root of their drives."
        )
    return base


def _check_positions(
    deployments: Sequence[Deployment], found: Sequence[_Found], table: str | None
) -> None:
    """Raises an ``InputError`` that names the deployments without a position."""
    lacking = [
        one.full_name
        for one, facts in zip(deployments, found, strict=True)
        if not {"latitude", "longitude"} <= one.cells.keys() and not facts.positions
    ]
    if not lacking:
        return
    if len(deployments) == 1:
        which = f"The deployment {lacking[0]} has no position, nor has any of its photographs"
    else:
        which = (
            f"{len(lacking)} of {len(deployments)} deployments {plural(len(lacking), 'has', 'have')} no "
            f"position, nor has any of {plural(len(lacking), 'its', 'their')} photographs: "
            f"{some_of(lacking)}"
        )
    if table is not None:
        raise InputError(
            f"{which}. Write a latitude and a longitude, in degrees, into "
            f"{plural(len(lacking), 'this row', 'these rows')} of {table}."
        )
    raise InputError(
        f"{which}. Add --deployments with a CSV file that has the columns deploymentID, latitude and "
        f"longitude, and a row for {plural(len(lacking), 'it', 'each')}."
    )


def _complete(deployment: Deployment, facts: _Found) -> None:
    """Completes a deployment's position, period and camera from its photographs."""
    cells = deployment.cells
    if "latitude" not in cells or "longitude" not in cells:
        latitude, longitude = facts.positions.most_common(1)[0][0]
        cells |= {"latitude": str(latitude), "longitude": str(longitude)}
    if facts.photographs:
        cells.setdefault("deploymentStart", facts.start)
        cells.setdefault("deploymentEnd", facts.end)
    elif "deploymentStart" not in cells or "deploymentEnd" not in cells:
        photographs = "no photographs"
        if facts.undated:
            number = counted(len(facts.undated), "photograph")
            photographs = f"{number}, such as {facts.undated[0]}, but none with a readable date"
        raise InputError(
            f"The deployment {deployment.full_name} has {photographs}; add its deploymentStart and "
            "deploymentEnd, or remove it from the table."
        )
    check_order(deployment)
    if facts.models:
        cells.setdefault("cameraModel", facts.models.most_common(1)[0][0])


def _misplaced(deployment: Deployment, positions: Counter[Position]) -> Iterator[Misplaced]:
    """The photographs further from their deployment than ``FAR_KM`` plus its uncertainty."""
    cells = deployment.cells
    position = float(cells["latitude"]), float(cells["longitude"])
    limit = max(FAR_KM, int(cells.get("coordinateUncertainty", 0)) / 1000)
    distances = {other: distance_km(position, other) for other in positions}
    far = [(count, other) for other, count in positions.items() if distances[other] > limit]
    if far:
        count = sum(count for count, _ in far)
        other = max(far)[1]
        yield Misplaced(deployment.deployment_id, position, other, count, distances[other])


def _number_of(value: _Key, numbers: dict[_Key, int]) -> int:
    """The number of a value; a new value gets the next number."""
    return numbers.setdefault(value, len(numbers))


def parse_timezone(name: str | None) -> tzinfo | None:
    """The time zone for a name in the IANA database, or for an offset such as +03:00.

    Raises:
        InputError: The name is neither.
    """
    if name is None:
        return None
    if match := re.fullmatch(r"([+-])(0\d|1[0-4]):([0-5]\d)", name):
        minutes = int(match[2]) * 60 + int(match[3])
        return timezone(timedelta(minutes=minutes if match[1] == "+" else -minutes))
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise InputError(
            f"--timezone {name} is not a time zone; use a name such as Africa/Nairobi or an offset such "
            "as +03:00."
        ) from error
