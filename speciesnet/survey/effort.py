"""The effort of a survey: the nights that each camera worked.

A night counts if the camera was working at midnight, so the number of nights between a start and an end
is the difference between their dates: a camera that was deployed from 1 to 8 May worked for 7 nights.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple

from speciesnet.files.paths import with_slashes
from speciesnet.survey.reliable_dates import CameraDates, Period, Taken, camera_dates
from speciesnet.survey.sequences import camera_folder

Source = Literal["table", "photographs"]


class Gap(NamedTuple):
    """A time during which a camera did not work.

    Attributes:
        start: Its start on the camera's clock.
        end: Its end.
    """

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Deployed:
    """A row of a table of deployments.

    Attributes:
        deployment: Its name.
        camera: The camera that took its photographs; the folder in its row if it has none.
        start: Its start on the camera's clock, or None if the row has none.
        end: Its end, or None.
        gaps: The times in between in which the camera did not work, as the row names them.
    """

    deployment: str
    camera: str
    start: datetime | None = None
    end: datetime | None = None
    gaps: tuple[Gap, ...] = ()

    def distance(self, moment: datetime) -> timedelta:
        """The time between a moment and the period of the row; 0 inside."""
        before = self.start - moment if self.start else timedelta()
        after = moment - self.end if self.end else timedelta()
        return max(before, after, timedelta())


@dataclass(frozen=True)
class CameraEffort:
    """How long a camera worked, in one of its deployments.

    Attributes:
        camera: Its folder, see ``camera_folder``.
        deployment: The name of the deployment, or None if there is no table.
        start: When it started, on the camera's clock; None if unknown.
        end: When it ended, or None.
        start_from: Whether the start comes from the table or from the photographs.
        end_from: The same for the end.
        nights: The nights that it worked, without those in gaps; None if start or end is unknown.
        gaps: The times between start and end during which it did not work.
        photographs: The number of photographs with a reliable date, in chronological order.
        first: The date of the first of these, or None.
        last: The date of the last of these, or None.
    """

    camera: str
    deployment: str | None
    start: datetime | None
    end: datetime | None
    start_from: Source
    end_from: Source
    nights: int | None
    gaps: tuple[Gap, ...]
    photographs: int
    first: datetime | None
    last: datetime | None

    def without(self, gaps: Iterable[Gap]) -> CameraEffort:
        """The effort without further times during which the camera did not work."""
        if self.start is None or self.end is None:
            return self
        all_gaps = _joined([*self.gaps, *_within(gaps, self.start, self.end)])
        nights = nights_between(self.start, self.end, all_gaps)
        return replace(self, gaps=all_gaps, nights=nights)


def nights_between(start: datetime, end: datetime, gaps: Iterable[Gap] = ()) -> int:
    """The number of midnights from a start to an end, outside all gaps.

    Examples:
        >>> start, end = datetime(2024, 5, 1, 9), datetime(2024, 5, 8, 15)
        >>> nights_between(start, end)
        7
        >>> nights_between(start, end, [Gap(datetime(2024, 5, 2, 12), datetime(2024, 5, 4, 12))])
        5
    """
    lost: set[date] = set()
    for gap in gaps:
        first = max(gap.start, start).date()
        days = (min(gap.end, end).date() - first).days
        lost |= {first + timedelta(days=number) for number in range(1, days + 1)}
    return max((end.date() - start.date()).days - len(lost), 0)


def effort(
    photographs: Iterable[tuple[str, str | None]],
    deployments: Mapping[str, Sequence[Deployed]] | None = None,
    gaps: Mapping[str, Sequence[Gap]] | None = None,
    *,
    without_photographs: Iterable[Deployed] = (),
) -> list[CameraEffort]:
    """The effort of each camera, or of each of its deployments.

    Start and end come from the table. If they are missing, they are the dates of the first and the last
    photograph with a reliable date (see ``camera_dates``), and the nights before and after these are
    not counted.

    Args:
        photographs: The path and the date, ISO 8601 or None, of each photograph.
        deployments: The rows for each folder of photographs, see ``export.deployments.deployed``; None
            if there is no table.
        gaps: Times during which a camera did not work, by camera; by default, there are none.
        without_photographs: Rows without photographs: cameras that worked, but saw nothing.

    Returns:
        Without a table, an element for each camera, in the order of their names; with one, an element
        for each deployment and camera.

    Raises:
        ValueError: A date is invalid.

    Examples:
        >>> taken = [("cam1/a.jpg", "2024-05-01T06:30:00"), ("cam1/b.jpg", "2024-05-04T21:00:00")]
        >>> [(one.camera, one.nights) for one in effort(taken)]
        [('cam1', 3)]
    """
    cameras = camera_dates(photographs, periods_of(deployments or {}))
    return effort_of(cameras, deployments, gaps, without_photographs=without_photographs)


def effort_of(
    cameras: Iterable[CameraDates],
    deployments: Mapping[str, Sequence[Deployed]] | None = None,
    gaps: Mapping[str, Sequence[Gap]] | None = None,
    *,
    without_photographs: Iterable[Deployed] = (),
) -> list[CameraEffort]:
    """Does the same as ``effort`` for dates that ``camera_dates`` has sorted."""
    gaps = gaps or {}
    found: list[CameraEffort] = []
    rows = _by_camera(deployments or {})
    for one in cameras:
        known = gaps.get(one.camera, ())
        if deployments is None:
            found.append(_effort(one.camera, None, one.reliable, known))
            continue
        taken = by_deployment(one, deployments)
        for row in rows.get(one.camera, ()):
            found.append(_effort(one.camera, row, taken.get(row.deployment, ()), known))
    found += [_effort(row.camera, row, (), gaps.get(row.camera, ())) for row in without_photographs]
    return found


def periods_of(deployments: Mapping[str, Sequence[Deployed]]) -> dict[str, list[Period]]:
    """The periods of each camera, for ``camera_dates``; see ``effort`` for the deployments."""
    return {
        camera: [(row.start, row.end) for row in rows if row.start or row.end]
        for camera, rows in _by_camera(deployments).items()
    }


def _by_camera(deployments: Mapping[str, Sequence[Deployed]]) -> dict[str, list[Deployed]]:
    rows: dict[str, list[Deployed]] = defaultdict(list)
    for folder, deployed in deployments.items():
        camera = "/".join(camera_folder(f"{folder}/"))
        rows[camera] += [row for row in deployed if row not in rows[camera]]
    return rows


def by_deployment(
    camera: CameraDates, deployments: Mapping[str, Sequence[Deployed]]
) -> dict[str, list[Taken]]:
    """The photographs with a reliable date of each deployment of a camera, by its name.

    A photograph belongs to the deployment whose period contains its date, otherwise to the nearest one.
    """
    found: dict[str, list[Taken]] = defaultdict(list)
    for one in camera.reliable:
        rows = deployments.get(with_slashes(one.filepath).rpartition("/")[0], ())
        if rows:
            nearest = min(reversed(rows), key=lambda row: row.distance(one.moment))
            found[nearest.deployment].append(one)
    return found


def _effort(
    camera: str, row: Deployed | None, taken: Sequence[Taken], gaps: Iterable[Gap]
) -> CameraEffort:
    first, last = (taken[0].moment, taken[-1].moment) if taken else (None, None)
    start, end = (row.start, row.end) if row else (None, None)
    found = CameraEffort(
        camera,
        row.deployment if row else None,
        start or first,
        end or last,
        "table" if start else "photographs",
        "table" if end else "photographs",
        nights=None,
        gaps=(),
        photographs=len(taken),
        first=first,
        last=last,
    )
    return found.without([*gaps, *(row.gaps if row else ())])


def _within(gaps: Iterable[Gap], start: datetime, end: datetime) -> list[Gap]:
    cut = [Gap(max(gap.start, start), min(gap.end, end)) for gap in gaps]
    return [gap for gap in cut if gap.start < gap.end]


def _joined(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    """Gaps in chronological order; those that touch are merged."""
    found: list[Gap] = []
    for gap in sorted(gaps):
        if found and gap.start <= found[-1].end:
            found[-1] = Gap(found[-1].start, max(found[-1].end, gap.end))
        else:
            found.append(gap)
    return tuple(found)
