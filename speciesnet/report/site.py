"""Writes a survey as a folder of pages that open from disk, without a server or a network."""

from __future__ import annotations

import json
import os
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from speciesnet.constants import Classification
from speciesnet.errors import ImageError, OutputError
from speciesnet.files.paths import common_folder, path_parts
from speciesnet.files.storage import scheme_of
from speciesnet.progress import ProgressBars
from speciesnet.report import plots
from speciesnet.report.checks import LOW_SCORE, checks_of
from speciesnet.report.pages import STATIC, Link, counted, render, static_file
from speciesnet.report.payload import Payload, Shown, category_of_picture, label_key
from speciesnet.report.thumbnails import Thumbnails, people_of
from speciesnet.survey.photographs import Photographs
from speciesnet.survey.survey import Picture, Survey
from speciesnet.taxonomy import split_label

FIRST_PAGE = "index.html"
THUMBS = "thumbs"
MARKER = "report.json"  # by which a folder is known as an earlier report
_MADE_BY = "speciesnet.scripts.report"  # other programs may write a file of that name
MAX_FAILURES = 2000  # rows of the page of failures; the gallery has all
_TILES = (
    ("animal", "animals"), ("blank", "blank"), ("human", "people"), ("vehicle", "vehicles"),
    ("unknown", "unknown"), ("failed", "failed"),
)  # fmt: skip


@dataclass(frozen=True)
class Plot:
    """A plot: its title, its SVG in the page, and the file of it for print."""

    title: str
    svg: str
    file: str


@dataclass(frozen=True)
class Species:
    """One answer, and the pictures that have it.

    Attributes:
        label: Seven parts.
        url: Its page.
        pictures: Those pictures.
        cover: The thumbnail that stands for it, or "".
    """

    label: str
    url: str
    pictures: list[Picture]
    cover: str

    @property
    def name(self) -> str:
        """The common name, or the scientific one."""
        return split_label(self.label).name or self.label

    @property
    def scientific(self) -> str:
        """The scientific name, where it is not the name already."""
        name = split_label(self.label).scientific_name
        return "" if name.lower() == self.name.lower() else name

    @property
    def taxa(self) -> str:
        """Order and family."""
        parts = split_label(self.label)
        return ", ".join(part.capitalize() for part in (parts.order, parts.family) if part)

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return len(self.pictures)

    @property
    def sequences(self) -> int:
        """How many sequences they are from."""
        return len({picture.sequence for picture in self.pictures})

    @property
    def cameras(self) -> int:
        """How many folders they are from."""
        return len({picture.camera for picture in self.pictures})

    @property
    def mean(self) -> float | None:
        """The mean score of those that no person decided on."""
        scores = [picture.score for picture in self.pictures if picture.correction is None]
        return statistics.fmean(scores) if scores else None


def check_report_folder(out: str | os.PathLike[str]) -> None:
    """Raises ``OutputError`` for a folder that holds something else than a report."""
    if scheme_of(os.fspath(out)) is not None:
        raise OutputError(f"--out {out} is not on this computer; give a folder on a disk.")
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise OutputError(f"--out {out} is no folder; give another name.")
    if out.is_dir() and any(out.iterdir()) and _files_of(out) is None:
        raise OutputError(
            f"The folder {out} holds other files; give an empty or a new folder to --out."
        )


