"""Makes pages to look at from a predictions file and its photographs.

python -m speciesnet.scripts.report PREDICTIONS.json --out FOLDER
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

from absl import flags, logging

from speciesnet.errors import InputError
from speciesnet.scripts import console
from speciesnet.scripts.page_flags import BLUR_HUMANS, PAGE_FLAGS, threads
from speciesnet.scripts.predictions_files import IMAGE_ROOT, local_predictions
from speciesnet.scripts.remote_files import sent_folder
from speciesnet.scripts.survey_flags import load

OUT = flags.DEFINE_string(
    "out", None, "Folder for the pages: a new one, or an earlier report; a path or URL."
)

USAGE = """\
Makes a report: pages with the pictures of a survey, which open from disk.

  python -m speciesnet.scripts.report PREDICTIONS.json --out FOLDER

Then open FOLDER/index.html in a browser. Given again, it makes the report anew;
small pictures that are there are used again.

"""


def main(*files: str) -> None:
    """Loads the survey, and writes the pages."""
    from speciesnet.report.folder import MARKER, check_report_folder
    from speciesnet.report.site import FIRST_PAGE, THUMBS, write_report
    from speciesnet.survey.photographs import Photographs

    if len(files) != 1:
        raise InputError("Give one predictions file, such as predictions.json.")
    if OUT.value is None:
        raise InputError("Give the folder for the pages, such as --out report.")
    with sent_folder(OUT.value, last=FIRST_PAGE, mark=MARKER, unchanging=THUMBS) as out:
        check_report_folder(out)
        if out != OUT.value and BLUR_HUMANS.value and Path(out, MARKER).exists():
            logging.warning(
                "Pictures of the earlier report stay in %s, also such with people on them; give a new "
                "folder to --out if nobody is to be recognized there.",
                OUT.value,
            )
        with local_predictions(files[0]) as predictions:
            survey = load(predictions, Photographs(IMAGE_ROOT.value))
        photographs = Photographs(IMAGE_ROOT.value)  # which counts those that are shown
        write_report(
            survey,
            out,
            photographs,
            blur_humans=BLUR_HUMANS.value,
            threads=threads(),
            made=datetime.now().astimezone().date(),
            progress_bars=True,
            links=out == OUT.value,
        )
    photographs.warn_of_missing("the report shows no picture of them")
    is_url = "://" in OUT.value
    page = f"{OUT.value.rstrip('/')}/{FIRST_PAGE}" if is_url else Path(OUT.value) / FIRST_PAGE
    sys.stdout.write(f"Report of {len(survey.pictures)} images: {page}\n")


def cli() -> None:
    """The console command."""
    sys.exit(
        console.run(
            main,
            sys.argv,
            lambda topic: USAGE + console.describe_flags(["out", *PAGE_FLAGS]),
            files=1,
        )
    )


if __name__ == "__main__":
    cli()
