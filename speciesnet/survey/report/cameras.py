"""The page of ``speciesnet cameras``: a timeline for each camera, with its findings."""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from speciesnet.errors import ImageError, OutputError, file_errors
from speciesnet.files.moved_photographs import Photographs
from speciesnet.images.decoding import read_small
from speciesnet.survey.camera_check import CheckedCamera
from speciesnet.survey.camera_findings import LOST, NAMES, Finding
from speciesnet.survey.report.folder import ReportFolder, check_report_folder
from speciesnet.survey.report.pages import Link, Pages, static_file
from speciesnet.survey.report.thumbnails import QUALITY, SIZE
from speciesnet.survey.survey import Survey

FIRST_PAGE = "index.html"
THUMBS = "thumbs"
MADE_BY = "speciesnet.scripts.cameras"
BARS = 180  # the most in a timeline
HEIGHT = 24.0  # of a timeline
STATIC = ("site.css", "theme.js")


@dataclass(frozen=True)
class Span:
    """A part of a timeline, in percent of its width.

    Attributes:
        left: Where it starts.
        width: How long it is.
    """

    left: float
    width: float


@dataclass(frozen=True)
class ShownFinding:
    """A finding as the page shows it.

    Attributes:
        number: Its number on the timeline, from 1.
        name: Its kind in words.
        note: The sentence about it.
        dates: Its start and end, or "".
        is_lost: Whether the camera saw nothing during this time.
        span: Its place on the timeline, or None.
        pictures: The thumbnails, each with its caption.
    """

    number: int
    name: str
    note: str
    dates: str
    is_lost: bool
    span: Span | None
    pictures: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class CameraCard:
    """A camera as the page shows it.

    Attributes:
        camera: The camera.
        period: Its period on the timeline, or None.
        bars: The columns of the timeline: their place, height, and height of the blanks.
        findings: What failed.
    """

    camera: CheckedCamera
    period: Span | None
    bars: Sequence[tuple[int, float, float]]
    findings: Sequence[ShownFinding]


@dataclass(frozen=True)
class Scale:
    """The time that all timelines of a page show.

    Attributes:
        start: The first day.
        days: The number of days.
    """

    start: date
    days: int

    @classmethod
    def of(cls, cameras: Sequence[CheckedCamera]) -> Scale | None:
        """The scale from the first to the last day of all cameras; None if there is no date."""
        moments = [m for c in cameras for m in (c.effort.start, c.effort.end) if m]
        days = [moment.date() for moment in moments] + [d for c in cameras for d in c.photographs]
        return cls(min(days), (max(days) - min(days)).days + 1) if days else None

    @property
    def bars(self) -> int:
        """The number of columns: one for each day, or for some days together."""
        return min(self.days, BARS)

    def column(self, day: date) -> int:
        """The column of a day."""
        return (day - self.start).days * self.bars // self.days

    def span(self, start: datetime | None, end: datetime | None) -> Span | None:
        """The place of a period, limited to the scale; a moment has no width."""
        if start is None:
            return None
        midnight = datetime.combine(self.start, datetime.min.time())
        left, right = (
            min(max((moment - midnight).total_seconds() / 864 / self.days, 0.0), 100.0)
            for moment in (start, max(end or start, start))
        )
        return Span(round(left, 2), round(right - left, 2))


