"""Tables: one row an image or one row a detection, as CSV, Parquet or a pandas DataFrame."""

from __future__ import annotations

import csv
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from speciesnet.errors import InputError
from speciesnet.export.files import written_whole
from speciesnet.metadata import PhotoMetadata
from speciesnet.records import Record, answer_of, named
from speciesnet.survey.photographs import Photographs, with_metadata
from speciesnet.taxonomy import Label, split_label

if TYPE_CHECKING:
    import pandas as pd

Rows = Literal["image", "detection"]
Row = dict[str, Any]

# Columns and their types. ``boxes`` counts those of an image; ``box`` numbers them from 1, best first.
COLUMNS: dict[str, type] = {
    "file": str, "datetime": str, "latitude": float, "longitude": float, "country": str,
    "admin1_region": str, "uuid": str, "class": str, "order": str, "family": str, "genus": str,
    "species": str, "common_name": str, "score": float, "source": str, "boxes": int, "box": int,
    "category": str, "confidence": float, "xmin": float, "ymin": float, "width": float,
    "height": float, "failures": str, "camera_make": str, "camera_model": str, "model_version": str,
    "predicted": str, "reviewer": str, "reviewed_at": str,
}  # fmt: skip
_LEFT_OUT = {"image": "box", "detection": "boxes"}
_BATCH = 10_000  # rows that a Parquet file takes at once

# Cells that spreadsheets would compute: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def columns(rows: Rows) -> dict[str, type]:
    """The columns of a table and their types, in order."""
    return {name: kind for name, kind in COLUMNS.items() if name != _LEFT_OUT[rows]}


def table_rows(
    records: Iterable[Record],
    *,
    rows: Rows = "image",
    photographs: Photographs | None = None,
    min_confidence: float = 0.0,
) -> Iterator[Row]:
    """The rows of a table, one at a time; None stands for an empty cell.

    Args:
        records: Of any run.
        rows: One for each image, with its best box; or one for each box, and none for images without.
        photographs: Where to read the dates, positions and cameras that records do not keep; None
            leaves these empty.
        min_confidence: Boxes below it are left out.

    Raises:
        InputError: A record is malformed.
    """
    for record, metadata in with_metadata(records, photographs):
        with named(record):
            boxes = [
                _box(box) for box in record.get("detections") or [] if box["conf"] >= min_confidence
            ]
            row = _row(record, metadata)
        if rows == "image":
            found = {"boxes": len(boxes)} if "detections" in record else {}
            yield row | found | (boxes[0] if boxes else {})
        else:
            yield from (row | {"box": i} | box for i, box in enumerate(boxes, start=1))


def _row(record: Record, metadata: PhotoMetadata) -> Row:
    text, score, source = answer_of(record)
    label = split_label(text) if text is not None else Label()
    place = record if "latitude" in record else metadata.as_dict()
    review = record.get("review", {})
    row = {
        "file": record["filepath"],
        "datetime": metadata.datetime,
        "latitude": place.get("latitude"),
        "longitude": place.get("longitude"),
        "country": record.get("country"),
        "admin1_region": record.get("admin1_region"),
        **{name.rstrip("_"): part or None for name, part in label._asdict().items()},
        "score": None if text is None else score,
        "source": source,
        "failures": ", ".join(record.get("failures") or []) or None,
        "camera_make": metadata.make,
        "camera_model": metadata.model,
        "model_version": record.get("model_version"),
        "predicted": review.get("predicted"),
        "reviewer": review.get("reviewer") or None,
        "reviewed_at": review.get("at"),
    }
    return dict.fromkeys(COLUMNS) | row


def _box(box: Mapping[str, Any]) -> Row:
    xmin, ymin, width, height = map(float, box["bbox"])
    return {
        "category": box["label"], "confidence": float(box["conf"]),
        "xmin": xmin, "ymin": ymin, "width": width, "height": height,
    }  # fmt: skip


