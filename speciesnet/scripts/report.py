"""Makes pages to look at from a predictions file and its photographs.

python -m speciesnet.scripts.report PREDICTIONS.json --out FOLDER
"""

from __future__ import annotations

import sys
from datetime import datetime

from absl import flags

from speciesnet.errors import InputError
from speciesnet.scripts import console
from speciesnet.scripts.page_flags import BLUR_HUMANS, PAGE_FLAGS, threads
from speciesnet.scripts.predictions_files import IMAGE_ROOT
from speciesnet.scripts.survey_flags import load

OUT = flags.DEFINE_string("out", None, "Folder for the pages: a new one, or an earlier report.")

USAGE = """\
Makes a report: pages with the pictures of a survey, which open from disk.

  python -m speciesnet.scripts.report PREDICTIONS.json --out FOLDER

Then open FOLDER/index.html in a browser. Given again, it makes the report anew;
small pictures that are there are used again.

"""


def main(*files: str) -> None:
    """Loads the survey, and writes the pages."""
    from speciesnet.export.photographs import Photographs
    from speciesnet.report.site import check_report_folder, write_report

    if len(files) != 1:
        raise InputError("Give one predictions file, such as predictions.json.")
    if OUT.value is None:
        raise InputError("Give the folder for the pages, such as --out report.")
    check_report_folder(OUT.value)
    survey = load(files[0], Photographs(IMAGE_ROOT.value))
    photographs = Photographs(IMAGE_ROOT.value)  # which counts those that are shown
    page = write_report(
        survey,
        OUT.value,
        photographs,
        blur_humans=BLUR_HUMANS.value,
        threads=threads(),
        made=datetime.now().astimezone().date(),
        progress_bars=True,
    )
    photographs.warn_of_missing("the report shows no picture of them")
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
