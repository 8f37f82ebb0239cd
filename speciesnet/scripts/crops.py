"""Writes a picture of each box: ``speciesnet crops``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from speciesnet.errors import InputError
from speciesnet.scripts import console, flags
from speciesnet.scripts.inputs import local_predictions
from speciesnet.scripts.outputs import sent_folder

if TYPE_CHECKING:
    from speciesnet.export.pictures import People

MIN_CONFIDENCE = flags.number(
    "min_confidence", 0.2, "Leave out boxes with a lower confidence.", at_most=1
)
PEOPLE: flags.Flag[People] = flags.choice(
    "people",
    ["leave_out", "include"],
    "leave_out: no pictures of people; people in the boxes of animals are blurred. include: pictures of "
    "people as well.",
)

USAGE = """\
Writes a JPEG of each box to FOLDER/ANSWER/path-boxN.jpg, and a list of them to
FOLDER/crops.jsonl. Running the same command again continues, or updates the
pictures whose answers have been corrected.

  speciesnet crops PREDICTIONS.json --out FOLDER
"""


def main(values: flags.Values, source: str) -> None:
    """Cuts the boxes out of one photograph after another."""
    from speciesnet.export.pictures import CROPS_LIST, write_crops
    from speciesnet.survey.corrections import find_corrections
    from speciesnet.survey.photographs import Photographs

    target = values[flags.OUT]
    if target is None:
        raise InputError("Give the folder for the pictures, such as --out crops.")
    photographs = Photographs(values[flags.IMAGE_ROOT])
    with (
        sent_folder(target, last=CROPS_LIST, mark=CROPS_LIST) as out,
        local_predictions(source, values[flags.CORRECTIONS]) as predictions,
    ):
        result = write_crops(
            predictions,
            find_corrections(predictions, values[flags.CORRECTIONS]),
            photographs,
            out,
            min_confidence=values[MIN_CONFIDENCE],
            people=values[PEOPLE],
            threads=flags.thumbnail_threads(values),
            progress_bars=True,
        )
    photographs.warn_of_missing("there are no new pictures of them")
    sys.stdout.write(
        f"Pictures of boxes in {target}: {result.done} written, {result.unchanged} there already, "
        f"{result.removed} outdated ones removed; {result.people} left out because of people.\n"
    )
    result.raise_if_skipped("photographs or boxes")


COMMAND = console.Command(
    main,
    USAGE,
    (
        flags.OUT.but(
            help="Folder (path or URL) for the pictures: a new one or an earlier output."
        ),
        MIN_CONFIDENCE,
        PEOPLE,
        flags.IMAGE_ROOT,
        flags.CORRECTIONS,
        flags.PICTURE_THREADS,
    ),
    files=1,
    missing="Give one predictions file, such as predictions.json.",
)

if __name__ == "__main__":
    console.start(COMMAND)