def write_csv(
    rows: Iterable[Row],
    path: str | os.PathLike[str],
    names: Iterable[str],
    *,
    bom: bool = False,
    delimiter: str = ",",
) -> int:
    """Writes a CSV file in UTF-8, at once or not at all, whatever its length in little memory.

    Text that a spreadsheet would compute as a formula gets an apostrophe in front.

    Args:
        rows: See ``table_rows``.
        path: The file.
        names: Its columns.
        bom: Begins with a byte order mark, by which Excel knows UTF-8.
        delimiter: Between cells; Excel wants a semicolon where numbers have a comma.

    Returns:
        How many rows it holds.

    Raises:
        OutputError: The file cannot be written.
    """
    encoding = "utf-8-sig" if bom else "utf-8"
    with (
        written_whole(path) as part,
        # Names that are no valid Unicode are shown with backslashes.
        part.open("w", encoding=encoding, errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file, delimiter=delimiter)
        names = list(names)
        writer.writerow(names)
        count = 0
        for row in rows:
            writer.writerow([_harmless(row[name]) for name in names])
            count += 1
    return count


def _harmless(value: Any) -> Any:
    is_formula = isinstance(value, str) and value.startswith(_FORMULA_STARTS)
    return f"'{value}" if is_formula else value


def write_parquet(
    rows: Iterable[Row], path: str | os.PathLike[str], types: Mapping[str, type]
) -> int:
    """Writes a Parquet file; otherwise as ``write_csv``. Text stays as it is.

    Raises:
        InputError: pyarrow is not installed.
        OutputError: The file cannot be written.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError("Parquet needs one more package: pip install pyarrow") from error

    kinds = {str: pa.string(), float: pa.float64(), int: pa.int32()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in types.items()])
    count = 0
    rows = iter(rows)
    with written_whole(path) as part, pq.ParquetWriter(part, schema) as writer:
        while batch := list(itertools.islice(rows, _BATCH)):
            values = [[_valid(row[name]) for row in batch] for name in types]
            writer.write_batch(pa.record_batch(values, schema=schema))
            count += len(batch)
    return count


def _valid(value: Any) -> Any:
    """Text that can be UTF-8: names of files need not."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def to_dataframe(
    records: Iterable[Record],
    *,
    rows: Rows = "image",
    photographs: Photographs | None = None,
    min_confidence: float = 0.0,
) -> pd.DataFrame:
    """A pandas DataFrame; ``datetime`` is one, by the camera's clock, and columns have their types.

    Args:
        records: ``predict(...)["predictions"]``, or ``read_corrected(path)``.
        rows: See ``table_rows``.
        photographs: See ``table_rows``.
        min_confidence: See ``table_rows``.

    Raises:
        InputError: A record is malformed, or pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise InputError("A DataFrame needs one more package: pip install pandas") from error

    kinds: dict[type, Any] = {str: "string", float: "float64", int: "Int32"}
    found = list(
        table_rows(records, rows=rows, photographs=photographs, min_confidence=min_confidence)
    )
    types = columns(rows)
    frame = pd.DataFrame(found, columns=list(types))
    frame = frame.astype({name: kinds[kind] for name, kind in types.items()})
    # Cameras that write an offset and such that do not are comparable by their clocks only.
    clock = frame["datetime"].str.slice(0, len("2024-05-01T06:30:00"))
    return frame.assign(datetime=pd.to_datetime(clock))


def write_table(
    rows: Iterable[Row],
    path: str | os.PathLike[str],
    types: Mapping[str, type],
    *,
    bom: bool = False,
    delimiter: str = ",",
) -> int:
    """Writes the table that the name of the file asks for, ``.csv`` or ``.parquet``.

    Args:
        rows: See ``table_rows``, and ``sequence_rows``.
        path: The file.
        types: Its columns and their types; see ``columns``.
        bom: See ``write_csv``.
        delimiter: See ``write_csv``.

    Returns:
        How many rows it holds.

    Raises:
        InputError: The name ends otherwise, or a record is malformed.
        OutputError: The file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".csv":
        return write_csv(rows, path, types, bom=bom, delimiter=delimiter)
    if suffix == ".parquet":
        return write_parquet(rows, path, types)
    raise InputError(f"{path} must end with .csv or .parquet; give another name.")
