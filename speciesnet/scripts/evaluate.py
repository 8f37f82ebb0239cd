"""Measures how accurate the program is, by labels from people: ``speciesnet evaluate``."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from speciesnet.errors import InputError, OutputError, file_errors
from speciesnet.files.input_notes import counted
from speciesnet.scripts import console, flags
from speciesnet.scripts.inputs import date_rules, local_predictions, survey_of
from speciesnet.scripts.outputs import sent_file, sent_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from speciesnet.survey.evaluation.confusion import Clusters
    from speciesnet.survey.evaluation.result import Evaluation
    from speciesnet.survey.evaluation.taxa import Rank
    from speciesnet.survey.evaluation.thresholds import Bound
    from speciesnet.survey.survey import Survey

RANK: flags.Flag[Rank] = flags.choice(
    "rank",
    ["species", "genus", "family", "order", "class"],
    "Rank at which answers and labels are compared.",
)
CLUSTERS: flags.Flag[Clusters] = flags.choice(
    "clusters",
    ["sequence", "camera"],
    "Units that the intervals treat as independent; camera needs at least 20 cameras.",
)
LABEL_COLUMN = flags.text("label_column", "Column that contains the labels, if LABELS is a table.")
SKIP_UNKNOWN = flags.switch(
    "skip_unknown_labels", "Leave out labels that the model does not have, instead of stopping."
)
CSV = flags.text("csv", "Folder (path or URL) for tables of all results.")
JSON = flags.text("json", "File (path or URL) for all results.")
HTML = flags.text("html", "Folder (path or URL) for pages with plots and photographs.")
REVIEW_HOURS = flags.number(
    "review_hours",
    None,
    "Choose photographs to look at in this time, for the best estimate of the survey's accuracy.",
    at_most=1e5,
)
WANTED_ERROR = flags.number(
    "wanted_error",
    None,
    "Choose photographs to look at for an estimate with this error, such as 0.02 for 2 points.",
    at_most=1,
)
SECONDS_PER_IMAGE = flags.number(
    "seconds_per_image",
    3.0,
    "Time that a person needs for a photograph, in seconds.",
    at_most=1e5,
    at_least=0.01,
)
REVIEW_LIST = flags.text(
    "review_list", "Text file (path or URL) to write: the chosen paths, for review --filepaths_txt."
)
WANTED_PRECISION = flags.number(
    "wanted_precision",
    None,
    "Find, for each species, the lowest score above which this share of its answers is right.",
    at_most=1,
)
PRECISION_BOUND: flags.Flag[Bound] = flags.choice(
    "precision_bound",
    ["lower", "point"],
    "What must reach --wanted_precision. lower: the lower end of the 95% interval. point: the "
    "share of the labeled photographs.",
)
THRESHOLDS = flags.text(
    "thresholds", "CSV file (path or URL) to write: these scores, for --thresholds of the exports."
)

USAGE = """\
Measures how often the answers are right, by comparing them with labels from
people.

  speciesnet evaluate PREDICTIONS.json LABELS

