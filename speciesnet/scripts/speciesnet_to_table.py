"""Converts predictions to a table, CSV or Parquet: ``speciesnet table``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from speciesnet.errors import InputError
from speciesnet.export.files import check_not_same
from speciesnet.export.tables import (
    SEQUENCE_COLUMNS,
    Row,
    columns,
    sequence_rows,
    table_rows,
    write_table,
)
from speciesnet.files.input_notes import counted
from speciesnet.files.moved_photographs import Photographs
from speciesnet.scripts import console, flags
from speciesnet.scripts.inputs import chosen_predictions, date_rules, records_of, survey_of
from speciesnet.scripts.outputs import sent_file
from speciesnet.survey.dates import DateRules

Kind = Literal["image", "detection", "observation", "sequence", "event"]
KINDS: tuple[Kind, ...] = ("image", "detection", "observation", "sequence", "event")
ROWS: flags.Flag[Kind] = flags.choice(
    "rows",
    KINDS,
    "One row per image, box, label in an image, sequence of images, or event of a label at a camera.",
)
MIN_CONFIDENCE = flags.number(
    "min_confidence", 0.0, "Leave out boxes with a lower confidence.", at_most=1
)
EXIF = flags.switch("exif", "Read missing dates and positions from the photographs.", default=True)
BOM = flags.switch("bom", "Start a CSV file with a byte order mark, so that Excel reads UTF-8.")
DELIMITER = flags.Flag(
    "delimiter", ",", "Delimiter of a CSV file; Excel needs ; in countries with a decimal comma."
)

USAGE = """\
Converts a predictions file to a table, CSV or Parquet, depending on the name of
the output.

  speciesnet table PREDICTIONS.json OUT.csv
"""


def main(values: flags.Values, source: str, target: str) -> None:
    """Reads and writes one record at a time, except that sequences and events need all of them."""
    check_not_same(source, target)
    delimiter = values[DELIMITER]
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise InputError(f"--delimiter {delimiter!r} is not one character; use , or ;")
    photographs = Photographs(values[flags.IMAGE_ROOT]) if values[EXIF] else None
    dates = date_rules(values)
    with (
        chosen_predictions(source, values) as predictions,
        sent_file(target) as table,
    ):
        rows, types = _table(values, predictions, photographs, dates)
        count = write_table(rows, table, types, bom=values[BOM], delimiter=delimiter)
    if photographs:
        photographs.warn_of_missing("their dates and positions are left empty")
    console.report_on(target, f"{counted(count, 'row')}: {target}")
    for note in dates.notes:
        console.report_on(target, note)


def _table(
    values: flags.Values, predictions: str, photographs: Photographs | None, dates: DateRules
) -> tuple[Iterable[Row], dict[str, type]]:
    """The rows of the table, and the type of each column."""
    kind = values[ROWS]
    if kind == "sequence":
        smooth = values[flags.SMOOTH_BOXES]
        survey = survey_of(predictions, values, photographs, dates=dates, smooth_boxes=smooth)
        return sequence_rows(survey), SEQUENCE_COLUMNS
    rows = table_rows(
        records_of(predictions, values, photographs, dates),
        rows=kind,
        photographs=photographs,
        min_confidence=values[MIN_CONFIDENCE],
        dates=dates,
        event_gap=values[flags.EVENT_GAP],
    )
    return rows, columns(kind, dates)


COMMAND = console.Command(
    main,
    USAGE,
    (
        *(ROWS, MIN_CONFIDENCE, EXIF, flags.IMAGE_ROOT, flags.CORRECTIONS, flags.THRESHOLDS),
        *(flags.SURVEY_MODEL, BOM, DELIMITER),
    ),
    topics={
        "sequences": (
            "sequences and events",
            (flags.SEQUENCE_GAP, flags.EVENT_GAP, flags.SMOOTH_BOXES),
        ),
        **flags.DATES,
    },
    files=2,
    missing="Pass two files, such as predictions.json table.csv.",
)

if __name__ == "__main__":
    console.start(COMMAND)
