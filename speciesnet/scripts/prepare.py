"""Downloads and converts a model before its first run: ``speciesnet prepare``."""

from __future__ import annotations

import sys

from speciesnet.scripts import console, flags

USAGE = """\
Downloads a model and converts its networks for this computer, so that runs
start quickly and work offline. Prints what it made, where, and how long it
took.

  speciesnet prepare
  speciesnet prepare --precision int8 --calibration_folder PHOTOGRAPHS
"""
CALIBRATION_FOLDER = flags.text(
    "calibration_folder",
    "Folder with typical photographs of your cameras, searched at any depth. Networks in int8 are "
    "calibrated on 64 of them; --precision int8 requires this flag the first time.",
)
PRECISION = flags.PRECISION.but(
    help="Precision of the runs. auto: prepares all precisions that auto may choose, and int8 if "
    "--calibration_folder is given."
)


def main(values: flags.Values) -> None:
    """Prints each line when its step is done, because the steps take seconds to minutes."""
    from speciesnet.images.instances import find_images
    from speciesnet.pipeline.preparation import prepare

    folder = values[CALIBRATION_FOLDER]
    steps = prepare(
        values[flags.MODEL],
        values[PRECISION],
        find_images([folder]) if folder else [],
        threads=values[flags.THREADS],
        force_download=values[flags.FORCE_MODEL_DOWNLOAD],
    )
    for step in steps:
        sys.stdout.write(f"{step}\n")
        sys.stdout.flush()


COMMAND = console.Command(
    main,
    USAGE,
    (
        flags.MODEL,
        PRECISION,
        CALIBRATION_FOLDER,
        flags.THREADS,
        flags.FORCE_MODEL_DOWNLOAD,
    ),
)

if __name__ == "__main__":
    console.start(COMMAND)
