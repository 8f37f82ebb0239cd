"""Reads people's labels: a table, a Timelapse export, or the corrections of a review.

``camtrap_labels`` reads Camtrap DP packages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from speciesnet.constants import CORRECTIONS_ENDING
from speciesnet.errors import InputError, file_errors
from speciesnet.files.csv_rows import Row, read_table
from speciesnet.files.input_notes import Examples
from speciesnet.files.storage import local_file
from speciesnet.predictions.matching import is_absolute
from speciesnet.survey.corrections import Correction, read_corrections

# Names of columns in lower case, without blanks, hyphens and underscores. A table uses the first one
# that it has. Timelapse's are File and RelativePath.
FILE_COLUMNS = (
    "filepath", "file", "path", "filename", "image", "imagename", "photo", "photograph",
)  # fmt: skip
FOLDER_COLUMNS = ("relativepath", "folder", "directory")
LATIN_COLUMNS = ("label", "scientificname", "latinname", "latin", "species", "taxon")
COMMON_COLUMNS = ("commonname", "common", "name", "animal")
RANK_COLUMNS = ("genus", "family", "order", "class")
COUNT_COLUMNS = ("count", "individuals", "number", "quantity", "howmany", "groupsize")
_SEPARATORS = re.compile(r"[\s_-]")


@dataclass(frozen=True, slots=True)
class Written:
    """A person's label for a photograph.

    Attributes:
        names: Names for the same animal, such as a Latin and a common one; the first known one counts.
        count: The number of individuals, or None.
        place: The line, for messages.
    """

    names: tuple[str, ...]
    count: int | None
    place: str


@dataclass
class WrittenLabels:
    """The labels of a file.

    Attributes:
        source: The file, for messages.
        by_file: The labels of each photograph, by its path in the file; empty if a person has seen the
            photograph but did not label it.
        notes: Sentences on what was left out.
        box_corrections: Corrections of individual boxes without numbers, by the path of their
            photograph: its boxes after the review are its individuals.
    """

    source: str
    by_file: dict[str, list[Written]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    box_corrections: dict[str, Correction] = field(default_factory=dict)

    def add(self, file: str, written: Written | None) -> None:
        """Adds a label for a photograph."""
        labels = self.by_file.setdefault(file, [])
        if written is not None:
            labels.append(written)


def read_labels(path: str, column: str | None = None) -> WrittenLabels:
    """Reads a file of labels; its name and its columns show its kind.

    Args:
        path: Path or URL of a table or of corrections; or the folder, or the ``datapackage.json``, of a
            Camtrap DP package.
        column: The column with the labels of a table, if it has an unusual name.

    Raises:
        InputError: The file cannot be read, has no labels, or contains an invalid line.
    """
    if Path(path).is_dir() or path.endswith("datapackage.json"):
        from speciesnet.survey.evaluation.camtrap_labels import read_camtrap_labels

        found = read_camtrap_labels(path)
    elif path.endswith((CORRECTIONS_ENDING, ".jsonl")):
        found = _from_corrections(path)
    elif path.endswith(".json"):
        raise InputError(
            f"{path} is not a file of labels. Pass a CSV table, corrections, or a Camtrap DP package."
        )
    else:
        found = _from_table(path, column)
    if not any(found.by_file.values()):
        raise InputError(
            f"{path} contains no labels. Pass a file in which photographs have labels."
        )
    return found


def _from_corrections(path: str) -> WrittenLabels:
    """The answers of a review, including confirmed ones."""
    found = WrittenLabels(path)
    unanswered = Examples(
        "photograph has corrected boxes or counts but no reviewed answer, and is left out",
        "photographs have corrected boxes or counts but no reviewed answer, and are left out",
    )
    with file_errors(InputError, f"The corrections {path}"), local_file(path) as copy:
        if not copy.is_file():
            raise InputError(f"There is no file {path}. Pass a file of labels.")
        corrections = read_corrections(copy)
    for filepath, correction in corrections.items():
        if correction.label is None:
            if not correction.is_empty:
                unanswered.add(filepath)
            continue
        names = (correction.label,)
        if not correction.counts:
            if correction.boxes:
                found.box_corrections[filepath] = correction
            found.add(filepath, Written(names, None, path))
            continue
        # The answer comes first, because it is what the evaluation compares.
        ordered = sorted(correction.counts.items(), key=lambda item: item[0] != correction.label)
        if correction.label not in correction.counts:
            found.add(filepath, Written(names, 0, path))
        for label, count in ordered:
            found.add(filepath, Written((label,), count, path))
    found.notes += filter(None, [str(unanswered)])
    return found


class Columns:
    """The columns of a table of labels, whatever their names.

    Args:
        path: The table, for messages.
        columns: Its columns.
        label: The column with the labels, or None to find it.

    Raises:
        InputError: The table has no column of files, or no column of labels.
    """

    def __init__(self, path: str, columns: Sequence[str], label: str | None) -> None:
        self._by_name = {_SEPARATORS.sub("", name).lower(): name for name in columns if name}
        self.file = self._first(FILE_COLUMNS)
        self.folder = self._first(FOLDER_COLUMNS)
        self.count = self._first(COUNT_COLUMNS)
        shown = ", ".join(filter(None, columns)) or "none"
        if self.file is None:
            raise InputError(
                f"{path} has no column with photographs; its columns are {shown}. "
                "Rename one of them to file."
            )
        if label is not None:
            given = self._by_name.get(_SEPARATORS.sub("", label).lower())
            if given is None:
                raise InputError(
                    f"{path} has no column {label!r}; its columns are {shown}. Correct --label_column."
                )
            self.labels = [given]
            return
        names = [*LATIN_COLUMNS, *COMMON_COLUMNS, *RANK_COLUMNS]
        self.labels = [self._by_name[name] for name in names if name in self._by_name]
        if not self.labels:
            raise InputError(
                f"{path} has no column with labels; its columns are {shown}. "
                "Rename one of them to label, or pass its name with --label_column."
            )

    def _first(self, names: Sequence[str]) -> str | None:
        return next((self._by_name[name] for name in names if name in self._by_name), None)

    def names_in(self, cells: dict[str, str]) -> tuple[str, ...]:
        """The names in a row, best first; a species name without its genus gets the genus."""
        names: list[str] = []
        genus = cells.get(self._by_name.get("genus", ""))
        for column in self.labels:
            if name := cells.get(column):
                is_epithet = column == self._by_name.get("species") and " " not in name
                names.append(f"{genus} {name}" if genus and is_epithet else name)
        return tuple(dict.fromkeys(names))

    def path_in(self, place: str, cells: dict[str, str]) -> str:
        """The path of the photograph of a row; raises ``InputError`` if it has none."""
        file = cells.get(self.file or "")
        if not file:
            raise InputError(
                f"{place} does not name a photograph. Add its path, or remove the line."
            )
        folder = cells.get(self.folder or "", "").rstrip("/\\")
        has_folder = (
            not folder
            or is_absolute(file)
            or file.replace("\\", "/").startswith(folder.replace("\\", "/") + "/")
        )
        return file if has_folder else f"{folder}/{file}"


def _from_table(path: str, column: str | None) -> WrittenLabels:
    names, rows = read_table(path, "labels", ())
    if not any(names):
        raise InputError(f"{path} is empty. Pass a table with the columns file and label.")
    columns, found = Columns(path, names, column), WrittenLabels(path)
    for place, cells in rows:
        written = columns.names_in(cells)
        count = count_in((place, cells), columns.count)
        found.add(
            columns.path_in(place, cells), Written(written, count, place) if written else None
        )
    return found


def count_in(row: Row, column: str | None) -> int | None:
    """The number of individuals in a row; None if there is none. Raises ``InputError``."""
    place, cells = row
    if not column or not (text := cells.get(column)):
        return None
    try:
        number = float(text)
        if number >= 0 and number == int(number):
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise InputError(f"{place}: {column} is {text!r}; it must be a whole number or empty.")
