"""The layout of the predictions files that this program writes.

``{"predictions": [``, one record per line, ``]}``: valid JSON, whose complete lines can be read even if
it is cut off. In files of format 5, ``"info"`` is before ``"predictions"``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import orjson

from speciesnet.constants import FORMAT_VERSION, OutputFormat
from speciesnet.errors import (
    DamagedError,
    MalformedRecordError,
    NoListError,
    OutputError,
    RepeatedKeyError,
    TooDeepError,
)
from speciesnet.files import json_lists
from speciesnet.files.atomic import write_atomically
from speciesnet.predictions.format5 import rounded
from speciesnet.records import Record
from speciesnet.records.numbers import check_finite, malformed

HEADER = b'{"predictions": [\n'
HEADERS: Mapping[OutputFormat, bytes] = {
    4: HEADER,
    5: b'{"info": {"format_version": "%s"}, "predictions": [\n' % FORMAT_VERSION.encode(),
}
SEPARATOR = b",\n"
FOOTER = b"\n]}\n"
LINES_LOOKED_AT = 1000  # to recognize the layout: the first ones may be damaged

_LONGEST = max(map(len, HEADERS.values()))
# orjson rounds integers of more than 64 bits. The translation finds candidates faster than a pattern.
_LONG_NUMBER = re.compile(rb"(?<![.\d])\d{19}")
_TO_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_ZEROS = b"0" * 19
_KEY = re.compile(rb'"\s*:')
_FILEPATH = re.compile(rb'\{"filepath": ?("(?:[^"\\]|\\.)*")')


def encode_record(record: Mapping[str, object]) -> bytes:
    """A record as one line of JSON in UTF-8."""
    try:
        return orjson.dumps(record)
    except TypeError:  # a file name that is not valid Unicode; JSON escapes can hold it
        return json.dumps(record).encode("ascii")


def decode_line(line: bytes) -> Record | None:
    """The record of a line; None for an incomplete line."""
    return split_line(line)[0]


def split_line(line: bytes) -> tuple[Record | None, bytes]:
    """The record of a line, and its bytes without the comma or brackets after it.

    Raises:
        MalformedRecordError: The record contains NaN or Infinity, which are not JSON, or an object in it
            has a key twice.
    """
    own = line.strip().removesuffix(b",")
    try:
        record = _decode(own)
    except orjson.JSONDecodeError:
        try:
            # Accepts the lone surrogates that orjson refuses, and brackets after the last record.
            text = line.strip().decode()
            record, end = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):
            return None, own
        if text[end:].strip() not in ("", ",", "]}"):
            return None, own
        own = text[:end].encode()
        if (found := as_record(record)) is not None:
            check_finite(found)
            _check_keys(found, own)
        return found, own
    found = as_record(record)
    if found is not None and not _has_all_keys(found, own):
        _check_keys(found, own)
    return found, own


def _decode(line: bytes) -> object:
    if _LONG_ZEROS in line.translate(_TO_ZEROS) and _LONG_NUMBER.search(line):
        with suppress(ValueError, RecursionError):
            return json.loads(line, parse_constant=json_lists.refuse_constant)
    return orjson.loads(line)


def _has_all_keys(record: Record, line: bytes) -> bool:
    """Whether a record certainly has all keys of its line; far faster than parsing it again."""
    with suppress(TypeError):  # a very large integer
        if orjson.dumps(record) == line:  # as this program writes it
            return True
    # Text can look like a key, but not the other way around.
    return len(_KEY.findall(line)) == _number_of_keys(record)


def _number_of_keys(found: Mapping[str, object]) -> int:
    count = len(found)
    for value in found.values():
        if isinstance(value, dict):
            count += _number_of_keys(value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            count += sum(_number_of_keys(item) for item in value if isinstance(item, dict))
    return count


def _check_keys(record: Record, line: bytes) -> None:
    """Refuses a record in which an object has a key twice, of which orjson takes the last value."""
    with suppress(RecursionError):
        try:
            json.loads(line, object_pairs_hook=json_lists.without_repeats)
        except RepeatedKeyError as error:
            raise malformed(record, str(error)) from error


def as_record(value: object) -> Record | None:
    """A decoded JSON value as a record; None if it has no file path."""
    if isinstance(value, dict) and isinstance(value.get("filepath"), str):
        return cast("Record", value)  # its other keys are checked where they are used
    return None


def filepath_of(line: bytes) -> str | None:
    """The file path of a line, without decoding the record; None for an incomplete line."""
    match = _FILEPATH.match(line) if line.endswith(b"\n") else None  # or it may be cut off
    if match:
        try:
            return json.loads(match[1])
        except ValueError:
            return None
    record = decode_line(line)
    return None if record is None else record["filepath"]


def has_own_layout(path: Path) -> bool:
    """Whether a file has one record per line, or is cut off before its first record."""
    with path.open("rb") as file:
        start = file.readline(_LONGEST)
        if start not in HEADERS.values():
            return any(header.startswith(start) for header in HEADERS.values())
        damaged: list[bytes] = []
        for line in filter(bytes.strip, islice(file, LINES_LOOKED_AT)):
            try:
                record = decode_line(line)
            except MalformedRecordError:  # its readers report this
                return True
            if record or (line.strip() == b"]}" and not damaged):
                return True
            damaged.append(line[-2:])
    # The rest are the layouts of other programs, and a single record of ours that is cut off.
    return not damaged or (len(damaged) == 1 and not damaged[0].endswith((b"\n", b"]}")))


def format_of(path: Path) -> OutputFormat:
    """The format of a predictions file, by its start."""
    with path.open("rb") as file:
        start = file.readline(_LONGEST)
    if start == HEADER:
        return 4
    try:
        info = json_lists.read_value(path, "info", before="predictions")
    except (NoListError, TooDeepError, DamagedError):
        return 4
    return 5 if isinstance(info, dict) and "format_version" in info else 4


def ends_before_records(path: Path) -> bool:
    """Whether a file in our own layout ends before its first record."""
    with path.open("rb") as file:
        start = file.read(_LONGEST + 1)
    return any(header.startswith(start) for header in HEADERS.values())


def record_lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The offset and the line of each record in a file of our own layout."""
    offset = len(file.readline())
    for line in file:
        if line.strip() not in (b"", b"]}"):
            yield offset, line
        offset += len(line)