def write_camera_page(
    cameras: Sequence[CheckedCamera],
    out: str | os.PathLike[str],
    photographs: Photographs,
    *,
    name: str = "predictions",
    made: date | None = None,
) -> Path:
    """Writes the page into a folder, replacing an earlier one.

    Args:
        cameras: The cameras.
        out: The folder; it is created if it does not exist.
        photographs: Finds the photographs that findings show.
        name: The name of the survey.
        made: The day to print on the page, or None.

    Raises:
        OutputError: The folder cannot be written, or contains other files.
        CredentialsError: The credentials for the bucket of a photograph have expired or are refused.
    """
    check_report_folder(out, MADE_BY, "--html")
    fix = "Fix the cause or pass a different folder to --html."
    with file_errors(OutputError, f"The page {out}", "written", fix):
        folder = ReportFolder(Path(out), MADE_BY)
        folder.remove_earlier_files()
        for static in STATIC:
            folder.write(f"static/{static}", static_file(static))
        cards = camera_cards(cameras, _Pictures(folder, photographs))
        menu = [Link(FIRST_PAGE, "Cameras", len(cameras))]
        pages = Pages(Survey(name, []), "report", menu, None if made is None else made.isoformat())
        scale = Scale.of(cameras)
        last = scale and date.fromordinal(scale.start.toordinal() + scale.days - 1)
        page = pages.render(
            "cameras.html", "Cameras that failed", FIRST_PAGE,
            failed=[card for card in cards if card.findings],
            healthy=[card for card in cards if not card.findings],
            kinds=Counter(NAMES[one.kind] for c in cameras for one in c.findings).most_common(),
            nights=sum(c.effort.nights or 0 for c in cameras),
            worked=sum(c.worked.nights or 0 for c in cameras),
            first=scale and scale.start, last=last, columns=scale.bars if scale else 1,
        )  # fmt: skip
        folder.write(FIRST_PAGE, page)
        folder.finish()
    return folder.path / FIRST_PAGE


def camera_cards(cameras: Sequence[CheckedCamera], pictures: _Pictures) -> list[CameraCard]:
    """The cameras of a page, in order."""
    scale = Scale.of(cameras)
    return [_card(one, scale, pictures) for one in cameras]


def _card(camera: CheckedCamera, scale: Scale | None, pictures: _Pictures) -> CameraCard:
    if scale is None:
        return CameraCard(camera, None, [], _shown(camera.findings, None, pictures))
    images, blanks = Counter[int](), Counter[int]()
    for day, count in camera.photographs.items():
        images[scale.column(day)] += count
        blanks[scale.column(day)] += camera.blanks[day]
    most = max(images.values(), default=1)
    bars = [
        (column, round(HEIGHT * count / most, 2), round(HEIGHT * blanks[column] / most, 2))
        for column, count in sorted(images.items())
    ]
    period = scale.span(camera.effort.start, camera.effort.end)
    return CameraCard(camera, period, bars, _shown(camera.findings, scale, pictures))


def _shown(
    findings: Sequence[Finding], scale: Scale | None, pictures: _Pictures
) -> list[ShownFinding]:
    shown = []
    for number, one in enumerate(findings, 1):
        is_lasting = one.kind in LOST or one.kind in ("blanks", "flash")
        days = [f"{moment:%Y-%m-%d}" for moment in (one.start, one.end) if moment]
        days = days if is_lasting else days[:1]
        span = scale.span(one.start, one.end if is_lasting else one.start) if scale else None
        files = [(one.before, "before"), (one.filepath, "after" if one.before else "then")]
        made = [(pictures.make(path), caption) for path, caption in files if path]
        shown.append(
            ShownFinding(
                number,
                NAMES[one.kind].capitalize(),
                one.note,
                " to ".join(dict.fromkeys(days)),
                one.kind in LOST,
                span,
                [(name, caption) for name, caption in made if name],
            )
        )
    return shown


class _Pictures:
    """Makes the thumbnails of a page, named after their contents."""

    def __init__(self, folder: ReportFolder, photographs: Photographs) -> None:
        self._folder = folder
        self._photographs = photographs
        self._made: dict[str, str] = {}

    def make(self, filepath: str) -> str:
        """The name of a thumbnail in the folder, or "" if the photograph cannot be read."""
        if filepath not in self._made:
            self._made[filepath] = self._written(filepath)
        return self._made[filepath]

    def _written(self, filepath: str) -> str:
        source = self._photographs.source(filepath)
        if source is None:
            return ""
        data = io.BytesIO()
        try:
            read_small(str(source), SIZE).save(data, "JPEG", quality=QUALITY)
        except ImageError:
            return ""
        content = data.getvalue()
        digest = hashlib.blake2b(content, digest_size=10).hexdigest()
        name = f"{THUMBS}/{digest[:2]}/{digest[2:]}.jpg"
        if name not in self._folder.files:
            self._folder.write(name, content)
        return name
