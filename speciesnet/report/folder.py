"""The folder of a report or of tables: writes its files and removes those of an earlier one."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Container, Sequence
from pathlib import Path
from typing import NamedTuple

from speciesnet.errors import OutputError
from speciesnet.files.paths import path_parts
from speciesnet.files.storage import scheme_of

MARKER = "report.json"  # marks a folder as a report and lists the report's files


class FolderKind(NamedTuple):
    """What a command writes into a folder.

    Attributes:
        marker: The file that marks the folder and lists its files.
        made_by: The module of the command; other programs may write a file of that name.
        flag: How the command line passes the folder, for messages; with a blank at the end, or empty.
    """

    marker: str
    made_by: str
    flag: str = ""


REPORT = FolderKind(MARKER, "speciesnet.scripts.report", "--out ")


def check_report_folder(out: str | os.PathLike[str], kind: FolderKind = REPORT) -> None:
    """Raises ``OutputError`` if a folder cannot become a report or contains other files."""
    if scheme_of(os.fspath(out)) is not None:
        raise OutputError(f"{kind.flag}{out} is a URL. Pass a folder on this computer.")
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise OutputError(f"{kind.flag}{out} is not a folder. Pass a different name.")
    if out.is_dir() and any(out.iterdir()) and _earlier_files(out, kind) is None:
        to = f" to {kind.flag.strip()}" if kind.flag else ""
        raise OutputError(
            f"The folder {out} contains other files. Pass an empty or new folder{to}."
        )


def _earlier_files(folder: Path, kind: FolderKind) -> list[str] | None:
    """Returns the files that an earlier report wrote, or None if the folder is not a report."""
    try:
        marker = json.loads((folder / kind.marker).read_text(encoding="utf-8"))
        if marker["made_by"] != kind.made_by:
            return None
        names = [str(name) for name in marker["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # Only names inside the folder: the marker may have been edited.
    return [name for name in names if path_parts(name) == tuple(name.split("/"))]


class ReportFolder:
    """Writes the files of a report and remembers them, so that no other file is ever removed.

    Args:
        path: The folder; it is created if it does not exist.
        kind: What the folder contains.

    Attributes:
        files: The names of the files written so far, relative to the folder.

    Raises:
        OSError: The folder cannot be written.
    """

    def __init__(self, path: Path, kind: FolderKind = REPORT) -> None:
        self.path = path
        self._kind = kind
        self.files: list[str] = []
        path.mkdir(parents=True, exist_ok=True)
        self._earlier = _earlier_files(path, kind) or []
        self._mark(self._earlier)

    def remove_earlier_files(self) -> None:
        """Removes files from an earlier report."""
        for name in self._earlier:
            (self.path / name).unlink(missing_ok=True)

    def write(self, name: str, data: bytes) -> None:
        """Writes a file; its name is relative to the folder, with slashes."""
        self.new_file(name).write_bytes(data)

    def new_file(self, name: str) -> Path:
        """Remembers a file that is about to be written and returns its path; see ``write``."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.files.append(name)
        return path

    def finish(self) -> None:
        """Lists the written files in the marker."""
        self._mark(self.files)

    def _mark(self, files: Sequence[str]) -> None:
        marker = json.dumps({"made_by": self._kind.made_by, "files": files}, indent=0)
        (self.path / self._kind.marker).write_text(marker, encoding="utf-8")


def unused_name(stem: str, ending: str, used: Container[str]) -> str:
    """Returns the first name that is not in use.

    >>> unused_name("fox", ".html", {"fox.html", "fox-2.html"})
    'fox-3.html'
    """
    names = (f"{stem}-{number}{ending}" for number in itertools.count(2))
    return next(name for name in itertools.chain([f"{stem}{ending}"], names) if name not in used)
