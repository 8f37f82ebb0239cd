"""Signs that a camera failed, in the dates and answers of its photographs.

The rules compare a camera with itself: what is usual differs between a waterhole and a mountain ridge.
Their thresholds were tuned on rendered cameras; see ``docs/cameras.md``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import groupby, pairwise
from statistics import median
from typing import Literal

from speciesnet.files.input_notes import counted
from speciesnet.files.paths import file_name
from speciesnet.survey.effort import CameraEffort, Gap
from speciesnet.survey.reliable_dates import CameraDates, Jump, Taken

Kind = Literal["clock", "stopped", "silence", "covered", "view", "flash", "blanks"]
NAMES: Mapping[Kind, str] = {
    "clock": "clock jumped",
    "stopped": "stopped early",
    "silence": "no photographs",
    "covered": "lens covered",
    "view": "view changed",
    "flash": "no flash",
    "blanks": "many blanks",
}
# During these, the camera saw nothing: their nights do not count as worked.
LOST: frozenset[Kind] = frozenset({"stopped", "silence", "covered"})

STOPPED_DAYS = 3  # without photographs before the end of a deployment
SILENT_DAYS = 7  # without photographs before or between others
LONGER = 3  # times the usual longest silence
LONGEST = 1.5  # times the longest of the other silences
BOUTS = 0.5  # animals come in bouts, so days with photographs are sometimes rarer than their share
CHANCE = 1e-3  # the probability that a camera with this share of active days is silent for so long
FEW = 10  # with fewer silences, the longest one is usual; otherwise, the third longest
FLOOD_BLANKS = 100  # in a day
FLOOD_FACTOR = 10  # times the usual number per day
FLOOD_SHARE = 0.8  # of all photographs of the day
BUSY_HOUR = 20  # blanks in an hour that belongs to the flood
MANY_JUMPS = 3  # more than these are one finding


@dataclass(frozen=True)
class Finding:
    """A sign that a camera failed.

    Attributes:
        camera: Its folder, see ``camera_folder``.
        deployment: The name of its deployment, or None if there is no table.
        kind: What happened, see ``NAMES``.
        start: When it started, on the camera's clock; None if the clock does not show it.
        end: When it ended, or None.
        photographs: The number of photographs that show it; 0 for a silence.
        note: A sentence about it.
        filepath: A photograph that shows it; empty for a silence.
        before: A photograph from before it, or empty.
    """

    camera: str
    deployment: str | None
    kind: Kind
    start: datetime | None
    end: datetime | None
    photographs: int
    note: str
    filepath: str = ""
    before: str = ""

    @property
    def gap(self) -> Gap | None:
        """The lost time; None if the camera still saw something, or if the time is unknown."""
        if self.kind not in LOST or self.start is None or self.end is None:
            return None
        return Gap(self.start, self.end)


def clock_findings(camera: CameraDates) -> Iterator[Finding]:
    """One finding per jump of a clock, or one for all of a kind if there are many."""
    lost = ""
    if camera.unreliable:
        have = counted(len(camera.unreliable), "photograph has", "photographs have")
        lost = f" {have} no reliable date."

    def found(jump: Jump, note: str) -> Finding:
        start = jump.before.moment if jump.before else None
        before = jump.before.filepath if jump.before else ""
        photographs = len(camera.unreliable)
        return Finding(
            camera.camera, None, "clock", start, None, photographs, note + lost,
            jump.after.filepath, before,
        )  # fmt: skip

    for _, group in groupby(sorted(camera.jumps, key=lambda j: j.why), key=lambda j: j.why):
        jumps = list(group)
        if len(jumps) > MANY_JUMPS:
            yield found(jumps[0], f"{len(jumps)} jumps. The first: {_about(jumps[0])}")
        else:
            yield from (found(jump, _about(jump)) for jump in jumps)


def _about(jump: Jump) -> str:
    name, moment = file_name(jump.after.filepath), f"{jump.after.moment:%Y-%m-%d %H:%M}"
    if jump.before is None:
        return f"Some dates are impossible, such as {moment} ({name})."
    step = abs(jump.after.moment - jump.before.moment)
    way = "went back" if jump.why == "back" else "jumped forward"
    earlier = f"{jump.before.moment:%Y-%m-%d %H:%M}"
    return f"The clock {way} by {duration(step)}, from {earlier} to {moment} ({name})."


def duration(length: timedelta) -> str:
    """A length of time in days or, if it is short, in hours or minutes.

    Examples:
        >>> duration(timedelta(days=2, hours=3)), duration(timedelta(minutes=55))
        ('2 days', '55 minutes')
    """
    if length >= timedelta(days=1):
        return counted(length.days, "day")
    minutes = round(length.total_seconds() / 60)
    return counted(minutes // 60, "hour") if minutes >= 60 else counted(minutes, "minute")


def silence_findings(effort: CameraEffort, taken: Sequence[Taken]) -> Iterator[Finding]:
    """Times without photographs that are far longer than usual for the camera.

    A silence counts if it lasts at least ``SILENT_DAYS`` (``STOPPED_DAYS`` if it reaches the end of the
    deployment) and ``LONGER`` times the usual longest silence, and if its probability is below
    ``CHANCE`` for a camera with the same share of active days as this one has outside the silence. The
    time before the first photograph and after the last one is known only from a table.

    Args:
        effort: The camera and its period.
        taken: Its photographs with reliable dates, in chronological order.
    """
    if not taken:
        if effort.start and effort.end and effort.end - effort.start >= timedelta(STOPPED_DAYS):
            note = f"There are no photographs from {duration(effort.end - effort.start)}."
            yield _silence(effort, "stopped", effort.start, effort.end, note)
        return
    first, last = taken[0].moment, taken[-1].moment
    days = sorted({one.moment.date() for one in taken})
    gaps = [(other - one).days for one, other in pairwise(days)]
    ends = {one.moment.date(): one.moment for one in taken}  # the last of each day
    starts = {one.moment.date(): one.moment for one in reversed(taken)}  # the first
    found: list[int] = []
    for i in sorted(range(len(gaps)), key=lambda i: -gaps[i]):
        others = [gap for j, gap in enumerate(gaps) if j != i and j not in found]
        if gaps[i] < SILENT_DAYS or not _is_unusual(gaps[i], others):
            break
        found.append(i)
        yield _silence(effort, "silence", ends[days[i]], starts[days[i + 1]], _usual(others))
    usual = [gap for j, gap in enumerate(gaps) if j not in found]
    if effort.start_from == "table" and effort.start:
        length = (first - effort.start).days
        if length >= SILENT_DAYS and _is_unusual(length, usual):
            yield _silence(effort, "silence", effort.start, first, _usual(usual))
    if effort.end_from == "table" and effort.end:
        length = (effort.end - last).days
        if length >= STOPPED_DAYS and _is_unusual(length, usual):
            yield _silence(effort, "stopped", last, effort.end, _usual(usual))


def _is_unusual(length: int, others: Sequence[int]) -> bool:
    """Whether a silence of so many days is unusual, compared with the camera's other silences."""
    active, days = len(others) + 1, sum(others) + 1
    share = (active + 1) / (days + 2) * BOUTS
    is_longer = length > max(LONGER * _longest(others), LONGEST * max(others, default=0))
    return is_longer and (1 - share) ** length < CHANCE


