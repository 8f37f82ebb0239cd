"""Writes an evaluation as pages: the matrix, its photographs, tables and plots."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from speciesnet.errors import OutputError, file_errors
from speciesnet.files.moved_photographs import Photographs
from speciesnet.survey.evaluation.confusion import OUTCOMES, Outcome
from speciesnet.survey.evaluation.result import Evaluation
from speciesnet.survey.evaluation.taxa import Taxon
from speciesnet.survey.evaluation.text import bounds, interval, percent
from speciesnet.survey.report import evaluation_plots
from speciesnet.survey.report.folder import ReportFolder, check_report_folder
from speciesnet.survey.report.pages import Link, Pages
from speciesnet.survey.report.payload import Labelled
from speciesnet.survey.report.site import FIRST_PAGE, THUMBS, make_thumbnails, write_data
from speciesnet.survey.report.survey_plots import Plot, write_plot
from speciesnet.survey.report.thumbnails import Thumbnails
from speciesnet.survey.survey import Survey

_MOST = 40  # rows and columns of the matrix


@dataclass(frozen=True)
class Cell:
    """A cell of the matrix with photographs.

    Attributes:
        key: The numbers of its row and its column, which the gallery uses as a filter.
        name: Its label and its answer.
        count: The number of photographs.
        share: Their percentage of the row.
        outcome: How well these answers match their labels.
    """

    key: str
    name: str
    count: int
    share: int
    outcome: Outcome


@dataclass(frozen=True)
class MatrixRow:
    """A row of the matrix: a label.

    Attributes:
        name: The label.
        count: The number of photographs.
        cells: A cell for each column, or None if there are no photographs.
    """

    name: str
    count: int
    cells: list[Cell | None]


def write_evaluation(
    survey: Survey,
    evaluation: Evaluation,
    out: str | os.PathLike[str],
    photographs: Photographs,
    *,
    links: bool = True,
    blur_humans: bool = False,
    threads: int = 2,
    progress_bars: bool = False,
    made: date | None = None,
) -> Path:
    """Writes the pages, replacing earlier ones but reusing their thumbnails.

    Args:
        survey: The survey.
        evaluation: Its evaluation.
        out: The folder for the pages; it is created if it does not exist.
        photographs: Finds the photographs.
        links: Whether to link to the photographs that are on this computer.
        blur_humans: Whether to blur people, and not to link to photographs of them.
        threads: The number of thumbnails to make in parallel.
        progress_bars: Whether to show the progress of the thumbnails.
        made: The day to print on the pages; None prints no day.

    Returns:
        The first page.

    Raises:
        OutputError: The folder cannot be written, or contains other files.
        CredentialsError: The credentials for the bucket of a photograph have expired or are refused.
    """
    check_report_folder(out)
    pictures = [survey.pictures[one.pair.position] for one in evaluation.judged]
    labelled = replace(survey, pictures=pictures)
    fix = "Fix the cause or pass a different folder to --html."
    with file_errors(OutputError, f"The pages {out}", "written", fix):
        folder = ReportFolder(Path(out))
        thumbnails = Thumbnails(folder.path / THUMBS, photographs, blur_humans=blur_humans)
        previews = make_thumbnails(thumbnails, labelled, threads, progress_bars=progress_bars)
        folder.remove_earlier_files()
        cells = _cells(evaluation)
        sources = thumbnails.sources if links else {}
        write_data(labelled, folder, previews, sources, _labelled(evaluation, cells))
        _write_pages(labelled, evaluation, folder, cells, made)
        folder.finish()
    return folder.path / FIRST_PAGE


def _cells(evaluation: Evaluation) -> dict[tuple[Taxon, Taxon], Cell]:
    """The cells of the matrix with photographs, the largest first."""
    matrix = evaluation.confusion
    rows = {taxon: number for number, taxon in enumerate(matrix.rows)}
    columns = {taxon: number for number, taxon in enumerate(matrix.columns)}
    totals = {one.taxon: one.recall.total for one in evaluation.classes}
    return {
        (truth, predicted): Cell(
            key=f"{rows[truth]}-{columns[predicted]}",
            name=f"{evaluation.name_of(truth)} identified as {evaluation.name_of(predicted)}",
            count=len(members),
            share=round(100 * len(members) / max(totals.get(truth, 0), len(members))),
            outcome=evaluation.judged[members[0]].outcome,
        )
        for (truth, predicted), members in sorted(
            matrix.cells.items(), key=lambda item: -len(item[1])
        )
    }


def _labelled(evaluation: Evaluation, cells: Mapping[tuple[Taxon, Taxon], Cell]) -> list[Labelled]:
    return [
        Labelled(evaluation.name_of(one.truth), one.outcome, cells[one.truth, one.predicted].key)
        for one in evaluation.judged
    ]


def _write_pages(
    survey: Survey,
    evaluation: Evaluation,
    folder: ReportFolder,
    cells: Mapping[tuple[Taxon, Taxon], Cell],
    made: date | None,
) -> None:
    menu = [
        Link(FIRST_PAGE, "Evaluation"),
        Link("gallery.html", "Photographs", len(survey.pictures)),
    ]
    pages = Pages(survey, "report", menu, None if made is None else made.isoformat())
    matrix = evaluation.confusion
    columns = matrix.columns[:_MOST]
    rows = [
        MatrixRow(
            evaluation.name_of(truth),
            sum(matrix.count(truth, predicted) for predicted in matrix.columns),
            [cells.get((truth, predicted)) for predicted in columns],
        )
        for truth in matrix.rows[:_MOST]
    ]
    page = pages.render(
        "evaluation.html", "Evaluation", FIRST_PAGE,
        result=evaluation, rows=rows, columns=[*map(evaluation.name_of, columns)],
        hidden=max(len(matrix.rows), len(matrix.columns)) > _MOST,
        plots=_plots(evaluation, folder), interval=interval, percent=percent, bounds=bounds,
    )  # fmt: skip
    folder.write(FIRST_PAGE, page)
    name = "gallery.html"
    values = {"cells": [*cells.values()], "outcomes": OUTCOMES}
    folder.write(name, pages.render("labelled.html", "Photographs", name, **values))


def _plots(evaluation: Evaluation, folder: ReportFolder) -> Iterator[Plot]:
    classes = [
        (evaluation.name_of(one.taxon), one.precision, one.recall) for one in evaluation.classes
    ]
    svg = evaluation_plots.precision_and_recall(classes)
    yield write_plot(folder, "Precision and recall", svg, "precision and recall")
    if evaluation.bins:
        svg = evaluation_plots.reliability(evaluation.bins)
        yield write_plot(folder, "Reliability of the scores", svg, "reliability")
    if evaluation.blanks:
        svg = evaluation_plots.blanks(evaluation.blanks)
        yield write_plot(folder, "Throwing away blanks", svg, "blanks")
