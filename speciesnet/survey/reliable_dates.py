"""Which photographs of a camera have a reliable date, if its clock jumped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Literal, NamedTuple

from speciesnet.files.paths import with_slashes
from speciesnet.survey.dates import EARLIEST_YEAR, FUTURE
from speciesnet.survey.sequences import camera_folder, clock_time
from speciesnet.survey.timestamps import BACK, YEAR, file_number, is_full_circle

DAY = timedelta(days=1)
# A clock that loses power restarts at midnight on 1 January of some year.
AFTER_NEW_YEAR = timedelta(minutes=30)
SILENCE = timedelta(days=7)  # the minimum before such a restart at New Year
FIRST_DAYS = timedelta(days=2)  # after New Year, if the clock went back
EPOCH = datetime(1970, 1, 1)

Why = Literal["impossible", "back", "forward"]
Period = tuple[datetime | None, datetime | None]  # start and end, as far as they are known


class Taken(NamedTuple):
    """A photograph with a date.

    Attributes:
        moment: The date on the camera's clock.
        filepath: Its path in the predictions.
    """

    moment: datetime
    filepath: str


@dataclass(frozen=True)
class Jump:
    """A jump of a camera's clock.

    Attributes:
        before: The last photograph before it; None for a date that is impossible by itself.
        after: The first photograph after it.
        why: "impossible": before 2001 or in the future. "back": earlier than the camera's previous
            file. "forward": more than a year later, or to midnight of 1 January.
    """

    before: Taken | None
    after: Taken
    why: Why


@dataclass(frozen=True)
class CameraDates:
    """The dates of one camera.

    Attributes:
        camera: Its folder, see ``camera_folder``.
        reliable: The photographs with a reliable date, in chronological order.
        unreliable: The photographs with an unreliable date, in the order of the files.
        undated: The number of photographs without a date.
        jumps: The jumps of its clock, in the order of the files.
    """

    camera: str
    reliable: tuple[Taken, ...]
    unreliable: tuple[Taken, ...]
    undated: int
    jumps: tuple[Jump, ...]


def camera_dates(
    photographs: Iterable[tuple[str, str | None]],
    periods: Mapping[str, Sequence[Period]] | None = None,
    *,
    now: datetime | None = None,
) -> list[CameraDates]:
    """The dates of each camera, sorted into reliable and unreliable ones.

    The names of files show their order, see ``file_number``; if the camera did not number them, their
    dates show it. A run of files ends where the clock goes back by more than a day, forward by more
    than a year, or forward to New Year after a week of silence. The run with the most days is reliable;
    if there are periods of the camera's deployments, only days within these count. Runs whose dates
    continue it, at most a year away, are also reliable: later files with later dates, earlier files
    with earlier dates, and files that are numbered differently, unless unreliable dates are nearer.
    Runs that start at New Year after a jump, and dates before 2001 or in the future, are not reliable.

    Args:
        photographs: The path and the date, ISO 8601, of each photograph; in any order.
        periods: The periods of each camera's deployments, from a table; by camera.
        now: The time after which dates are in the future; by default the present.

    Raises:
        ValueError: A date is invalid.

    Examples:
        >>> taken = ["2024-05-01T06:30:00", "2024-05-03T08:00:00", "2018-01-01T00:05:00"]
        >>> files = [(f"cam1/IMG_000{i}.JPG", date) for i, date in enumerate(taken, 1)]
        >>> [camera] = camera_dates(files)
        >>> len(camera.reliable), [jump.why for jump in camera.jumps]
        (2, ['back'])
    """
    latest = (now or datetime.now(timezone.utc).replace(tzinfo=None)) + FUTURE
    dated: dict[str, list[Taken]] = defaultdict(list)
    undated: dict[str, int] = defaultdict(int)
    folders: dict[str, str] = {}
    for filepath, taken in photographs:
        folder = with_slashes(filepath).rpartition("/")[0]
        if folder not in folders:
            folders[folder] = "/".join(camera_folder(f"{folder}/"))
        camera = folders[folder]
        undated[camera] += taken is None
        if taken is not None:
            dated[camera].append(Taken(clock_time(taken), filepath))
    known = periods or {}
    return [
        _dates_of(camera, dated[camera], undated[camera], latest, known.get(camera, ()))
        for camera in sorted(undated)
    ]


@dataclass
class _Run:
    """Files between two jumps of the clock, in order."""

    series: int
    files: list[Taken]
    is_restart: bool = False

    def __post_init__(self) -> None:
        moments = [one.moment for one in self.files]
        self.start, self.end = min(moments), max(moments)
        self.days = len({moment.date() for moment in moments})

    def days_in(self, periods: Sequence[Period]) -> int:
        """The number of its days in these periods."""
        moments = [one.moment for one in self.files]
        return len({m.date() for m in moments if any(_is_in(m, period) for period in periods)})

    def distance(self, other: _Run) -> timedelta:
        """The time between two runs; 0 if they overlap."""
        return max(self.start - other.end, other.start - self.end, timedelta())


def _is_in(moment: datetime, period: Period) -> bool:
    start, end = period
    return (start is None or start <= moment) and (end is None or moment <= end)


def _dates_of(
    camera: str,
    found: Sequence[Taken],
    undated: int,
    latest: datetime,
    periods: Sequence[Period],
) -> CameraDates:
    possible: list[Taken] = []
    unreliable: list[Taken] = []
    for one in found:
        is_possible = one.moment.year >= EARLIEST_YEAR and one.moment <= latest
        (possible if is_possible else unreliable).append(one)
    unreliable.sort(key=lambda one: one.filepath)
    jumps = [Jump(None, unreliable[0], "impossible")] if unreliable else []
    runs: list[_Run] = []
    for number, ordered in enumerate(_series(possible)):
        jumps += _jumps(ordered)
        runs += _runs(number, ordered)
    chosen = _reliable(runs, periods)
    reliable = [one for run in runs if id(run) in chosen for one in run.files]
    unreliable += [one for run in runs if id(run) not in chosen for one in run.files]
    return CameraDates(camera, tuple(sorted(reliable)), tuple(unreliable), undated, tuple(jumps))


def _series(found: Iterable[Taken]) -> Iterator[list[Taken]]:
    """The photographs in the order of their files, for each folder and each start of their names."""
    groups: dict[tuple[str, str], list[tuple[int, Taken]]] = defaultdict(list)
    for one in found:
        start, number = file_number(one.filepath) or ("", 0)
        folder = with_slashes(one.filepath).rpartition("/")[0] if start else ""
        groups[folder, start].append((number, one))
    for (_, start), members in sorted(groups.items()):
        yield in_order(start, members)


def in_order(start: str, members: list[tuple[int, Taken]]) -> list[Taken]:
    """Photographs in the order of their files, or of their dates if the camera did not number them.

    Args:
        start: The start of their names, see ``file_number``; empty if there are no numbers.
        members: Their numbers, and the photographs; they are sorted.
    """
    members.sort()
    ordered = [one for _, one in members]
    seconds = [(one.moment - EPOCH).total_seconds() for one in ordered]
    if not start or is_full_circle([number for number, _ in members], seconds):
        ordered.sort()
    return ordered


def _why(one: Taken, other: Taken, back: timedelta) -> Why | None:
    """Why two files that follow each other show a jump, or None."""
    step = other.moment - one.moment
    if -step > back:
        return "back"
    starts_again = step > SILENCE and _is_new_year(other.moment)
    return "forward" if starts_again or step > timedelta(seconds=YEAR) else None


def _is_new_year(moment: datetime, after: timedelta = AFTER_NEW_YEAR) -> bool:
    return moment - moment.replace(month=1, day=1, hour=0, minute=0, second=0) < after


def _jumps(ordered: Sequence[Taken], back: timedelta = timedelta(seconds=BACK)) -> Iterator[Jump]:
    for one, other in pairwise(ordered):
        if why := _why(one, other, back):
            yield Jump(one, other, why)


def days_apart(ordered: Sequence[Taken]) -> Iterator[Jump]:
    """The jumps that affect days, unlike an hour of daylight saving time."""
    return _jumps(ordered, DAY)


def _runs(series: int, ordered: Sequence[Taken]) -> Iterator[_Run]:
    """The files between the jumps of ``days_apart``."""
    starts = [i for i in range(1, len(ordered)) if _why(ordered[i - 1], ordered[i], DAY)]
    for start, end in pairwise([0, *starts, len(ordered)]):
        is_back = start > 0 and ordered[start].moment < ordered[start - 1].moment
        after = FIRST_DAYS if is_back else AFTER_NEW_YEAR
        is_restart = start > 0 and _is_new_year(ordered[start].moment, after)
        yield _Run(series, list(ordered[start:end]), is_restart)


def _reliable(runs: Sequence[_Run], periods: Sequence[Period]) -> set[int]:
    """The runs with reliable dates, see ``camera_dates``, by their ``id``."""
    candidates = [run for run in runs if not run.is_restart] or list(runs)
    if not candidates:
        return set()
    best = max(candidates, key=lambda run: (run.days_in(periods), run.days, len(run.files)))
    year = timedelta(seconds=YEAR)
    own = [run for run in candidates if run.series == best.series]
    place = next(i for i, run in enumerate(own) if run is best)
    chosen, last = [best], best
    for run in own[place + 1 :]:
        if timedelta() <= run.start - last.end <= year:
            chosen.append(last := run)
    last = best
    for run in own[:place][::-1]:
        if timedelta() <= last.start - run.end <= year:
            chosen.append(last := run)
    known = {id(run) for run in chosen}
    others = [r for r in runs if r.series == best.series and id(r) not in known]
    others += [run for run in runs if run.is_restart and id(run) not in known]
    for run in candidates:
        near = min(map(run.distance, chosen))
        is_nearer = near < min(map(run.distance, others), default=timedelta.max)
        if run.series != best.series and near <= year and is_nearer:
            known.add(id(run))
    return known
