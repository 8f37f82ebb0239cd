"""Tables: a row per image, detection, observation, sequence or event; CSV, Parquet or a DataFrame."""

from __future__ import annotations

import csv
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from typing_extensions import Unpack

from speciesnet.constants import DEFAULT_EVENT_GAP
from speciesnet.ensemble.taxonomy import Label, split_label
from speciesnet.errors import InputError
from speciesnet.export.files import output_file
from speciesnet.files.moved_photographs import Photographs
from speciesnet.files.paths import Parts
from speciesnet.images.metadata import PhotoMetadata
from speciesnet.records import Box, Record, answer_of, record_errors
from speciesnet.survey.cards import folder_parts, note_on
from speciesnet.survey.counts import answer_of_box, counts_of
from speciesnet.survey.dates import DateRules
from speciesnet.survey.events import Sighting, find_events, sightings_of
from speciesnet.survey.individuals import count_of, counts_text, individuals_of
from speciesnet.survey.people import people_in, vehicles_in
from speciesnet.survey.photographs import position_of, with_metadata

if TYPE_CHECKING:
    import pandas as pd

    from speciesnet.survey.survey import Survey

Rows = Literal["image", "detection", "observation", "event"]
Cell = str | int | float | None
Row = dict[str, Cell]

# Columns and their types. ``boxes`` counts those of an image; ``box`` numbers them from 1, best first.
# ``people`` and ``vehicles`` are those of ``survey.people``, whatever the lowest confidence of a table.
TABLE_COLUMNS: dict[str, type] = {
    "file": str, "datetime": str, "latitude": float, "longitude": float, "country": str,
    "admin1_region": str, "uuid": str, "class": str, "order": str, "family": str, "genus": str,
    "species": str, "common_name": str, "score": float, "source": str, "boxes": int, "box": int,
    "category": str, "confidence": float, "xmin": float, "ymin": float, "width": float,
    "height": float, "failures": str, "camera_make": str, "camera_model": str, "model_version": str,
    "predicted": str, "reviewer": str, "reviewed_at": str, "people": int, "vehicles": int,
    "count": int, "counts": str,
}  # fmt: skip
SEQUENCE_COLUMNS: dict[str, type] = {
    "folder": str, "sequence": int, "start": str, "end": str, "images": int, "reviewed": int,
    "first_file": str, "uuid": str, "class": str, "order": str, "family": str, "genus": str,
    "species": str, "common_name": str, "score": float, "source": str, "people": int,
    "vehicles": int, "count": int, "counts": str,
}  # fmt: skip
EVENT_COLUMNS: dict[str, type] = {
    "folder": str, "event": int, "start": str, "end": str, "images": int, "reviewed": int,
    "first_file": str, "uuid": str, "class": str, "order": str, "family": str, "genus": str,
    "species": str, "common_name": str, "count": int,
}  # fmt: skip
ORIGINAL = "datetime_original"  # the date by the camera's clock, if --clock_corrections change it
_LEFT_OUT = {
    "image": ("box",),
    "detection": ("boxes", "count", "counts"),
    "observation": ("box", "boxes", "counts"),
}
_BATCH = 10_000  # rows written to a Parquet file together

# Cells that spreadsheets would evaluate: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def columns(rows: Rows, dates: DateRules | None = None) -> dict[str, type]:
    """The columns of a table of records and their types, in order.

    Args:
        rows: See ``TableOptions``.
        dates: See ``TableOptions``; with corrections of clocks, there is a column for the original dates.
    """
    if rows == "event":
        return EVENT_COLUMNS
    found: dict[str, type] = {}
    for name, kind in TABLE_COLUMNS.items():
        if name not in _LEFT_OUT[rows]:
            found[name] = kind
        if name == "datetime" and dates is not None and dates.clocks is not None:
            found[ORIGINAL] = str
    return found


