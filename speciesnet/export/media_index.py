"""An index of the dates, deployments and events of the photographs in a predictions file."""

from __future__ import annotations

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from typing import TypeVar
from zoneinfo import ZoneInfo

from absl import logging

from speciesnet.errors import InputError
from speciesnet.export.deployments import (
    Deployment,
    from_table,
    is_on_web,
    one_for_each_folder,
)
from speciesnet.files.paths import Parts, shared_start, with_slashes
from speciesnet.files.storage import scheme_of
from speciesnet.instances import path_digest
from speciesnet.metadata import PhotoMetadata, parse_datetime
from speciesnet.records import Record
from speciesnet.survey.dates import DateRules
from speciesnet.survey.photographs import Photographs, position_of, with_metadata
from speciesnet.survey.sequences import camera_folder, sequence_numbers

Position = tuple[float, float]
_Span = tuple[int, int]  # the positions of the first and the last record
_Key = TypeVar("_Key", str, tuple[str, int])


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
    """

    path: str
    deployment: str
    taken: str
    event: str
    event_start: str
    event_end: str


@dataclass
class _Folder:
    """The positions and camera models of the photographs in one folder, with their counts."""

    positions: Counter[Position] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    deployment: str = ""  # the name, after MediaIndex.deploy


class MediaIndex:
    """An index of records by their position in the file, made by ``read``.

    ``deploy`` and then ``find_events`` complete it. It has five numbers per record in parallel arrays,
    because objects would need ten times the memory.

    Attributes:
        kept: The number of photographs with a date.
        undated: The paths of photographs without a date.
    """

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone
        self._numbers: dict[Parts, int] = {}  # of each folder in _folders
        self._folders: list[_Folder] = []
        self._base: Parts = ()
        # One entry per record, by its position in the file:
        self._digests = array("Q")  # of its path
        self._folder = array("i")  # the number of its folder; -1 if it is left out
        self._seconds = array("q")  # its date, in seconds since 1970
        self._offset = array("h")  # of the camera's clock from UTC, in minutes
        self._event = array("i")  # the number of its event within the deployment
        self._events: dict[tuple[str, int], _Span] = {}
        self.kept = 0
        self.undated: list[str] = []

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
            records: Records of any run. If a path occurs twice, the first record counts.
            photographs: The finder of photographs, to read what records lack.
            zone: The time zone of clocks that do not record one, or None.
            dates: Dates from file names, and corrections of the cameras' clocks.

        Raises:
            InputError: No record has a date, a date has no time zone, or the clock corrections do not
                fit the photographs.
        """
        index = cls(zone)
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
            advice = (
                "if they have moved, pass their new folder with --image_root"
                if photographs.missing
                else "write the dates into the photographs, for example with ExifTool"
            )
            raise InputError(
                f"None of the photographs has a date, and Camtrap DP requires dates; {advice}."
            )
        index._find_base()
        return index

    def _find_base(self) -> None:
        """Finds the folder that paths in the package are relative to; URLs do not count."""
        folders = [parts for parts in self._numbers if not is_on_web(parts)]
        self._base = shared_start(folders)
        absolute = next((f for f in folders if f and (not f[0] or f[0].endswith(":"))), None)
        if absolute is not None and not any(self._base) and len(folders) > 1:
            other = next((f for f in folders if f[:2] != absolute[:2]), folders[-1])
            logging.warning(
                "The photographs in %s and %s have no folder in common: paths in the package start at "
                "the root of their drives.",
                "/".join(absolute),
                "/".join(other),
            )

    def _add(self, record: Record, metadata: PhotoMetadata, is_new: bool) -> None:
        path = record["filepath"]
        number, moment = -1, None
        if is_new and metadata.datetime is None:
            self.undated.append(path)
        elif is_new and metadata.datetime is not None:
            moment = self._moment(metadata.datetime, path)
            number = self._numbers.setdefault(camera_folder(path), len(self._numbers))
            if number == len(self._folders):
                self._folders.append(_Folder())
            folder = self._folders[number]
            latitude, longitude = position_of(record, metadata)
            if latitude is not None and longitude is not None:
                folder.positions[latitude, longitude] += 1
            if metadata.model:
                folder.models["-".join(filter(None, (metadata.make, metadata.model)))] += 1
            self.kept += 1
        self._digests.frombytes(path_digest(path, 8))
        self._folder.append(number)
        self._seconds.append(int(moment.timestamp()) if moment else 0)
        offset = moment.utcoffset() if moment else None
        self._offset.append(int(offset.total_seconds()) // 60 if offset else 0)

    def _moment(self, taken: str, path: str) -> datetime:
        moment = datetime.fromisoformat(taken)
        if moment.tzinfo is None and self._zone is None:
            raise InputError(
                f"The clock of {path} does not record its time zone; add --timezone, such as "
                "Africa/Nairobi or +03:00."
            )
        return moment if moment.tzinfo else moment.replace(tzinfo=self._zone)

    def deploy(self, deployments_csv: str | None) -> list[Deployment]:
        """Assigns photographs to deployments, and completes their positions and periods.

        Args:
            deployments_csv: The table, see ``deployments.from_table``; None: each folder is a deployment.

        Raises:
            InputError: The table is invalid, or a deployment has no position or period.
        """
        if deployments_csv is None:
            by_folder = one_for_each_folder(list(self._numbers))
            deployments = list(by_folder.values())
        else:
            by_folder, deployments = from_table(deployments_csv, list(self._numbers))
        folders: dict[str, list[_Folder]] = defaultdict(list)
        for parts, number in self._numbers.items():
            self._folders[number].deployment = by_folder[parts].deployment_id
            folders[by_folder[parts].deployment_id].append(self._folders[number])
        periods: dict[str, _Span] = {}
        for position, number in enumerate(self._folder):
            if number >= 0:
                self._extend(periods, self._folders[number].deployment, position)
        for deployment in deployments:
            name = deployment.deployment_id
            self._complete(deployment, folders[name], periods.get(name))
        return deployments

    def _extend(self, spans: dict[_Key, _Span], key: _Key, position: int) -> None:
        """Extends the time between the first and the last record of a key by a record."""
        first, last = spans.get(key, (position, position))
        seconds = self._seconds.__getitem__
        spans[key] = min(first, position, key=seconds), max(last, position, key=seconds)

    def _complete(
        self, deployment: Deployment, folders: list[_Folder], period: _Span | None
    ) -> None:
        name, cells = deployment.deployment_id, deployment.cells
        positions: Counter[Position] = sum((f.positions for f in folders), Counter())
        models: Counter[str] = sum((f.models for f in folders), Counter())
        for column in ("deploymentStart", "deploymentEnd"):
            if column in cells:
                text = parse_datetime(cells[column]) or ""
                cells[column] = self._moment(text, f"deployment {name}").isoformat()
        if "latitude" not in cells or "longitude" not in cells:
            if not positions:
                raise InputError(
                    f"The deployment {name} has no position, nor has any of its photographs; add "
                    "--deployments with a CSV file that has the columns deploymentID, latitude and "
                    "longitude."
                )
            latitude, longitude = positions.most_common(1)[0][0]
            cells |= {"latitude": str(latitude), "longitude": str(longitude)}
        if period is not None:
            cells.setdefault("deploymentStart", self._taken(period[0]))
            cells.setdefault("deploymentEnd", self._taken(period[1]))
        elif "deploymentStart" not in cells or "deploymentEnd" not in cells:
            raise InputError(
                f"The deployment {name} has no photographs with a date; add its deploymentStart and "
                "deploymentEnd, or remove it from the table."
            )
        start, end = cells["deploymentStart"], cells["deploymentEnd"]
        if datetime.fromisoformat(end) < datetime.fromisoformat(start):
            raise InputError(
                f"The deployment {name} ends at {end}, before it starts at {start}; correct its "
                "deploymentStart or deploymentEnd."
            )
        if models:
            cells.setdefault("cameraModel", models.most_common(1)[0][0])

    def find_events(self, gap: float) -> None:
        """Groups the photographs of each deployment into events; ``gap`` is in seconds."""
        kept = [position for position, number in enumerate(self._folder) if number >= 0]
        numbers = sequence_numbers(
            ((self._folders[self._folder[p]].deployment, self._utc(p)) for p in kept), gap
        )
        self._event = array("i", [0]) * len(self._folder)
        for position, number in zip(kept, numbers, strict=True):
            self._event[position] = number
            deployment = self._folders[self._folder[position]].deployment
            self._extend(self._events, (deployment, number), position)

    def medium(self, position: int, filepath: str) -> Medium | None:
        """The photograph of a record, or None if it is left out.

        Args:
            position: The position of its record in the file.
            filepath: The path in its record.

        Raises:
            InputError: Another record was at this position when ``read`` read the file.
        """
        if self._digests[position : position + 1].tobytes() != path_digest(filepath, 8):
            raise InputError(
                f"The predictions were changed while they were read (the record of {filepath}); run the "
                "command again when the run has ended."
            )
        number = self._folder[position]
        if number < 0:
            return None
        deployment, event = self._folders[number].deployment, self._event[position]
        first, last = self._events[deployment, event]
        return Medium(
            path=self._relative(filepath),
            deployment=deployment,
            taken=self._taken(position),
            event=f"{deployment}#{event}",
            event_start=self._taken(first),
            event_end=self._taken(last),
        )

    def _relative(self, filepath: str) -> str:
        if scheme_of(filepath) is not None:
            return filepath
        return "/".join(with_slashes(filepath).split("/")[len(self._base) :])

    def _taken(self, position: int) -> str:
        zone = timezone(timedelta(minutes=self._offset[position]))
        return datetime.fromtimestamp(self._seconds[position], zone).isoformat()

    def _utc(self, position: int) -> str:
        return datetime.fromtimestamp(self._seconds[position], timezone.utc).isoformat()


def parse_timezone(name: str | None) -> tzinfo | None:
    """The time zone with a name of the IANA database, or with an offset such as +03:00.

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
