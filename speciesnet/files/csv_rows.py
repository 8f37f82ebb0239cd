"""CSV files that people write."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

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
        InputError: The file cannot be read or is not in UTF-8, a column occurs twice, a row has a cell
            without a column, or a quote is not closed.
    """
    try:
        with file_errors(InputError, f"The {what} {path}"):
            text = unicodedata.normalize("NFC", read_text(path))
    except UnicodeDecodeError as error:
        if error.object.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
            raise InputError(
                f"The {what} {path} are in a spreadsheet workbook. Save the sheet as CSV in UTF-8."
            ) from error
        raise InputError(f"The {what} {path} are not UTF-8 text. Save them as UTF-8.") from error
    lines = text.splitlines() or [""]
    if match := _EXCELS_FIRST_LINE.fullmatch(lines[0]):
        delimiter = match[1]
    else:
        delimiter = max(_DELIMITERS, key=lines[0].count)
    parsed = _parsed(text, delimiter, path)
    if match:
        next(parsed)
    spelling = {name.lower(): name for name in known}
    _, header = next(parsed, (1, []))
    columns = [spelling.get(name.lower(), name) for name in _stripped(header)]
    if twice := [name for name in columns if name and columns.count(name) > 1]:
        raise InputError(f'{path} has the column "{twice[0]}" twice. Remove one of them.')
    rows: list[Row] = []
    for number, line in parsed:
        place, cells = f"Line {number} of {path}", _stripped(line)
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


def _parsed(text: str, delimiter: str, path: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the cells of each row, and the number of its first line.

    A quote that is not closed would hide the rows after it in one cell. Line breaks in a cell are
    therefore allowed only if its quotes are correct, and if none of its lines looks like a row.

    Raises:
        InputError: A quote is not closed, or closed in a later row.
    """
    lines = io.StringIO(text, newline="").readlines()
    reader = csv.reader(lines, delimiter=delimiter)
    start = columns = 0
    for cells in reader:
        own = lines[start : reader.line_num]
        if not own[0].lower().startswith("sep="):
            columns = columns or len(cells)
        opened = _open_quote(own, delimiter)
        if opened is None and _hides_a_row(cells, delimiter, columns):
            opened = 0
        if opened is not None:
            raise InputError(
                f"Line {start + opened + 1} of {path} opens a quote that is not closed where its cell "
                "ends. Close it or remove it; write a quote inside a quoted cell twice, and each row on "
                "a line of its own."
            )
        yield start + 1, cells
        start = reader.line_num


def _hides_a_row(cells: Sequence[str], delimiter: str, columns: int) -> bool:
    """Whether a line inside a cell has as many cells as the first line of the table, at least two.

    A delimiter before a blank is part of a sentence. What follows a cell belongs to its last line.
    """
    separates = re.compile(f"{re.escape(delimiter)}(?! )")
    for position, cell in enumerate(cells):
        inner = cell.splitlines()[1:]
        counts = [len(separates.findall(line)) for line in inner]
        if counts and counts[-1]:
            counts[-1] += len(cells) - position - 1
        if columns > 1 and any(count >= columns - 1 for count in counts):
            return True
    return False


def _open_quote(lines: Sequence[str], delimiter: str) -> int | None:
    """The position of the line with a quote that is never closed, or closed inside another cell."""
    opened = None
    for position, line in enumerate(lines):
        index = -1
        while (index := line.find('"', index + 1)) >= 0:
            if opened is None:
                if index == 0 or line[index - 1] == delimiter:
                    opened = position
            elif line[index + 1 : index + 2] == '"':
                index += 1  # a quote inside the cell
            elif opened < position and line[index + 1 :].lstrip(" ")[:1] not in (
                delimiter,
                "\r",
                "\n",
                "",
            ):
                return opened
            else:
                opened = None
    return opened


def _stripped(cells: list[str]) -> list[str]:
    """The cells without surrounding blanks, and without empty ones at the end."""
    cells = [cell.strip() for cell in cells]
    while cells and not cells[-1]:
        del cells[-1]
    return cells