class TableOptions(TypedDict, total=False):
    """Keyword arguments of ``table_rows``.

    Attributes:
        rows: "image" (default): one row per image, with its best box. "detection": one row per box
            (none for images without boxes), with the box's own answer if it has one. "observation":
            one row per image and label, with the number of individuals and the label's best box;
            images in which nothing was counted also have one row. "event": see ``event_rows``.
        photographs: Finds the photographs, to read dates, positions and cameras that are not in the
            records; None (default) leaves these cells empty.
        min_confidence: The lowest confidence of boxes to include, in [0, 1] (default 0). Counts do
            not depend on it.
        dates: Dates from file names, and corrections of the cameras' clocks.
        event_gap: See ``event_rows``.
    """

    rows: Rows
    photographs: Photographs | None
    min_confidence: float
    dates: DateRules | None
    event_gap: float


def table_rows(records: Iterable[Record], **options: Unpack[TableOptions]) -> Iterator[Row]:
    """The rows of a table, one at a time; None is an empty cell.

    Args:
        records: Records from any run.
        **options: See ``TableOptions``.

    Raises:
        InputError: A record is malformed, or the clock corrections do not fit the photographs.

    Examples:
        >>> failed = {"filepath": "a.jpg", "failures": ["DETECTOR"]}
        >>> [(row["file"], row["failures"]) for row in table_rows([failed])]
        [('a.jpg', 'DETECTOR')]
    """
    if unknown := options.keys() - TableOptions.__optional_keys__:
        raise TypeError(f"A table has no option {', '.join(sorted(unknown))}.")
    rows, dates = options.get("rows", "image"), options.get("dates")
    photographs, min_confidence = options.get("photographs"), options.get("min_confidence", 0.0)
    if rows == "event":
        gap = options.get("event_gap", DEFAULT_EVENT_GAP)
        yield from event_rows(records, photographs=photographs, dates=dates, gap=gap)
        return
    rows_of = {"image": _image_rows, "detection": _box_rows, "observation": _observation_rows}
    for record, metadata in with_metadata(records, photographs, dates):
        with record_errors(record):
            row = _row(record, metadata)
            found = rows_of[rows](record, row, min_confidence)
        if dates is not None and dates.clocks is not None:
            row[ORIGINAL] = metadata.original_datetime or metadata.datetime
        yield from (row | cells for cells in found)


def _image_rows(record: Record, row: Row, min_confidence: float) -> list[Row]:
    """The cells of an image's row in addition to those that all of its rows share."""
    counts = counts_of(record)
    boxes = _boxes(record, min_confidence)
    return [
        {
            "boxes": len(boxes) if "detections" in record else None,
            **(_box_cells(boxes[0]) if boxes else {}),
            "count": count_of(answer_of(record)[0], counts),
            "counts": counts_text(counts),
        }
    ]


def _box_rows(record: Record, row: Row, min_confidence: float) -> list[Row]:
    return [
        {"box": number, **_box_cells(box), **_answer_cells(*answer_of_box(box))}
        for number, box in enumerate(_boxes(record, min_confidence), start=1)
    ]


def _observation_rows(record: Record, row: Row, min_confidence: float) -> list[Row]:
    return [
        {
            **_answer_cells(one.label, one.score, one.source),
            **({} if one.box is None or one.box["conf"] < min_confidence else _box_cells(one.box)),
            "count": one.count,
        }
        for one in individuals_of(record)
    ] or [{}]


def _boxes(record: Record, min_confidence: float) -> list[Box]:
    return [box for box in record.get("detections") or () if box["conf"] >= min_confidence]


def _row(record: Record, metadata: PhotoMetadata) -> Row:
    latitude, longitude = position_of(record, metadata)
    review = record.get("review")
    reviewer = review or record.get("box_review")
    has_boxes = record.get("detections") is not None
    empty: Row = dict.fromkeys(TABLE_COLUMNS)
    return empty | {
        "file": record["filepath"],
        "datetime": metadata.datetime,
        "latitude": latitude,
        "longitude": longitude,
        "country": record.get("country"),
        "admin1_region": record.get("admin1_region"),
        **_answer_cells(*answer_of(record)),
        "failures": ", ".join(record.get("failures") or []) or None,
        "camera_make": metadata.make,
        "camera_model": metadata.model,
        "model_version": record.get("model_version"),
        "predicted": review["predicted"] if review else None,
        "reviewer": reviewer["reviewer"] or None if reviewer else None,
        "reviewed_at": reviewer["at"] if reviewer else None,
        "people": people_in(record) if has_boxes else None,
        "vehicles": vehicles_in(record) if has_boxes else None,
    }