def _files_of(folder: Path) -> list[str] | None:
    """The files that an earlier report wrote there; None where there is none."""
    try:
        mark = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        if mark["made_by"] != _MADE_BY:
            return None
        names = [str(name) for name in mark["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return [name for name in names if path_parts(name) == tuple(name.split("/"))]  # none leads out


def write_report(
    survey: Survey,
    out: str | os.PathLike[str],
    photographs: Photographs,
    *,
    blur_humans: bool = False,
    threads: int = 2,
    made: date | None = None,
    progress_bars: bool = False,
    links: bool = True,
) -> Path:
    """Writes the pages. A report that is there is replaced; its thumbnails are used again.

    Args:
        survey: What they are about.
        out: Their folder; made if need be.
        photographs: Where the photographs are.
        blur_humans: Blurs people, and leads to no photograph of one.
        threads: How many thumbnails are made at once.
        made: The day that the pages tell; None leaves it out.
        progress_bars: Whether to show how far it is with the thumbnails, which take the time.
        links: Whether pages lead to the photographs, where these are on this computer.

    Returns:
        The first page.

    Raises:
        OutputError: The folder cannot be written, or holds something else.
        CredentialsError: Those for the bucket of a photograph have expired or are refused.
    """
    check_report_folder(out)
    out = Path(out)
    try:
        site = _Site(survey, out, photographs, blur_humans, made, links)
        return site.write(threads, progress_bars)
    except OSError as error:
        raise OutputError(
            f"The report {out} cannot be written ({error.strerror or error}); mend that, or give "
            "another folder to --out."
        ) from error


class _Site:
    def __init__(
        self,
        survey: Survey,
        out: Path,
        photographs: Photographs,
        blur_humans: bool,
        made: date | None,
        links: bool,
    ) -> None:
        self._survey = survey
        self._out = out
        self._blur_humans = blur_humans
        self._links = links
        self._made = None if made is None else made.isoformat()
        self._thumbnails = Thumbnails(out / THUMBS, photographs, blur_humans=blur_humans)
        self._shown: list[Shown] = []
        self._pages: list[Link] = []
        self._written: list[str] = []

    def write(self, threads: int, progress_bars: bool) -> Path:
        self._out.mkdir(parents=True, exist_ok=True)
        earlier = _files_of(self._out) or []
        self._mark(earlier)
        pictures = self._survey.pictures
        with ProgressBars(["Pictures"], len(pictures), progress_bars) as bars:
            made = self._thumbnails.make_all(pictures, threads, partial(bars.update, "Pictures"))
        self._shown = self._show(made)
        self._thumbnails.keep_only({shown.thumb for shown in self._shown})
        for name in earlier:
            (self._out / name).unlink(missing_ok=True)
        for name in STATIC:
            if name != "review.js":
                self._put(f"static/{name}", static_file(name))
        payload = Payload(self._survey, "report", self._camera_urls())
        self._put("data/survey.js", payload.header().encode())
        for number in range(payload.chunks):
            chunk = payload.chunk(number, self._shown.__getitem__)
            self._put(f"data/pictures-{number}.js", chunk.encode())
        self._write_pages()
        self._mark(self._written)
        return self._out / FIRST_PAGE

    def _put(self, name: str, data: bytes) -> None:
        path = self._out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self._written.append(name)

    def _mark(self, files: Sequence[str]) -> None:
        """Notes which files are the report's, so that nothing else is ever removed."""
        mark = json.dumps({"made_by": _MADE_BY, "files": files}, indent=0)
        (self._out / MARKER).write_text(mark, encoding="utf-8")

    def _show(self, made: Iterable[tuple[str, float] | ImageError]) -> list[Shown]:
        return [
            Shown(why=str(one), is_private=True)
            if isinstance(one, ImageError)
            else Shown(*one, is_private=self._blur_humans and bool(people_of(picture)))
            for picture, one in zip(self._survey.pictures, made, strict=True)
        ]

    def _camera_urls(self) -> dict[str, str]:
        """Where the photographs of each camera are, as seen from the pages."""
        if not self._links:
            return {}
        return {
            camera: _url_of_folder(folder, self._out)
            for camera, folder in self._thumbnails.sources.items()
        }

    def _write_pages(self) -> None:
        pictures = self._survey.pictures
        species = self._species()
        checks = sum(bool(checks_of(picture, self._survey)) for picture in pictures)
        failed = [p for p in pictures if category_of_picture(p) == "failed"]
        self._pages = [
            Link(FIRST_PAGE, "Overview"),
            Link("gallery.html", "Gallery", len(pictures)),
            Link("species.html", "Species", len(species)),
            Link("check.html", "Please check", checks),
            Link("failures.html", "Failures", len(failed)),
        ]
        self._page("overview.html", "Overview", FIRST_PAGE, self._overview(species))
        self._page("gallery.html", "Gallery", "gallery.html",
                   {"fixed": "", "sort": "file", "intro": ""})  # fmt: skip
        self._page("gallery.html", "Please check", "check.html",
                   {"fixed": "check=any", "sort": "unsure", "intro": _CHECK_INTRO})  # fmt: skip
        self._page("species.html", "Species", "species.html", {"species": species})
        for one in species:
            values = {
                "one": one,
                "fixed": urlencode({"label": label_key(one.label)}),
                "plots": self._plots_of_species(one),
            }
            self._page("one_species.html", one.name.capitalize(), "species.html", values, one.url)
        self._page("failures.html", "Failures", "failures.html", self._failures(failed))

    def _page(
        self, template: str, heading: str, current: str, values: dict[str, Any], url: str = ""
    ) -> None:
        page = render(
            template, heading, self._survey,
            mode="report", pages=self._pages, current=current, made=self._made, values=values,
        )  # fmt: skip
        self._put(url or current, page.encode())

    def _species(self) -> list[Species]:
        """All answers, the most frequent first."""
        by_label: dict[str, list[int]] = defaultdict(list)
        for position, picture in enumerate(self._survey.pictures):
            if picture.answer is not None:
                by_label[picture.answer].append(position)
        found: list[Species] = []
        taken: set[str] = set()
        for label, positions in sorted(by_label.items(), key=lambda item: -len(item[1])):
            pictures = [self._survey.pictures[position] for position in positions]
            cover = self._cover(label, positions)
            one = Species(label, "", pictures, cover)
            slug = re.sub(r"[^a-z0-9]+", "-", one.name.lower()).strip("-")[:60] or "answer"
            url = next(u for u in _names(f"species-{slug}") if u not in taken)
            taken.add(url)
            found.append(replace(one, url=url))
        return found

    def _cover(self, label: str, positions: list[int]) -> str:
        """The thumbnail with the best box; a blank needs none."""

        def clear(position: int) -> float:
            boxes = self._survey.pictures[position].boxes
            return boxes[0].conf if boxes else 0.0

        shown = [position for position in positions if self._shown[position].thumb]
        if not shown:
            return ""
        best = shown[0] if label == Classification.BLANK else max(shown, key=clear)
        return self._shown[best].thumb

    def _overview(self, species: Sequence[Species]) -> dict[str, Any]:
        pictures = self._survey.pictures
        counts = Counter(category_of_picture(picture) for picture in pictures)
        tiles = [{"url": "gallery.html", "kind": "", "count": len(pictures), "name": "images"}] + [
            {
                "url": f"gallery.html#category={kind}",
                "kind": kind,
                "count": counts[kind],
                "name": name,
            }
            for kind, name in _TILES
            if counts[kind] or kind != "unknown"
        ]
        agreement = _agreement(pictures)
        undated = sum(picture.taken is None for picture in pictures)
        unplaced = sum(picture.position is None for picture in pictures)
        without = [
            f"{count:,} images have no {what}" for count, what in
            ((undated, "date"), (unplaced, "position")) if count
        ]  # fmt: skip
        return {
            "tiles": tiles,
            "species": [one for one in species if one.label not in _NO_SPECIES],
            "plots": self._plots(species),
            "period": self._period(),
            "agreement": agreement,
            "reviewed": sum(picture.correction is not None for picture in pictures),
            "without": f"{' and '.join(without)}; they are not in the plots that need one."
            if without
            else "",
        }

    def _period(self) -> str:
        days = [picture.taken[:10] for picture in self._survey.pictures if picture.taken]
        cameras = {picture.camera for picture in self._survey.pictures}
        sequences = counted(len(self._survey.sequences), "sequence")
        where = f"{counted(len(cameras), 'folder')}, {sequences}"
        return f"{where}, from {min(days)} to {max(days)}." if days else f"{where}."

    def _plots(self, species: Sequence[Species]) -> list[Plot]:
        pictures = self._survey.pictures
        animals = [p for p in pictures if category_of_picture(p) == "animal"]
        counts = [(one.name, one.count) for one in species if one.label not in _NO_SPECIES]
        scores = [p.score for p in pictures if p.answer is not None and p.correction is None]
        found = []
        if counts:
            found.append(self._plot("Species by images", plots.species_bars(counts)))
        found += self._when(animals, "Animals by the hour")
        if days := _days(pictures):
            found.append(self._plot("Images over time", plots.timeline(days)))
        if points := self._points():
            found.append(self._plot("Where the cameras are", plots.position_map(points)))
        if scores:
            found.append(
                self._plot("How sure the answers are", plots.score_histogram(scores, LOW_SCORE))
            )
        return found

    def _plots_of_species(self, one: Species) -> list[Plot]:
        found = self._when(one.pictures, f"{one.name.capitalize()} by the hour")
        if days := _days(one.pictures):
            title = f"{one.name.capitalize()} over time"
            found.append(self._plot(title, plots.timeline(days)))
        return found

    def _when(self, pictures: Sequence[Picture], title: str) -> list[Plot]:
        # One visit counts once, however many images a camera takes of it.
        began: dict[int, str] = {}
        for picture in pictures:
            if picture.taken:
                first = began.get(picture.sequence, picture.taken)
                began[picture.sequence] = min(first, picture.taken)
        hours = [int(taken[11:13]) for taken in began.values()]
        return [self._plot(title, plots.hours_of_day(hours))] if hours else []

    def _plot(self, title: str, svg: str) -> Plot:
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:80]
        file = next(name for name in _names(f"plots/{slug}", ".svg") if name not in self._written)
        self._put(file, plots.for_print(svg).encode())
        return Plot(title, plots.for_page(svg, Path(file).stem, title), file)

    def _points(self) -> list[tuple[float, float, int, str]]:
        """Each place with a name: the folder that most of its pictures are in."""
        cameras: dict[tuple[float, float], Counter[str]] = defaultdict(Counter)
        for picture in self._survey.pictures:
            if picture.position is not None:
                cameras[picture.position][picture.camera] += 1
        shared = len(common_folder(p.filepath for p in self._survey.pictures))
        return [
            (*position, sum(names.values()), "/".join(path_parts(names.most_common(1)[0][0])[shared:]))
            for position, names in cameras.items()
        ]  # fmt: skip

    def _failures(self, failed: Sequence[Picture]) -> dict[str, Any]:
        why = {
            picture.filepath: shown.why
            for picture, shown in zip(self._survey.pictures, self._shown, strict=True)
            if shown.why
        }
        rows = [
            {
                "path": picture.filepath,
                "failed": ", ".join(name.lower() for name in picture.failures),
                "why": why.get(picture.filepath, "it can be read now: run the same command again"),
            }
            for picture in failed[:MAX_FAILURES]
        ]
        names = {picture.filepath for picture in failed}
        absent = [path for path in why if path not in names]
        return {
            "failures": rows,
            "more": max(0, len(failed) - MAX_FAILURES),
            "absent": {"count": len(absent), "example": absent[0], "why": why[absent[0]]}
            if absent
            else None,
        }


_NO_SPECIES = {Classification.BLANK, Classification.VEHICLE, Classification.UNKNOWN}
_CHECK_INTRO = (
    "Where a person should look: unsure answers first. What is confirmed or corrected in a review is "
    "not here any more."
)


def _names(stem: str, ending: str = ".html") -> Iterable[str]:
    """``stem.html``, ``stem-2.html`` and so on."""
    yield f"{stem}{ending}"
    number = 2
    while True:
        yield f"{stem}-{number}{ending}"
        number += 1


def _days(pictures: Sequence[Picture]) -> list[tuple[date, str]]:
    return [
        (date.fromisoformat(picture.taken[:10]), category_of_picture(picture))
        for picture in pictures
        if picture.taken
    ]


def _agreement(pictures: Sequence[Picture]) -> list[dict[str, Any]]:
    """How often people confirm each prediction, the most reviewed first."""
    by_label: dict[str, list[str]] = defaultdict(list)
    for picture in pictures:
        if picture.correction is not None and picture.correction.label and picture.label:
            by_label[picture.label].append(picture.correction.label)
    return [
        {
            "name": split_label(label).name,
            "reviewed": len(said),
            "confirmed": said.count(label),
            "instead": ", ".join(
                f"{split_label(other).name} {count:,}"
                for other, count in Counter(said).most_common(6)
                if other != label
            ),
        }
        for label, said in sorted(by_label.items(), key=lambda item: -len(item[1]))
    ]


def _url_of_folder(folder: Path, out: Path) -> str:
    """A relative address, so that photographs and report can move together; else a whole one."""
    folder, out = folder.resolve(), out.resolve()
    try:
        relative = Path(os.path.relpath(folder, out)).as_posix()
    except ValueError:  # another drive of Windows
        return f"{folder.as_uri()}/"
    return f"{quote(os.fsencode(relative))}/"
