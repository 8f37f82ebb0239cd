"""Writes a survey as a folder of pages that open from disk, without a server or a network."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from itertools import chain
from pathlib import Path
from urllib.parse import quote

from speciesnet.errors import OutputError, file_errors
from speciesnet.files.moved_photographs import Photographs
from speciesnet.pipeline.progress import ProgressBars
from speciesnet.survey.report.checks import open_checks
from speciesnet.survey.report.ecology import ECOLOGY_HEADING, ECOLOGY_PAGE, ecology_page
from speciesnet.survey.report.folder import ReportFolder, check_report_folder
from speciesnet.survey.report.pages import STATIC, Link, Pages, static_file
from speciesnet.survey.report.payload import (
    Labelled,
    Payload,
    categories_of_picture,
    category_of_picture,
    label_key,
)
from speciesnet.survey.report.species import Species, agreement_with_reviewers, group_by_species
from speciesnet.survey.report.stones import STONES_HEADING, STONES_PAGE, stone_cards, stones_link
from speciesnet.survey.report.survey_plots import SurveyPlots
from speciesnet.survey.report.thumbnails import Preview, Thumbnails
from speciesnet.survey.stones import Stone
from speciesnet.survey.survey import Survey

FIRST_PAGE = "index.html"
THUMBS = "thumbs"


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
    stones: Sequence[Stone] = (),
) -> Path:
    """Writes the pages, replacing an earlier report but reusing its thumbnails.

    Args:
        survey: The survey.
        out: The folder for the pages; it is created if it does not exist.
        photographs: Finds the photographs.
        blur_humans: Whether to blur people and leave out links to photographs of people.
        threads: The number of thumbnails to make in parallel.
        made: The day to print on the pages; None prints no day.
        progress_bars: Whether to show the progress of the thumbnails, which take most of the time.
        links: Whether to link to the photographs that are on this computer.
        stones: Boxes that never move.

    Returns:
        The first page.

    Raises:
        OutputError: The folder cannot be written, or contains other files.
        CredentialsError: The credentials for the bucket of a photograph have expired or are refused.
    """
    check_report_folder(out)
    fix = "Fix the cause or pass a different folder to --out."
    with file_errors(OutputError, f"The report {out}", "written", fix):
        folder = ReportFolder(Path(out))
        thumbnails = Thumbnails(folder.path / THUMBS, photographs, blur_humans=blur_humans)
        previews = make_thumbnails(thumbnails, survey, threads, progress_bars=progress_bars)
        folder.remove_earlier_files()
        write_data(survey, folder, previews, thumbnails.sources if links else {})
        _write_pages(survey, folder, previews, made, stones)
        folder.finish()
    return folder.path / FIRST_PAGE


def make_thumbnails(
    thumbnails: Thumbnails, survey: Survey, threads: int, *, progress_bars: bool
) -> list[Preview]:
    """Makes the thumbnails of a survey, and removes all others.

    Args:
        thumbnails: The folder of thumbnails.
        survey: The survey.
        threads: The number of thumbnails to make in parallel.
        progress_bars: Whether to show the progress.

    Returns:
        How the pages show each picture.
    """
    with ProgressBars(["Thumbnails"], len(survey.pictures), progress_bars) as bars:
        on_made = partial(bars.update, "Thumbnails")
        previews = thumbnails.previews(survey.pictures, threads, on_made)
    thumbnails.keep_only({preview.thumbnail for preview in previews})
    return previews


def write_data(
    survey: Survey,
    folder: ReportFolder,
    previews: Sequence[Preview],
    sources: Mapping[str, Path],
    labelled: Sequence[Labelled] = (),
) -> None:
    """Writes scripts, style sheet and the data of the gallery.

    Args:
        survey: The survey.
        folder: The folder of the pages.
        previews: How the pages show each picture.
        sources: The photographs' folders to link, by camera.
        labelled: The label of a person for each picture, for the pages of an evaluation.
    """
    for name in STATIC:
        if not name.startswith("review"):
            folder.write(f"static/{name}", static_file(name))
    urls = {camera: _folder_url(source, folder.path) for camera, source in sources.items()}
    payload = Payload(survey, "report", urls, labelled)
    folder.write("data/survey.js", payload.header().encode())
    for number in range(payload.chunks):
        chunk = payload.chunk(number, previews.__getitem__)
        folder.write(f"data/pictures-{number}.js", chunk.encode())


def _write_pages(
    survey: Survey,
    folder: ReportFolder,
    previews: Sequence[Preview],
    made: date | None,
    stones: Sequence[Stone],
) -> None:
    pictures = survey.pictures
    species = group_by_species(survey, previews)
    failed = [p for p in pictures if category_of_picture(p) == "failed"]
    ecology = ecology_page(survey)
    menu = [
        Link(FIRST_PAGE, "Overview"),
        Link("gallery.html", "Gallery", len(pictures)),
        Link("species.html", "Species", len(species)),
        *([Link(ECOLOGY_PAGE, ECOLOGY_HEADING)] if ecology else []),
        Link("check.html", "Please check", sum(bool(open_checks(p, survey)) for p in pictures)),
        Link("failures.html", "Failures", len(failed)),
        *stones_link(stones),
    ]
    pages = Pages(survey, "report", menu, None if made is None else made.isoformat())
    plots = SurveyPlots(survey, folder)
    overview = pages.render(
        "overview.html", "Overview", FIRST_PAGE,
        counts=Counter(chain.from_iterable(map(categories_of_picture, pictures))),
        cameras=len({picture.camera for picture in pictures}),
        sequences=len(survey.sequences),
        days=[picture.taken[:10] for picture in pictures if picture.taken],
        species=[one for one in species if one.is_species],
        plots=plots.of_survey(species),
        undated=sum(picture.taken is None for picture in pictures),
        unplaced=sum(picture.position is None for picture in pictures),
        reviewed=sum(picture.correction is not None for picture in pictures),
        agreement=agreement_with_reviewers(pictures),
    )  # fmt: skip
    folder.write(FIRST_PAGE, overview)
    for name, title in (("gallery.html", "Gallery"), ("check.html", "Please check")):
        folder.write(name, pages.render(name, title, name))
    _write_species(species, folder, pages, plots)
    if ecology:
        values = {"page": ecology, **plots.of_ecology(ecology)}
        folder.write(
            ECOLOGY_PAGE, pages.render(ECOLOGY_PAGE, ECOLOGY_HEADING, ECOLOGY_PAGE, **values)
        )
    problems = {
        picture.filepath: preview.problem
        for picture, preview in zip(pictures, previews, strict=True)
        if preview.problem
    }
    paths = {picture.filepath for picture in failed}
    missing = [path for path in problems if path not in paths]
    name = "failures.html"
    values = {"failed": failed, "problems": problems, "missing": missing}
    folder.write(name, pages.render(name, "Failures", name, **values))
    if stones:
        name, cards = STONES_PAGE, stone_cards(survey, stones, previews.__getitem__)
        folder.write(name, pages.render(name, STONES_HEADING, name, cards=cards))


def _write_species(
    species: Sequence[Species], folder: ReportFolder, pages: Pages, plots: SurveyPlots
) -> None:
    """Writes the list of species and a page for each."""
    name = "species.html"
    folder.write(name, pages.render(name, "Species", name, species=species))
    for one in species:
        title, key = one.name.capitalize(), label_key(one.label)
        values = {"one": one, "key": key, "plots": plots.of_species(one)}
        folder.write(one.url, pages.render("one_species.html", title, name, **values))


def _folder_url(folder: Path, out: Path) -> str:
    """Returns a relative URL if possible, so that photographs and report can be moved together."""
    folder, out = folder.resolve(), out.resolve()
    try:
        relative = Path(os.path.relpath(folder, out)).as_posix()
    except ValueError:  # another drive on Windows
        return f"{folder.as_uri()}/"
    return f"{quote(os.fsencode(relative))}/"
