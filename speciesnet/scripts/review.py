"""Shows a survey in the browser, where a person confirms and corrects what is on its pictures.

python -m speciesnet.scripts.review PREDICTIONS.json
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from absl import flags

from speciesnet.errors import InputError
from speciesnet.files import storage
from speciesnet.scripts import console
from speciesnet.scripts.page_flags import BLUR_HUMANS, PAGE_FLAGS, threads
from speciesnet.scripts.predictions_files import CORRECTIONS, IMAGE_ROOT, local_predictions
from speciesnet.scripts.remote_files import must_be_here
from speciesnet.scripts.survey_flags import load

_PORT = flags.DEFINE_integer(
    "port", 8765, "Port of this computer to serve on.", lower_bound=1, upper_bound=65535
)
_REVIEWER = flags.DEFINE_string("reviewer", "", "Your name, which is kept with what you say.")

USAGE = """\
Shows a survey in the browser, to confirm and correct its answers.

  python -m speciesnet.scripts.review PREDICTIONS.json

Then open the address that it prints. Only this computer can. What you say goes
to PREDICTIONS.json.corrections.jsonl at once; the predictions never change. The
report and all exports take it in. Ctrl-C ends it.

"""


def main(*files: str) -> None:
    """Loads the survey, and serves it."""
    from speciesnet.constants import CORRECTIONS_ENDING
    from speciesnet.report.review import Review, make_app, serve, token_of
    from speciesnet.server.http import listen
    from speciesnet.survey.corrections import CorrectionsFile, corrections_path, read_corrections
    from speciesnet.survey.photographs import Photographs

    if len(files) != 1:
        raise InputError("Give one predictions file, such as predictions.json.")
    if CORRECTIONS.value == "none":
        raise InputError("A review needs a file of corrections; leave --corrections out.")
    if storage.scheme_of(files[0]) is not None and CORRECTIONS.value == "auto":
        raise InputError(
            f"{files[0]} is not on this computer, where what you say is written at once; give a file for "
            "that, such as --corrections corrections.jsonl, or download the predictions first."
        )
    must_be_here(
        "--corrections", CORRECTIONS.value, "give a file on a disk, and upload it after the review"
    )
    path = corrections_path(files[0]) if CORRECTIONS.value == "auto" else Path(CORRECTIONS.value)
    there = f"{files[0]}{CORRECTIONS_ENDING}"
    if storage.is_cloud(files[0]) and not path.exists() and storage.is_object(there):
        raise InputError(
            f"{there} holds what people have said already; download it, and give the copy to "
            "--corrections."
        )
    photographs = Photographs(IMAGE_ROOT.value)
    with (
        CorrectionsFile(path) as corrections,
        listen("127.0.0.1", _PORT.value) as listener,
        tempfile.TemporaryDirectory() as folder,
    ):
        with local_predictions(files[0]) as predictions:
            survey = load(predictions, photographs, read_corrections(path))
        token = token_of(files[0])
        app = make_app(
            Review(survey, corrections, _REVIEWER.value),
            photographs,
            folder,
            token=token,
            blur_humans=BLUR_HUMANS.value,
            threads=threads(),
        )
        photographs.warn_of_missing("there is no picture of them")
        sys.stdout.write(
            f"{len(survey.pictures)} images to review: http://127.0.0.1:{_PORT.value}/{token}/\n"
        )
        sys.stdout.flush()
        serve(app, listener)


def cli() -> None:
    """The console command."""
    sys.exit(
        console.run(
            main,
            sys.argv,
            lambda topic: USAGE + console.describe_flags(["port", "reviewer", *PAGE_FLAGS]),
            files=1,
        )
    )


if __name__ == "__main__":
    cli()
