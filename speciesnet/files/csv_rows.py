"""CSV files that people write."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from speciesnet.errors import InputError, file_errors
from speciesnet.files.storage import read_text


def read_rows(path: str, what: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the line number and the cells of each row, the header first; commas or semicolons.

    Args:
        path: Path or URL of the file.
        what: The content of the file for messages, such as "deployments".

    Raises:
        InputError: The file cannot be read, or is not in UTF-8.
    """
    try:
        with file_errors(InputError, f"The {what} {path}"):
            text = read_text(path)
    except UnicodeDecodeError as error:
        raise InputError(f"The {what} {path} are not UTF-8 text. Save them as UTF-8.") from error
    header = text.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    for cells in reader:
        yield reader.line_num, [cell.strip() for cell in cells]
