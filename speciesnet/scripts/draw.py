"""Writes photographs with their boxes drawn: ``speciesnet draw``."""

from __future__ import annotations

import sys

from speciesnet.files.input_notes import counted
from speciesnet.scripts import console, flags
from speciesnet.scripts.picture_files import MIN_CONFIDENCE, OUT, written

USAGE = """\
Writes a copy of each photograph that has boxes, with the boxes and their names,
to FOLDER/path, and a list of them to FOLDER/drawn.jsonl. Run the same
command again to continue, or to update the pictures whose answers have been
corrected.

  speciesnet draw PREDICTIONS.json --out FOLDER
"""


def main(values: flags.Values, source: str) -> None:
    """Draws on one photograph after another."""
    from speciesnet.export.pictures import Drawn

    results = written(values, source, Drawn(values[MIN_CONFIDENCE], values[flags.BLUR_HUMANS]))
    sys.stdout.write(
        f"Pictures in {values[OUT]}: {results.done} written, {results.unchanged} already there, "
        f"{counted(results.removed, 'outdated one')} removed; photographs without boxes: "
        f"{results.without_boxes}.\n"
    )
    results.raise_if_skipped("photograph")


COMMAND = console.Command(
    main,
    USAGE,
    (
        *(OUT, MIN_CONFIDENCE, flags.BLUR_HUMANS),
        *(flags.IMAGE_ROOT, flags.CORRECTIONS, flags.THRESHOLDS, flags.PICTURE_THREADS),
    ),
    **console.ONE_PREDICTIONS_FILE,
)

if __name__ == "__main__":
    console.start(COMMAND)