def _answer_cells(label: str | None, score: float, source: str | None) -> Row:
    """The cells of an answer; none without a label, so that a box keeps the answer for its image."""
    if label is None:
        return {}
    return {**_label_cells(label), "score": score, "source": source}


def _label_cells(label: str | None) -> Row:
    parts = split_label(label) if label is not None else Label()
    return {name.rstrip("_"): part or None for name, part in parts._asdict().items()}


def _box_cells(box: Box) -> Row:
    xmin, ymin, width, height = map(float, box["bbox"])
    return {
        "category": box["label"], "confidence": float(box["conf"]),
        "xmin": xmin, "ymin": ymin, "width": width, "height": height,
    }  # fmt: skip


def sequence_rows(survey: Survey) -> Iterator[Row]:
    """The rows of a table of sequences, by folder and time; None is an empty cell.

    ``start`` and ``end`` follow the camera's clock; ``reviewed`` counts the corrected images.
    ``people``, ``vehicles`` and ``counts`` are the largest numbers in any one image, see
    ``largest_counts``; ``count`` is the number for the answer.
    """
    for sequence in survey.sequences:
        pictures = [survey.pictures[position] for position in sequence.pictures]
        label, score, source = sequence.answer or (None, None, None)
        counts = survey.counts_of(sequence)
        yield {
            "folder": sequence.camera,
            "sequence": sequence.number,
            "start": pictures[0].taken,
            "end": pictures[-1].taken,
            "images": len(pictures),
            "reviewed": sum(picture.correction is not None for picture in pictures),
            "first_file": pictures[0].filepath,
            **_label_cells(label),
            "score": score,
            "source": source,
            "people": max(picture.people for picture in pictures),
            "vehicles": max(picture.vehicles for picture in pictures),
            "count": count_of(label, counts),
            "counts": counts_text(counts),
        }


def event_rows(
    records: Iterable[Record],
    *,
    photographs: Photographs | None = None,
    dates: DateRules | None = None,
    gap: float = DEFAULT_EVENT_GAP,
) -> Iterator[Row]:
    """The rows of a table of events, by camera and time; None is an empty cell.

    An event belongs to one label. ``images`` counts its photographs of this label, and ``reviewed`` those
    that a person has reviewed; ``count`` is the largest number in any one of them.

    Args:
        records: Records from any run.
        photographs: Finds the photographs, to read dates that are not in the records.
        dates: Dates from file names, and corrections of the cameras' clocks.
        gap: Minutes without the label after which an event ends, see ``find_events``.

    Raises:
        InputError: A record is malformed, or the clock corrections do not fit the photographs.
    """
    camera, number = None, 0
    for event in find_events(_sightings(records, photographs, dates), gap):
        number = number + 1 if event.camera == camera else 1
        camera = event.camera
        yield {
            "folder": camera,
            "event": number,
            "start": event.start,
            "end": event.end,
            "images": len(event.sightings),
            "reviewed": sum(sighting.is_reviewed for sighting in event.sightings),
            "first_file": event.sightings[0].filepath,
            **_label_cells(event.label),
            "count": event.count,
        }


def _sightings(
    records: Iterable[Record], photographs: Photographs | None, dates: DateRules | None
) -> Iterator[tuple[str, str, Sighting]]:
    """The camera and the photograph of each label that was counted."""
    folders: set[Parts] = set()
    for record, metadata in with_metadata(records, photographs, dates):
        folders.add(folder_parts(record["filepath"]))
        yield from sightings_of(record, metadata)
    (dates or DateRules()).add_note(note_on(folders))