def lines_without(path: Path, left_out: Collection[str]) -> Iterator[bytes]:
    """The encoded records in a file of our own layout, except those of some images."""
    with path.open("rb") as file:
        for _, line in record_lines(file):
            record, own = split_line(line)
            if record is not None and record["filepath"] not in left_out:
                yield own


def lines_at(path: Path, offsets: Iterable[int]) -> Iterator[bytes]:
    """The encoded records at given offsets in a file of our own layout."""
    with path.open("rb") as file:
        yield from lines_of(file, offsets)


def lines_of(file: BinaryIO, offsets: Iterable[int]) -> Iterator[bytes]:
    """Does the same as ``lines_at`` for an open file."""
    for offset in offsets:
        file.seek(offset)
        yield file.readline().strip().removesuffix(b",")


def write_lines(file: BinaryIO, records: Iterable[bytes], output_format: OutputFormat = 4) -> None:
    """Writes encoded records in our layout and the given format."""
    file.write(HEADERS[output_format])
    for number, record in enumerate(records):
        file.write(SEPARATOR + record if number else record)
    file.write(FOOTER)


def rewrite(path: Path, records: Iterable[bytes], output_format: OutputFormat = 4) -> None:
    """Replaces a predictions file atomically.

    Args:
        path: The file.
        records: Its encoded records.
        output_format: Their format.

    Raises:
        OutputError: The file cannot be written; the old one is kept.
    """
    try:
        with write_atomically(path, unique=False) as part, part.open("wb") as file:
            write_lines(file, records, output_format)
    except OSError as error:
        raise cannot_write(path, error) from error


def save_predictions(predictions_dict: Mapping[str, object], filepath: str) -> None:
    """Atomically writes ``{"predictions": [...]}`` to a file.

    If there is ``"info"``, as in format 5, numbers are rounded.

    Args:
        predictions_dict: The predictions, as the methods of ``SpeciesNet`` return them.
        filepath: The file to write.

    Raises:
        OutputError: The file cannot be written.

    Examples:
        >>> save_predictions({"predictions": [{"filepath": "fox.jpg"}]}, "predictions.json")
    """
    records = cast("Iterable[Mapping[str, object]]", predictions_dict["predictions"])
    if "info" in predictions_dict:
        rewrite(Path(filepath), (encode_record(rounded(record)) for record in records), 5)
    else:
        rewrite(Path(filepath), map(encode_record, records))


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The error for a predictions file that cannot be written."""
    return OutputError(
        f"{path} cannot be written ({error.strerror or error}). Fix the cause and run the same command "
        "again; the records in the file are kept."
    )
