"""Writes a picture of each box: ``speciesnet crops``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from speciesnet.files.input_notes import counted
from speciesnet.scripts import console, flags
from speciesnet.scripts.picture_files import MIN_CONFIDENCE, OUT, written

if TYPE_CHECKING:
    from speciesnet.export.pictures import People

PEOPLE: flags.Flag[People] = flags.choice(
    "people",
    ["leave_out", "include"],
    "leave_out: no pictures of people; people in the boxes of animals are blurred. include: pictures of "
    "people as well.",
)

USAGE = """\
Writes a JPEG of each box to FOLDER/ANSWER/path-boxN.jpg, and a list of them to
FOLDER/crops.jsonl. Run the same command again to continue, or to update
the pictures whose answers have been corrected.

  speciesnet crops PREDICTIONS.json --out FOLDER
"""


def main(values: flags.Values, source: str) -> None:
    """Cuts the boxes out of one photograph after another."""
    from speciesnet.export.pictures import Crops

    results = written(values, source, Crops(values[MIN_CONFIDENCE], values[PEOPLE]))
    sys.stdout.write(
        f"Pictures of boxes in {values[OUT]}: {results.done} written, {results.unchanged} already "
        f"there, {counted(results.removed, 'outdated one')} removed; {results.people} left out "
        "because of people.\n"
    )
    results.raise_if_skipped("photograph or box", "photographs or boxes")


COMMAND = console.Command(
    main,
    USAGE,
    (
        OUT,
        MIN_CONFIDENCE,
        PEOPLE,
        flags.IMAGE_ROOT,
        flags.CORRECTIONS,
        flags.THRESHOLDS,
        flags.PICTURE_THREADS,
    ),
    **console.ONE_PREDICTIONS_FILE,
)

if __name__ == "__main__":
    console.start(COMMAND)
