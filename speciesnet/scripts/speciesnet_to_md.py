"""Converts predictions to the MegaDetector format: ``speciesnet megadetector``."""

from __future__ import annotations

from dataclasses import replace

from speciesnet.constants import CORRECTIONS_ENDING
from speciesnet.export.files import check_not_same
from speciesnet.export.megadetector import write_megadetector
from speciesnet.export.megadetector_info import Origin
from speciesnet.files.input_notes import counted
from speciesnet.files.moved_photographs import Photographs
from speciesnet.files.storage import scheme_of
from speciesnet.scripts import console, flags
from speciesnet.scripts.inputs import chosen_predictions, date_rules, records_of
from speciesnet.scripts.outputs import sent_file

BASE_FOLDER = flags.text(
    "base_folder", "Folder with the images: paths inside it become relative to it."
)

USAGE = """\
Converts a predictions file to the MegaDetector format, which Timelapse imports.

  speciesnet megadetector PREDICTIONS.json OUT.json --base_folder IMAGES
"""


def main(values: flags.Values, source: str, target: str) -> None:
    """Reads and writes one record at a time."""
    check_not_same(source, target)
    check_not_same(f"{source}{CORRECTIONS_ENDING}", target, "corrections")
    photographs, dates = Photographs(values[flags.IMAGE_ROOT]), date_rules(values)
    with (
        chosen_predictions(source, values) as predictions,
        sent_file(target) as out,
    ):
        records = records_of(predictions, values, photographs, dates, whole_films=True)
        origin = Origin.of(predictions)
        if scheme_of(source) is not None:  # the copy was changed when it was fetched
            origin = replace(origin, completed=None)
        count = write_megadetector(records, out, values[BASE_FOLDER], origin)
    photographs.warn_of_missing("their doubtful boxes follow those of the same photograph only")
    console.report_on(target, f"{counted(count, 'image')}: {target}")
    for note in dates.notes:
        console.report_on(target, note)


COMMAND = console.Command(
    main,
    USAGE,
    (
        *(BASE_FOLDER, flags.CORRECTIONS, flags.THRESHOLDS),
        *(flags.SMOOTH_BOXES, flags.SEQUENCE_GAP, flags.IMAGE_ROOT),
    ),
    topics=flags.DATES,
    files=2,
    missing="Pass two files, such as predictions.json megadetector.json: the input and the output.",
)

if __name__ == "__main__":
    console.start(COMMAND)
