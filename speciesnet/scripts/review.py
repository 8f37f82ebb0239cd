"""Serves a survey to a browser, to confirm and correct its answers: ``speciesnet review``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from speciesnet.constants import CORRECTIONS_ENDING
from speciesnet.errors import InputError, file_errors
from speciesnet.files import storage
from speciesnet.files.input_notes import counted, plural
from speciesnet.scripts import console, flags
from speciesnet.scripts.inputs import date_rules, local_predictions, stones_of, survey_of
from speciesnet.scripts.outputs import must_be_local

if TYPE_CHECKING:
    from speciesnet.survey.survey import Survey

PORT = flags.integer("port", 8765, "Port on this computer.", at_most=65535)
ONLY = flags.text(
    "filepaths_txt",
    "Show only the photographs listed in this text file, such as the one that evaluate "
    "--review_list writes.",
)
REVIEWER = flags.Flag("reviewer", "", "Your name, which is saved with your corrections.")

USAGE = """\
Shows a survey in the browser, to confirm and correct its answers.

  speciesnet review PREDICTIONS.json

Then open the printed address, which only this computer can reach. Every answer
is saved immediately, to PREDICTIONS.json.corrections.jsonl; the predictions
never change. Reports and exports apply the corrections. Press Ctrl-C to stop.
"""


def main(values: flags.Values, source: str) -> None:
    """Loads the survey and serves it."""
    from speciesnet.files.moved_photographs import Photographs
    from speciesnet.server.listening import listen, serve_alone
    from speciesnet.server.tokens import token_of
    from speciesnet.survey.corrections import CorrectionsFile, read_corrections
    from speciesnet.survey.report.review import Review, make_app

    path = corrections_to_write(values, source)
    port = values[PORT]
    photographs, only = Photographs(values[flags.IMAGE_ROOT]), _listed(values[ONLY])
    with (
        CorrectionsFile(path) as corrections,
        listen("127.0.0.1", port) as listener,
        tempfile.TemporaryDirectory() as folder,
    ):
        with local_predictions(source, values[flags.CORRECTIONS]) as predictions:
            dates = date_rules(values)
            known = read_corrections(path)
            survey = survey_of(predictions, values, photographs, known, dates, only=only)
            if only is not None:
                _check_all_found(survey, only, source)
            stones = stones_of(survey, predictions, str(path) if path.exists() else "none")
        token = token_of(source)
        app = make_app(
            Review(survey, corrections, values[REVIEWER], stones),
            photographs,
            folder,
            token=token,
            blur_humans=values[flags.BLUR_HUMANS],
            threads=flags.thumbnail_threads(values),
        )
        photographs.warn_of_missing("they are shown without pictures")
        sys.stdout.write(
            f"{counted(len(survey.pictures), 'image')} to review: http://127.0.0.1:{port}/{token}/\n"
        )
        if boxes := survey.followers:
            sys.stdout.write(
                f"{counted(boxes, 'box has a different answer', 'boxes have different answers')} in "
                "reports and exports, where doubtful boxes follow the reliable ones; a review shows the "
                "predictions.\n"
            )
        sys.stdout.write("".join(f"{note}\n" for note in dates.notes))
        sys.stdout.flush()
        serve_alone(app, listener)


def _listed(path: str | None) -> frozenset[str] | None:
    """The paths of a list, one in each line; None if there is no list."""
    if path is None:
        return None
    try:
        with file_errors(InputError, f"The list {path}"):
            listed = frozenset(filter(None, storage.read_text(path).splitlines()))
    except UnicodeDecodeError as error:
        raise InputError(f"The list {path} is not UTF-8 text. Pass one path per line.") from error
    if not listed:
        raise InputError(f"The list {path} is empty. Pass one path per line.")
    return listed


def _check_all_found(survey: Survey, only: Collection[str], source: str) -> None:
    """Raises ``InputError`` if photographs of a list are not in the predictions."""
    missing = sorted(set(only) - {picture.filepath for picture in survey.pictures})
    if missing:
        raise InputError(
            f"{len(missing)} of {counted(len(only), 'photograph')} of the list "
            f"{plural(len(missing), 'is', 'are')} not in {source}, such as {missing[0]}. Pass a list "
            "that evaluate wrote for these predictions."
        )


def corrections_to_write(values: flags.Values, source: str) -> Path:
    """The file to write corrections to; raises ``InputError`` if it is unknown or unsuitable."""
    from speciesnet.survey.corrections import corrections_path

    given = values[flags.CORRECTIONS]
    if given == "none":
        raise InputError("This command needs a file of corrections; leave --corrections out.")
    if storage.scheme_of(source) is not None and given == "auto":
        raise InputError(
            f"{source} is not on this computer, where corrections are saved; name a file for them, such "
            "as --corrections corrections.jsonl, or download the predictions first."
        )
    must_be_local("--corrections", given, "pass a file on a disk, and upload it after the review")
    path = corrections_path(source) if given == "auto" else Path(given)
    existing = f"{source}{CORRECTIONS_ENDING}"
    if storage.is_cloud(source) and not path.exists() and storage.is_object(existing):
        raise InputError(
            f"{existing} already contains corrections; download it, and pass the copy as --corrections."
        )
    return path


COMMAND = console.Command(
    main,
    USAGE,
    (PORT, REVIEWER, ONLY, *flags.PAGES),
    topics=flags.DATES,
    **console.ONE_PREDICTIONS_FILE,
)

if __name__ == "__main__":
    console.start(COMMAND)