def write_table(
    rows: Iterable[Row],
    path: str | os.PathLike[str],
    types: Mapping[str, type],
    *,
    bom: bool = False,
    delimiter: str = ",",
) -> int:
    """Writes a CSV or Parquet file, depending on its extension, atomically.

    Memory does not grow with the table. In CSV, text that a spreadsheet would evaluate as a formula
    is preceded by an apostrophe; Parquet keeps it unchanged.

    Args:
        rows: The rows, see ``table_rows`` and ``sequence_rows``.
        path: The file, ``.csv`` or ``.parquet``.
        types: Its columns and their types, see ``columns`` and ``SEQUENCE_COLUMNS``.
        bom: Whether a CSV file starts with a byte order mark, by which Excel recognizes UTF-8.
        delimiter: The character between the cells of a CSV file; Excel needs a semicolon where numbers
            have a decimal comma.

    Returns:
        The number of rows.

    Raises:
        InputError: The path has a different extension, a record is malformed, or pyarrow is not
            installed.
        OutputError: The file cannot be written.

    Examples:
        >>> records = [{"filepath": "a.jpg", "failures": ["DETECTOR"]}]
        >>> write_table(table_rows(records), Path("table.csv"), columns("image"))
        1
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".csv":
        with output_file(path) as part:
            return _write_csv(rows, part, types, "utf-8-sig" if bom else "utf-8", delimiter)
    if suffix == ".parquet":
        return _write_parquet(rows, path, types)
    raise InputError(f"{path} must end with .csv or .parquet; pass a different name.")


def _write_csv(
    rows: Iterable[Row], path: Path, names: Iterable[str], encoding: str, delimiter: str
) -> int:
    # Names that are invalid Unicode are written with backslashes.
    with path.open("w", encoding=encoding, errors="backslashreplace", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        names = list(names)
        writer.writerow(names)
        count = 0
        for row in rows:
            writer.writerow([_harmless(row[name]) for name in names])
            count += 1
    return count


def _harmless(value: Cell) -> Cell:
    is_formula = isinstance(value, str) and value.startswith(_FORMULA_STARTS)
    return f"'{value}" if is_formula else value


def _write_parquet(
    rows: Iterable[Row], path: str | os.PathLike[str], types: Mapping[str, type]
) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError("Parquet needs an additional package: pip install pyarrow") from error

    kinds = {str: pa.string(), float: pa.float64(), int: pa.int32()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in types.items()])
    count = 0
    rows = iter(rows)
    with output_file(path) as part, pq.ParquetWriter(part, schema) as writer:
        while batch := list(itertools.islice(rows, _BATCH)):
            values = [[_valid(row[name]) for row in batch] for name in types]
            writer.write_batch(pa.record_batch(values, schema=schema))
            count += len(batch)
    return count


def _valid(value: Cell) -> Cell:
    """Text that can be encoded as UTF-8, unlike some file names."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def to_dataframe(
    records: Iterable[Record],
    *,
    rows: Rows = "image",
    photographs: Photographs | None = None,
    min_confidence: float = 0.0,
    dates: DateRules | None = None,
    event_gap: float = DEFAULT_EVENT_GAP,
) -> pd.DataFrame:
    """A pandas DataFrame of ``table_rows``, with typed columns; dates follow the camera's clock.

    Args:
        records: ``predict(...)["predictions"]``, or ``read_corrected(path)``.
        rows: See ``TableOptions``.
        photographs: See ``TableOptions``.
        min_confidence: See ``TableOptions``.
        dates: See ``TableOptions``.
        event_gap: See ``event_rows``.

    Raises:
        InputError: A record is malformed, the clock corrections do not fit, or pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise InputError("A DataFrame needs an additional package: pip install pandas") from error

    kinds = {str: "string", float: "float64", int: "Int32"}
    found = table_rows(
        records,
        rows=rows,
        photographs=photographs,
        min_confidence=min_confidence,
        dates=dates,
        event_gap=event_gap,
    )
    types = columns(rows, dates)
    frame = pd.DataFrame(list(found), columns=list(types))
    frame = frame.astype({name: kinds[kind] for name, kind in types.items()})
    # Cameras with and without a time zone can be compared only by their clocks.
    clocks = {
        name: pd.to_datetime(frame[name].str.slice(0, len("2024-05-01T06:30:00")))
        for name in ("datetime", ORIGINAL, "start", "end")
        if name in types
    }
    return frame.assign(**clocks)
