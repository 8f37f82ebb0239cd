"""When and where the photographs of a predictions file were taken: a few numbers for each."""

from __future__ import annotations

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from absl import logging

from speciesnet.errors import InputError
from speciesnet.export.deployments import (
    Deployment,
    from_table,
    is_on_web,
    one_for_each_folder,
)
from speciesnet.files.paths import Parts, shared_start
from speciesnet.files.storage import scheme_of
from speciesnet.instances import path_digest
from speciesnet.metadata import PhotoMetadata, parse_datetime
from speciesnet.records import Record
from speciesnet.survey.photographs import Photographs, with_metadata
from speciesnet.survey.sequences import camera_folder, sequence_numbers

Position = tuple[float, float]


@dataclass(frozen=True)
class SurveyPhoto:
    """A photograph in its deployment and event; times are ISO 8601 with an offset."""

    path: str
    deployment: str
    taken: str
    event: str
    event_start: str
    event_end: str


@dataclass
class _Folder:
    """What the photographs of one folder tell of their camera."""

    positions: Counter[Position] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    deployment: Deployment | None = None


class Whereabouts:
    """An index of records by their position in the file; ``read`` makes one.

    Attributes:
        kept: How many photographs have a date.
        undated: Paths of those that have none.
        event_count: How many events there are, after ``find_events``.
    """

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone
        self._numbers: dict[Parts, int] = {}
        self._folders: list[_Folder] = []
        self._base: Parts = ()
        self._digests = array("Q")  # of the path of each record
        # Of each record: the number of its folder, or -1 where it is left out; when it was taken, in
        # seconds since 1970; the offset of its clock in minutes; its event, after ``find_events``.
        self._folder = array("i")
        self._seconds = array("q")
        self._offset = array("h")
        self._event = array("i")
        self._spans: dict[tuple[str, int], tuple[int, int]] = {}  # positions of first and last
        self.kept = self.event_count = 0
        self.undated: list[str] = []

    @classmethod
    def read(
        cls, records: Iterable[Record], photographs: Photographs, zone: tzinfo | None
    ) -> Whereabouts:
        """Reads dates, positions and cameras.

        Args:
            records: Of any run. Of a path that was given twice, the first one counts.
            photographs: Where to read what records do not keep.
            zone: Of clocks that do not tell it, or None.

        Raises:
            InputError: No record has a date, or one has no time zone.
        """
        survey = cls(zone)
        seen: set[str] = set()
        for record, metadata in with_metadata(records, photographs):
            path = record["filepath"]
            is_new = path not in seen
            seen.add(path)
            survey._add(record, metadata, is_new)
        if not seen:
            raise InputError(
                "There is no record in the predictions, so there is nothing to write; give the file of a "
                "finished run."
            )
        if not survey.kept:
            mend = (
                "if they have moved, give the folder that holds them now with --image_root"
                if photographs.missing
                else "write them into the photographs, such as with ExifTool"
            )
            raise InputError(
                f"None of the photographs has a date, and Camtrap DP needs them; {mend}."
            )
        survey._find_base()
        return survey

    def _find_base(self) -> None:
        """Finds the folder that paths in the package begin below; the web has no part in it."""
        folders = [parts for parts in self._numbers if not is_on_web(parts)]
        self._base = shared_start(folders)
        absolute = next((f for f in folders if f and (not f[0] or f[0].endswith(":"))), None)
        if absolute is not None and not any(self._base) and len(folders) > 1:
            other = next((f for f in folders if f[:2] != absolute[:2]), folders[-1])
            logging.warning(
                "The photographs in %s and %s have no folder in common: paths in the package begin with "
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
            place = record if "latitude" in record else metadata.as_dict()
            if "latitude" in place and "longitude" in place:
                folder.positions[place["latitude"], place["longitude"]] += 1
            if metadata.model:
                folder.models["-".join(filter(None, (metadata.make, metadata.model)))] += 1
            self.kept += 1
        self._digests.frombytes(_digest(path))
        self._folder.append(number)
        self._seconds.append(int(moment.timestamp()) if moment else 0)
        offset = moment.utcoffset() if moment else None
        self._offset.append(int(offset.total_seconds()) // 60 if offset else 0)

    def _moment(self, taken: str, path: str) -> datetime:
        moment = datetime.fromisoformat(taken)
        if moment.tzinfo is None and self._zone is None:
            raise InputError(
                f"The clock of {path} does not tell its time zone; add --timezone, such as "
                "Africa/Nairobi or +03:00."
            )
        return moment if moment.tzinfo else moment.replace(tzinfo=self._zone)

    def deploy(self, deployments_csv: str | None) -> list[Deployment]:
        """Finds the deployments, with their places and periods, by a table or by folders.

        Args:
            deployments_csv: See ``deployments.from_table``; None makes each folder one.

        Raises:
            InputError: The table is wrong, or a deployment has no position or period.
        """
        if deployments_csv is None:
            by_folder = one_for_each_folder(list(self._numbers))
            deployments = list(by_folder.values())
        else:
            by_folder, deployments = from_table(deployments_csv, list(self._numbers))
        folders: dict[str, list[_Folder]] = defaultdict(list)
        for parts, number in self._numbers.items():
            self._folders[number].deployment = by_folder[parts]
            folders[by_folder[parts].deployment_id].append(self._folders[number])
        periods = self._periods()
        for deployment in deployments:
            name = deployment.deployment_id
            self._complete(deployment, folders[name], periods.get(name))
        return deployments

    def _periods(self) -> dict[str, tuple[int, int]]:
        """The positions of the first and the last photograph of each deployment."""
        found: dict[str, tuple[int, int]] = {}
        for position, number in enumerate(self._folder):
            if number >= 0:
                name = self._deployment(number)
                first, last = found.get(name, (position, position))
                found[name] = (
                    min(first, position, key=self._seconds.__getitem__),
                    max(last, position, key=self._seconds.__getitem__),
                )
        return found

    def _complete(
        self, deployment: Deployment, folders: list[_Folder], period: tuple[int, int] | None
    ) -> None:
        given = deployment.given
        positions: Counter[Position] = sum((f.positions for f in folders), Counter())
        models: Counter[str] = sum((f.models for f in folders), Counter())
        for column in ("deploymentStart", "deploymentEnd"):
            if column in given:
                text = parse_datetime(given[column]) or ""
                given[column] = self._moment(
                    text, f"deployment {deployment.deployment_id}"
                ).isoformat()
        if "latitude" not in given or "longitude" not in given:
            if not positions:
                raise InputError(
                    f"The deployment {deployment.deployment_id} has no position, nor has any of its "
                    "photographs; add --deployments with a CSV file that has the columns deploymentID, "
                    "latitude and longitude."
                )
            latitude, longitude = positions.most_common(1)[0][0]
            given |= {"latitude": str(latitude), "longitude": str(longitude)}
        if period is not None:
            given.setdefault("deploymentStart", self._taken(period[0]))
            given.setdefault("deploymentEnd", self._taken(period[1]))
        elif "deploymentStart" not in given or "deploymentEnd" not in given:
            raise InputError(
                f"The deployment {deployment.deployment_id} has no photographs with a date; add its "
                "deploymentStart and deploymentEnd, or take it out of the table."
            )
        start, end = given["deploymentStart"], given["deploymentEnd"]
        if datetime.fromisoformat(end) < datetime.fromisoformat(start):
            raise InputError(
                f"The deployment {deployment.deployment_id} ends at {end}, before it starts at {start}; "
                "correct its deploymentStart or deploymentEnd."
            )
        if models:
            given.setdefault("cameraModel", models.most_common(1)[0][0])

    def find_events(self, gap: float) -> None:
        """Groups the photographs of each deployment into events; ``gap`` is in seconds."""
        kept = [position for position, number in enumerate(self._folder) if number >= 0]
        numbers = sequence_numbers(
            ((self._deployment(self._folder[p]), self._utc(p)) for p in kept), gap
        )
        self._event = array("i", [0]) * len(self._folder)
        for position, number in zip(kept, numbers, strict=True):
            self._event[position] = number
            key = self._deployment(self._folder[position]), number
            first, last = self._spans.get(key, (position, position))
            self._spans[key] = (
                min(first, position, key=self._seconds.__getitem__),
                max(last, position, key=self._seconds.__getitem__),
            )
        self.event_count = len(self._spans)

    def photo(self, position: int, filepath: str) -> SurveyPhoto | None:
        """A photograph after ``deploy`` and ``find_events``, or None where it is left out.

        Args:
            position: Of its record in the file.
            filepath: Of its record.

        Raises:
            InputError: It was another record when the file was read first.
        """
        if self._digests[position : position + 1].tobytes() != _digest(filepath):
            raise InputError(
                f"The predictions were changed while they were read (the record of {filepath}); give the "
                "command again when the run has ended."
            )
        number = self._folder[position]
        if number < 0:
            return None
        deployment, event = self._deployment(number), self._event[position]
        first, last = self._spans[deployment, event]
        return SurveyPhoto(
            path=self._relative(filepath),
            deployment=deployment,
            taken=self._taken(position),
            event=f"{deployment}#{event}",
            event_start=self._taken(first),
            event_end=self._taken(last),
        )

    def _deployment(self, number: int) -> str:
        deployment = self._folders[number].deployment
        assert deployment is not None
        return deployment.deployment_id

    def _relative(self, filepath: str) -> str:
        if scheme_of(filepath) is not None:
            return filepath
        return "/".join(filepath.replace("\\", "/").split("/")[len(self._base) :])

    def _taken(self, position: int) -> str:
        zone = timezone(timedelta(minutes=self._offset[position]))
        return datetime.fromtimestamp(self._seconds[position], zone).isoformat()

    def _utc(self, position: int) -> str:
        return datetime.fromtimestamp(self._seconds[position], timezone.utc).isoformat()


def parse_timezone(name: str | None) -> tzinfo | None:
    """The time zone of a name of the IANA list or of an offset such as +03:00.

    Raises:
        InputError: It is neither.
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
            f"--timezone {name} is none; give a name such as Africa/Nairobi, or an offset such as +03:00."
        ) from error


def _digest(filepath: str) -> bytes:
    return path_digest(filepath, 8)