LABELS is a CSV table with the columns file and label, a CSV export of
Timelapse, the corrections of a review, or the folder of a Camtrap DP package.
The default is the corrections next to the predictions.
"""


def main(values: flags.Values, source: str = "", labels: str = "") -> None:
    """Reads the survey and the labels, compares them, and writes the requested files."""
    from speciesnet.files.moved_photographs import Photographs
    from speciesnet.survey.corrections import Corrections, corrections_path
    from speciesnet.survey.evaluation.labels import read_labels
    from speciesnet.survey.evaluation.pairs import pair_up
    from speciesnet.survey.evaluation.result import evaluate
    from speciesnet.survey.evaluation.text import lines_of

    if not source:
        raise InputError(console.ONE_PREDICTIONS_FILE["missing"])
    _check(values, source, labels)
    with local_predictions(source, "none" if labels else "auto") as predictions:
        own = corrections_path(predictions)
        if not labels and not own.is_file():
            raise InputError(
                f"There are no corrections for {source}; pass labels as well, such as labels.csv."
            )
        written = read_labels(labels or str(own), values[LABEL_COLUMN])
        dates = date_rules(values)
        photographs = Photographs(values[flags.IMAGE_ROOT])
        survey = survey_of(
            predictions, values, photographs, Corrections(), dates, smooth_boxes=True
        )
    photographs.warn_of_missing(
        "those without a date in the predictions form sequences of one photograph"
    )
    pairs = pair_up(survey, written, skip_unknown=values[SKIP_UNKNOWN])
    evaluation = evaluate(survey, pairs, values[RANK], values[CLUSTERS])
    evaluation.notes.extend(dates.notes)
    _print(lines_of(evaluation))
    _write_numbers(values, evaluation)
    _write_thresholds(values, evaluation)
    _write_plan(values, survey, evaluation)
    if values[HTML]:
        _write_pages(values, survey, evaluation)


def _print(lines: Iterable[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _check(values: flags.Values, source: str, labels: str) -> None:
    """Raises ``InputError`` for flags that do not belong together."""
    from speciesnet.export.files import check_not_same

    for flag in (JSON, REVIEW_LIST, THRESHOLDS):
        if target := values[flag]:
            check_not_same(source, target)
            check_not_same(labels, target, "labels")
    goal = values[REVIEW_HOURS] is not None or values[WANTED_ERROR] is not None
    if goal != (values[REVIEW_LIST] is not None):
        raise InputError(
            "To choose what to look at, pass --review_list FILE and --review_hours or --wanted_error."
        )
    if (values[WANTED_PRECISION] is None) != (values[THRESHOLDS] is None):
        raise InputError("To find thresholds, pass both --wanted_precision and --thresholds FILE.")


def _write_numbers(values: flags.Values, evaluation: Evaluation) -> None:
    from speciesnet.export.tables import write_table
    from speciesnet.survey.evaluation.tables import as_json, tables_of

    if target := values[JSON]:
        _write_text(target, json.dumps(as_json(evaluation), indent=1) + "\n")
    if target := values[CSV]:
        with sent_folder(target, last="photographs.csv") as out:
            fix = "Pass a folder to --csv."
            with file_errors(OutputError, f"The folder {target}", "written", fix):
                Path(out).mkdir(parents=True, exist_ok=True)
            for table in tables_of(evaluation):
                write_table(table.rows, Path(out) / f"{table.name}.csv", table.types)


def _write_text(target: str, text: str) -> None:
    from speciesnet.export.files import output_file

    with sent_file(target) as out, output_file(out) as part:
        part.write_text(text, encoding="utf-8", errors="surrogatepass")


def _write_thresholds(values: flags.Values, evaluation: Evaluation) -> None:
    from speciesnet.export.tables import write_table
    from speciesnet.survey.evaluation.tables import thresholds_table
    from speciesnet.survey.evaluation.text import threshold_lines
    from speciesnet.survey.evaluation.thresholds import choose_thresholds

    wanted, target = values[WANTED_PRECISION], values[THRESHOLDS]
    if wanted is None or target is None:
        return
    chosen = choose_thresholds(evaluation.judged, wanted, values[PRECISION_BOUND])
    table = thresholds_table(chosen)
    with sent_file(target) as out:
        write_table(table.rows, out, table.types)
    _print(threshold_lines(chosen, wanted, target))


def _write_plan(values: flags.Values, survey: Survey, evaluation: Evaluation) -> None:
    from speciesnet.survey.evaluation.strata import paths_of, plan
    from speciesnet.survey.evaluation.text import plan_lines

    if (target := values[REVIEW_LIST]) is None:
        return
    made = plan(
        survey,
        evaluation.strata,
        seconds_per_image=values[SECONDS_PER_IMAGE],
        hours=values[REVIEW_HOURS],
        wanted_error=values[WANTED_ERROR],
    )
    _write_text(target, "".join(f"{path}\n" for path in paths_of(survey, made.sequences)))
    _print(plan_lines(made, target))


def _write_pages(values: flags.Values, survey: Survey, evaluation: Evaluation) -> None:
    from speciesnet.files.moved_photographs import Photographs
    from speciesnet.survey.report.evaluation import write_evaluation
    from speciesnet.survey.report.folder import MARKER, check_report_folder
    from speciesnet.survey.report.site import FIRST_PAGE, THUMBS

    target = values[HTML] or ""
    photographs = Photographs(values[flags.IMAGE_ROOT])
    with sent_folder(target, last=FIRST_PAGE, mark=MARKER, unchanging=THUMBS) as out:
        check_report_folder(out)
        write_evaluation(
            survey,
            evaluation,
            out,
            photographs,
            blur_humans=values[flags.BLUR_HUMANS],
            threads=flags.thumbnail_threads(values),
            made=datetime.now().astimezone().date(),
            links=out == target,
            progress_bars=True,
        )
    photographs.warn_of_missing("the pages show them without pictures")
    number = counted(len(evaluation.judged), "photograph")
    _print([f"Pages with {number}: {target.rstrip('/')}/{FIRST_PAGE}"])


COMMAND = console.Command(
    main,
    USAGE,
    (RANK, LABEL_COLUMN, SKIP_UNKNOWN, CSV, JSON, HTML),
    topics={
        "next": (
            "what to look at next",
            (REVIEW_HOURS, WANTED_ERROR, SECONDS_PER_IMAGE, REVIEW_LIST),
        ),
        "thresholds": (
            "minimum scores of species",
            (WANTED_PRECISION, PRECISION_BOUND, THRESHOLDS),
        ),
        "survey": (
            "sequences, photographs and pages",
            (CLUSTERS, flags.SEQUENCE_GAP, flags.SURVEY_MODEL, flags.IMAGE_ROOT,
             flags.BLUR_HUMANS, flags.THUMBNAIL_THREADS),
        ),
        **flags.DATES,
    },
    files=2,
)  # fmt: skip

if __name__ == "__main__":
    console.start(COMMAND)
