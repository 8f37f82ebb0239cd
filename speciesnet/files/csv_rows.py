"""CSV files that people write."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable

from speciesnet.errors import InputError, file_errors
from speciesnet.files.input_notes import counted
from speciesnet.files.storage import read_text

Row = tuple[str, dict[str, str]]
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
_EXCELS_FIRST_LINE = re.compile(r'"?sep=([,;\t])"?\s*', re.IGNORECASE)


def read_table(path: str, what: str, known: Iterable[str]) -> tuple[list[str], list[Row]]:
    """Reads a table whose cells are separated by commas, semicolons or tabs, as Unicode NFC.

    Args:
        path: Path or URL of the file.
        what: The content of the file for messages, such as "deployments".
        known: Names of columns, which may be in any letter case in the first line.

    Returns:
        The names of the columns in the first line, without the empty ones at its end; and the rows that
        are not empty, each as its place for messages, such as "Line 2 of rows.csv", and its cells by
        column, without the empty ones.

    Raises:
        InputError: The file cannot be read or is not in UTF-8, a column occurs twice, or a row has a
            cell without a column.
    """
    try:
        with file_errors(InputError, f"The {what} {path}"):
            text = unicodedata.normalize("NFC", read_text(path))
    except UnicodeDecodeError as error:
        raise InputError(f"The {what} {path} are not UTF-8 text. Save them as UTF-8.") from error
    lines = text.splitlines() or [""]
    if match := _EXCELS_FIRST_LINE.fullmatch(lines[0]):
        delimiter = match[1]
    else:
        delimiter = max(_DELIMITERS, key=lines[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    if match:
        next(reader)
    spelling = {name.lower(): name for name in known}
    columns = [spelling.get(name.lower(), name) for name in _stripped(next(reader, []))]
    if twice := [name for name in columns if name and columns.count(name) > 1]:
        raise InputError(f'{path} has the column "{twice[0]}" twice. Remove one of them.')
    rows: list[Row] = []
    for line in reader:
        place, cells = f"Line {reader.line_num} of {path}", _stripped(line)
        named = {name: cell for name, cell in zip(columns, cells, strict=False) if name and cell}
        if len(named) < len([cell for cell in cells if cell]):
            raise InputError(
                f"{place} has {counted(len(cells), 'cell')}, and the first line names "
                f"{counted(len([*filter(None, columns)]), 'column')}; put quotes around a cell that "
                f"contains a {_DELIMITERS[delimiter]}, and write numbers with a decimal point, such as "
                "36.82."
            )
        if named:
            is_short = len(line) < len(columns)
            rows.append(
                (f"{place} (only {counted(len(line), 'cell')})" if is_short else place, named)
            )
    return columns, rows


def _stripped(cells: list[str]) -> list[str]:
    """The cells without surrounding blanks, and without empty ones at the end."""
    cells = [cell.strip() for cell in cells]
    while cells and not cells[-1]:
        del cells[-1]
    return cells
