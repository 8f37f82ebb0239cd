"""Converts a predictions file to a table, CSV or Parquet.

python -m speciesnet.scripts.speciesnet_to_table PREDICTIONS.json OUT.csv
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from absl import flags

from speciesnet.errors import InputError
from speciesnet.scripts import console
from speciesnet.scripts.predictions_files import (
    CORRECTIONS,
    IMAGE_ROOT,
    local_predictions,
    warn_of_empty,
)
from speciesnet.scripts.remote_files import sent_file
from speciesnet.scripts.survey_flags import load

if TYPE_CHECKING:
    from speciesnet.export.tables import Row, Rows
    from speciesnet.survey.photographs import Photographs

_ROWS = flags.DEFINE_enum(
    "rows",
    "image",
    ["image", "detection", "sequence"],
    "One row for each image, for each box of a detection, or for each sequence of images.",
)
_MIN_CONFIDENCE = flags.DEFINE_float(
    "min_confidence", 0.0, "Leave out boxes below it.", lower_bound=0, upper_bound=1
)
console.must_be_finite("min_confidence")
_EXIF = flags.DEFINE_bool(
    "exif", True, "Read dates and positions from the photographs where the predictions lack them."
)
_BOM = flags.DEFINE_bool("bom", False, "Begin a CSV file so that Excel knows it for UTF-8.")
_DELIMITER = flags.DEFINE_string(
    "delimiter", ",", "Between the cells of a CSV file; Excel wants ; where numbers have a comma."
)

USAGE = """\
Converts a predictions file to a table, CSV or Parquet by the name of the output.

  python -m speciesnet.scripts.speciesnet_to_table PREDICTIONS.json OUT.csv

"""
FLAGS = [
    "rows",
    "min_confidence",
    "exif",
    "image_root",
    "corrections",
    "sequence_gap",
    "model",
    "bom",
    "delimiter",
]


def main(*files: str) -> None:
    """Reads one record at a time, and writes it; sequences need all of them."""
    from speciesnet.export.files import check_not_same
    from speciesnet.export.tables import write_table
    from speciesnet.records import read_from
    from speciesnet.survey.photographs import Photographs

    if len(files) != 2:
        raise InputError("Give two files, such as predictions.json table.csv.")
    source, target = files
    check_not_same(source, target)
    if len(_DELIMITER.value) != 1 or _DELIMITER.value in '"\r\n':
        raise InputError(f"--delimiter {_DELIMITER.value!r} is not one character; give , or ;")
    photographs = Photographs(IMAGE_ROOT.value) if _EXIF.value else None
    with local_predictions(source) as predictions, sent_file(target) as table:
        with read_from(predictions):
            rows, types = _table(predictions, photographs)
            count = write_table(rows, table, types, bom=_BOM.value, delimiter=_DELIMITER.value)
        if not count:
            warn_of_empty(predictions)
    if photographs:
        photographs.warn_of_missing("their dates and positions are left empty")
    console.report_on(target, f"{count} rows: {target}")


def _table(source: str, photographs: Photographs | None) -> tuple[Iterable[Row], dict[str, type]]:
    from speciesnet.export.tables import SEQUENCE_COLUMNS, columns, sequence_rows, table_rows
    from speciesnet.survey.corrections import read_corrected

    if _ROWS.value == "sequence":
        return sequence_rows(load(source, photographs)), SEQUENCE_COLUMNS
    rows = cast("Rows", _ROWS.value)
    found = table_rows(
        read_corrected(source, CORRECTIONS.value),
        rows=rows,
        photographs=photographs,
        min_confidence=_MIN_CONFIDENCE.value,
    )
    return found, columns(rows)


def cli() -> None:
    """The console command."""
    sys.exit(
        console.run(main, sys.argv, lambda topic: USAGE + console.describe_flags(FLAGS), files=2)
    )


if __name__ == "__main__":
    cli()
