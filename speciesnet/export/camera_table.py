"""The table of cameras that failed, and the table of deployments with corrected periods."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from speciesnet.export.deployments import (
    FOLDER,
    NOT_WORKING,
    OWN_COLUMNS,
    PERIOD,
    one_for_each_camera,
)
from speciesnet.export.files import output_file
from speciesnet.export.tables import Row
from speciesnet.files.csv_rows import read_table
from speciesnet.images.metadata import parse_datetime
from speciesnet.survey.camera_check import CheckedCamera
from speciesnet.survey.camera_findings import LOST, NAMES, Finding
from speciesnet.survey.effort import Gap

COLUMNS: dict[str, type] = {
    "camera": str, "deployment": str, "finding": str, "start": str, "end": str, "photographs": int,
    "nights": int, "nights_worked": int, "start_from": str, "end_from": str, "note": str, "file": str,
    "file_before": str,
}  # fmt: skip
_EMPTY: Row = dict.fromkeys(COLUMNS)
EFFORT = "effort"  # in the column ``finding``, for the row of the deployment itself
COMMENTS = "deploymentComments"


def camera_rows(cameras: Iterable[CheckedCamera]) -> Iterator[Row]:
    """A row for each deployment, and one for each of its findings."""
    for one in cameras:
        effort = one.effort
        yield _EMPTY | {
            "camera": effort.camera,
            "deployment": effort.deployment,
            "finding": EFFORT,
            "start": _text(effort.start),
            "end": _text(effort.end),
            "photographs": effort.photographs,
            "nights": effort.nights,
            "nights_worked": one.worked.nights,
            "start_from": effort.start_from if effort.start else None,
            "end_from": effort.end_from if effort.end else None,
        }
        for finding in one.findings:
            yield _EMPTY | {
                "camera": finding.camera,
                "deployment": finding.deployment,
                "finding": finding.kind,
                "start": _text(finding.start),
                "end": _text(finding.end),
                "photographs": finding.photographs,
                "note": finding.note,
                "file": finding.filepath or None,
                "file_before": finding.before or None,
            }


def _text(moment: datetime | None) -> str | None:
    return moment and moment.isoformat(timespec="seconds")


@dataclass(frozen=True)
class _Change:
    """A new start or end of a deployment, and why."""

    column: str
    moment: datetime
    why: Finding


def write_deployments(
    cameras: Sequence[CheckedCamera],
    path: str | os.PathLike[str],
    table: str | None = None,
    zone: tzinfo | None = None,
) -> int:
    """Writes a table of deployments whose periods contain only the time when the cameras worked.

    It is a copy of the given table, with all columns and cells. If a camera did not work at the start
    or end of a deployment, ``deploymentStart`` or ``deploymentEnd`` is changed, and a comment contains
    the old value. Other times in which a camera did not work are in the column ``NOT_WORKING``. Without
    a table, each camera has a row with its folder and period.

    Args:
        cameras: The deployments.
        path: The CSV file to write.
        table: Path or URL of a table of deployments, as for ``speciesnet camtrap-dp``.
        zone: The time zone of the cameras' clocks, if periods have one.

    Returns:
        The number of deployments with a different start or end.

    Raises:
        InputError: The table cannot be read.
        OutputError: The file cannot be written.
    """
    if table is None:
        columns: Sequence[str] = ("deploymentID", FOLDER, *PERIOD, COMMENTS)
        rows = list(_own_rows(cameras))
    else:
        named, given = read_table(table, "deployments", OWN_COLUMNS)
        columns = [name for name in dict.fromkeys([*named, *PERIOD, COMMENTS]) if name]
        rows = [{**cells} for _, cells in given]
    by_name: dict[str, list[CheckedCamera]] = defaultdict(list)
    for one, name in zip(cameras, _names(cameras), strict=True):
        by_name[name].append(one)
    changed = 0
    for row in rows:
        members = by_name.get(row.get("deploymentID", ""), [])
        changed += len(members) == 1 and _correct(row, members[0], zone)
    if any(NOT_WORKING in row for row in rows):
        columns = list(dict.fromkeys([*columns, NOT_WORKING]))
    with output_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return changed


def _names(cameras: Sequence[CheckedCamera]) -> list[str]:
    """The names of deployments: those of the table, or those that ``camtrap-dp`` gives them."""
    folders = [tuple(one.effort.camera.split("/")) for one in cameras]
    own = one_for_each_camera(folders)
    return [
        one.effort.deployment or own[folder][0].deployment_id
        for one, folder in zip(cameras, folders, strict=True)
    ]


def _own_rows(cameras: Sequence[CheckedCamera]) -> Iterator[dict[str, str]]:
    for one, name in zip(cameras, _names(cameras), strict=True):
        period = zip(PERIOD, (one.effort.start, one.effort.end), strict=True)
        cells = {column: _text(moment) or "" for column, moment in period}
        yield {"deploymentID": name, FOLDER: one.effort.camera, **cells}


def _correct(row: dict[str, str], camera: CheckedCamera, zone: tzinfo | None) -> bool:
    """Writes the period of a camera into its row; returns whether it differs from that in the row."""
    effort = camera.effort
    comments = [row[COMMENTS]] if row.get(COMMENTS) else []
    for column, moment in zip(PERIOD, (effort.start, effort.end), strict=True):
        if moment is not None and not row.get(column):
            row[column] = _cell(moment, "", zone)
    changes = list(_changes(camera))
    for change in changes:
        old = row.get(change.column, "")
        row[change.column] = _cell(change.moment, old, zone)
        comments.append(f"{change.column} was {old}: {NAMES[change.why.kind]}. {change.why.note}")
    comments += [
        f"{NAMES[one.kind]} from {_text(one.start)}"
        + (f" to {_text(one.end)}" if one.end and one.kind not in ("view", "flash") else "")
        for one in camera.findings
        if one.start and all(one is not change.why for change in changes)
    ]
    if comments:
        row[COMMENTS] = "; ".join(comments)
    if gaps := _gaps(camera, changes):
        row[NOT_WORKING] = " ".join(
            f"{_cell(gap.start, row[PERIOD[0]], zone)}/{_cell(gap.end, row[PERIOD[1]], zone)}"
            for gap in gaps
        )
    return bool(changes)


def _gaps(camera: CheckedCamera, changes: Iterable[_Change]) -> list[Gap]:
    """The times without a working camera within its period after the changes."""
    moments = {change.column: change.moment for change in changes}
    start = moments.get(PERIOD[0], camera.effort.start)
    end = moments.get(PERIOD[1], camera.effort.end)
    if start is None or end is None:
        return []
    return [gap for gap in camera.worked.gaps if gap.end > start and gap.start < end]


def _changes(camera: CheckedCamera) -> Iterator[_Change]:
    """The start and end of the time when a camera worked, if they differ from its period."""
    effort = camera.effort
    lost = [one for one in camera.findings if one.kind in LOST and one.start and one.end]
    if not effort.photographs:
        return
    early = [one for one in lost if one.start == effort.start and one.end != effort.end]
    late = [one for one in lost if one.end == effort.end and one.start != effort.start]
    for one in early[:1]:
        if one.end is not None:
            yield _Change(PERIOD[0], one.end, one)
    for one in late[:1]:
        if one.start is not None:
            yield _Change(PERIOD[1], one.start, one)


def _cell(moment: datetime, old: str, zone: tzinfo | None) -> str:
    """A date, with a time zone if the old one has one."""
    parsed = parse_datetime(old) if old else None
    own = datetime.fromisoformat(parsed).tzinfo if parsed else None
    return moment.replace(tzinfo=own and (zone or own)).isoformat(timespec="seconds")