def _longest(silences: Sequence[int]) -> int:
    ordered = sorted(silences, reverse=True)
    return ordered[0 if len(ordered) < FEW else 2] if ordered else 1


def _usual(others: Sequence[int]) -> str:
    return f"Other gaps of this camera last at most {counted(max(others, default=1), 'day')}."


def _silence(
    effort: CameraEffort, kind: Kind, start: datetime, end: datetime, usual: str
) -> Finding:
    until = " before the end of the deployment" if kind == "stopped" else ""
    note = f"No photographs for {duration(end - start)}{until}. {usual}"
    if not effort.photographs:
        note = usual
    return Finding(effort.camera, effort.deployment, kind, start, end, 0, note)


def blanks_by_day(taken: Sequence[Taken], blanks: Collection[str]) -> Counter[date]:
    """The number of blank photographs of each day with photographs."""
    found = Counter({one.moment.date(): 0 for one in taken})
    found.update(one.moment.date() for one in taken if one.filepath in blanks)
    return found


def usual_blanks(taken: Sequence[Taken], blanks: Collection[str]) -> float:
    """The median number of blanks per day, between the first and the last photograph."""
    if not taken:
        return 0.0
    days = (taken[-1].moment.date() - taken[0].moment.date()).days + 1
    counts = list(blanks_by_day(taken, blanks).values())
    return median(counts + [0] * (days - len(counts)))


def flood_findings(
    effort: CameraEffort, taken: Sequence[Taken], blanks: Collection[str], others: float
) -> Iterator[Finding]:
    """Days with far more blanks than usual, for example from a branch in the wind.

    Such a day has at least ``FLOOD_BLANKS`` blanks and ``FLOOD_FACTOR`` times the usual number, and
    blanks are at least ``FLOOD_SHARE`` of its photographs. The usual number is the median of the
    camera's days, or that of all cameras if it is lower. Consecutive days are one finding.

    Args:
        effort: The camera and its period.
        taken: Its photographs with reliable dates, in chronological order.
        blanks: The paths of blank photographs.
        others: The median of the usual numbers of all cameras of the survey.
    """
    usual = min(usual_blanks(taken, blanks), others)
    least = max(FLOOD_BLANKS, FLOOD_FACTOR * usual)
    all_by_day = Counter(one.moment.date() for one in taken)
    by_day = blanks_by_day(taken, blanks)
    days = sorted(
        day
        for day, count in by_day.items()
        if count >= least and count >= FLOOD_SHARE * all_by_day[day]
    )
    for period in _consecutive(days):
        inside = {*period}
        shown = [o for o in taken if o.moment.date() in inside and o.filepath in blanks]
        hours = Counter(datetime.combine(o.moment.date(), time(o.moment.hour)) for o in shown)
        busy = {hour for hour, count in hours.items() if count >= BUSY_HOUR} or hours.keys()
        flood = [o for o in shown if datetime.combine(o.moment.date(), time(o.moment.hour)) in busy]
        peak, most = hours.most_common(1)[0]
        note = (
            f"{counted(len(flood), 'blank')}, up to {most} in the hour from {peak:%Y-%m-%d %H:%M}; "
            f"the usual number is {usual:g} a day."
        )
        yield Finding(
            effort.camera, effort.deployment, "blanks", flood[0].moment, flood[-1].moment,
            len(flood), note, flood[len(flood) // 2].filepath,
        )  # fmt: skip


def _consecutive(days: Sequence[date]) -> Iterator[list[date]]:
    group: list[date] = []
    for day in days:
        if group and day - group[-1] > timedelta(days=1):
            yield group
            group = []
        group.append(day)
    if group:
        yield group
