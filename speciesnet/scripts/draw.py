"""Writes photographs with their boxes drawn: ``speciesnet draw``."""

from __future__ import annotations

import sys

from speciesnet.errors import InputError
from speciesnet.scripts import console, flags
from speciesnet.scripts.crops import MIN_CONFIDENCE
from speciesnet.scripts.inputs import local_predictions
from speciesnet.scripts.outputs import sent_folder

USAGE = """\
Writes a copy of each photograph that has boxes, with the boxes and their names,
to FOLDER/path, and a list of them to FOLDER/drawn.jsonl. Running the same
command again continues, or updates the pictures whose answers have been
corrected.

  speciesnet draw PREDICTIONS.json --out FOLDER
"""


def main(values: flags.Values, source: str) -> None:
    """Draws on one photograph after another."""
    from speciesnet.export.pictures import DRAWN_LIST, write_drawn
    from speciesnet.survey.corrections import find_corrections
    from speciesnet.survey.photographs import Photographs

    target = values[flags.OUT]
    if target is None:
        raise InputError("Give the folder for the pictures, such as --out drawn.")
    photographs = Photographs(values[flags.IMAGE_ROOT])
    with (
        sent_folder(target, last=DRAWN_LIST, mark=DRAWN_LIST) as out,
        local_predictions(source, values[flags.CORRECTIONS]) as predictions,
    ):
        result = write_drawn(
            predictions,
            find_corrections(predictions, values[flags.CORRECTIONS]),
            photographs,
            out,
            min_confidence=values[MIN_CONFIDENCE],
            blur_humans=values[flags.BLUR_HUMANS],
            threads=flags.thumbnail_threads(values),
            progress_bars=True,
        )
    photographs.warn_of_missing("there are no new pictures of them")
    sys.stdout.write(
        f"Pictures in {target}: {result.done} written, {result.unchanged} there already, "
        f"{result.removed} outdated ones removed; photographs without boxes: {result.without_boxes}.\n"
    )
    result.raise_if_skipped("photographs")


COMMAND = console.Command(
    main,
    USAGE,
    (
        flags.OUT.but(
            help="Folder (path or URL) for the pictures: a new one or an earlier output."
        ),
        MIN_CONFIDENCE,
        flags.BLUR_HUMANS,
        flags.IMAGE_ROOT,
        flags.CORRECTIONS,
        flags.PICTURE_THREADS,
    ),
    files=1,
    missing="Give one predictions file, such as predictions.json.",
)

if __name__ == "__main__":
    console.start(COMMAND)
