"""Makes a report, pages about a survey and its photographs: ``speciesnet report``."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

from absl import logging

from speciesnet.errors import InputError
from speciesnet.files.input_notes import counted
from speciesnet.scripts import console, flags
from speciesnet.scripts.inputs import chosen_predictions, date_rules, stones_of, survey_of
from speciesnet.scripts.outputs import sent_folder

USAGE = """\
Makes a report: pages with a survey's photographs that open directly from disk.

  speciesnet report PREDICTIONS.json --out FOLDER

Then open FOLDER/index.html in a browser. Running the same command again
updates the report and reuses its thumbnails.
"""


def main(values: flags.Values, source: str) -> None:
    """Loads the survey and writes the pages."""
    from speciesnet.files.moved_photographs import Photographs
    from speciesnet.survey.report.folder import MARKER, check_report_folder
    from speciesnet.survey.report.site import FIRST_PAGE, THUMBS, write_report

    target = values[flags.OUT]
    if target is None:
        raise InputError("Pass the folder for the pages, such as --out report.")
    with sent_folder(target, last=FIRST_PAGE, mark=MARKER, unchanging=THUMBS) as out:
        check_report_folder(out)
        if out != target and values[flags.BLUR_HUMANS] and Path(out, MARKER).exists():
            logging.warning(
                "The pictures of the earlier report stay in %s, including those of people; pass --out a "
                "new folder if nobody should be recognizable there.",
                target,
            )
        with chosen_predictions(source, values) as predictions:
            dates = date_rules(values)
            survey = survey_of(
                predictions,
                values,
                Photographs(values[flags.IMAGE_ROOT]),
                dates=dates,
                smooth_boxes=values[flags.SMOOTH_BOXES],
            )
            stones = stones_of(survey, predictions, values[flags.CORRECTIONS])
        photographs = Photographs(values[flags.IMAGE_ROOT])  # it counts those that are shown
        write_report(
            survey,
            out,
            photographs,
            blur_humans=values[flags.BLUR_HUMANS],
            threads=flags.thumbnail_threads(values),
            made=datetime.now().astimezone().date(),
            progress_bars=True,
            links=out == target,
            stones=stones,
        )
    photographs.warn_of_missing("the report shows them without pictures")
    is_url = "://" in target
    page = f"{target.rstrip('/')}/{FIRST_PAGE}" if is_url else Path(target) / FIRST_PAGE
    sys.stdout.write(f"Report of {counted(len(survey.pictures), 'image')}: {page}\n")
    sys.stdout.write("".join(f"{note}\n" for note in dates.notes))


COMMAND = console.Command(
    main,
    USAGE,
    (
        flags.OUT.but(help="Folder (path or URL) for the pages: a new one or an earlier report."),
        *flags.PAGES,
        *(flags.THRESHOLDS, flags.SMOOTH_BOXES),
    ),
    topics=flags.DATES,
    **console.ONE_PREDICTIONS_FILE,
)

if __name__ == "__main__":
    console.start(COMMAND)
