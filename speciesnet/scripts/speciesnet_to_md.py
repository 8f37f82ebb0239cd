"""Converts a predictions file to the MegaDetector format, which Timelapse imports.

python -m speciesnet.scripts.speciesnet_to_md PREDICTIONS.json OUT.json --base_folder IMAGES
"""

from __future__ import annotations

import sys

from absl import flags

from speciesnet.errors import InputError
from speciesnet.scripts import console
from speciesnet.scripts.predictions_files import CORRECTIONS, local_predictions, warn_of_empty
from speciesnet.scripts.remote_files import sent_file

_BASE_FOLDER = flags.DEFINE_string(
    "base_folder", None, "Folder of the images: paths under it become relative to it."
)

USAGE = """\
Converts a predictions file to the MegaDetector format, which Timelapse imports.

  python -m speciesnet.scripts.speciesnet_to_md PREDICTIONS.json OUT.json --base_folder IMAGES

"""
FLAGS = ["base_folder", "corrections"]


def main(*files: str) -> None:
    """Reads one record at a time, and writes it."""
    from speciesnet.constants import CORRECTIONS_ENDING
    from speciesnet.export.files import check_not_same
    from speciesnet.export.megadetector import write_megadetector
    from speciesnet.records import read_from
    from speciesnet.survey.corrections import read_corrected

    if len(files) != 2:
        raise InputError(
            "Give two files, such as predictions.json megadetector.json: what is there, and what is "
            "to be written."
        )
    source, target = files
    check_not_same(source, target)
    check_not_same(f"{source}{CORRECTIONS_ENDING}", target, "corrections")
    with local_predictions(source) as predictions, sent_file(target) as out:
        with read_from(predictions):
            records = read_corrected(predictions, CORRECTIONS.value)
            count = write_megadetector(records, out, _BASE_FOLDER.value)
        if not count:
            warn_of_empty(predictions)
    console.report_on(target, f"{count} images: {target}")


def cli() -> None:
    """The console command."""
    sys.exit(
        console.run(main, sys.argv, lambda topic: USAGE + console.describe_flags(FLAGS), files=2)
    )


if __name__ == "__main__":
    cli()
