"""The folder of a report: writes its files and removes those of an earlier report."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Container, Sequence
from pathlib import Path

from speciesnet.errors import OutputError
from speciesnet.files.paths import path_parts
from speciesnet.files.storage import scheme_of

MARKER = "report.json"  # marks a folder as a report and lists the report's files
REPORT = "speciesnet.scripts.report"  # other programs may write a file of that name


def check_report_folder(
    out: str | os.PathLike[str], made_by: str = REPORT, flag: str = "--out"
) -> None:
    """Raises ``OutputError`` if a folder cannot become a report or contains other files.

    Args:
        out: The folder.
        made_by: The command that writes the report; another command's folders are not overwritten.
        flag: The flag that names the folder, for messages.
    """
    if scheme_of(os.fspath(out)) is not None:
        raise OutputError(f"{flag} {out} is a URL. Pass a folder on this computer.")
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise OutputError(f"{flag} {out} is not a folder. Pass a different name.")
    if out.is_dir() and any(out.iterdir()) and _earlier_files(out, made_by) is None:
        raise OutputError(
            f"The folder {out} contains other files. Pass an empty or new folder to {flag}."
        )


def _earlier_files(folder: Path, made_by: str) -> list[str] | None:
    """Returns the files that an earlier report wrote, or None if the folder is not such a report."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        if marker["made_by"] != made_by:
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
        made_by: The command that writes it.

    Attributes:
        files: The names of the files written so far, relative to the folder.

    Raises:
        OSError: The folder cannot be written.
    """

    def __init__(self, path: Path, made_by: str = REPORT) -> None:
        self.path = path
        self.files: list[str] = []
        self._made_by = made_by
        path.mkdir(parents=True, exist_ok=True)
        self._earlier = _earlier_files(path, made_by) or []
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
        marker = json.dumps({"made_by": self._made_by, "files": files}, indent=0)
        (self.path / MARKER).write_text(marker, encoding="utf-8")


def unused_name(stem: str, ending: str, used: Container[str]) -> str:
    """Returns the first name that is not in use.

    >>> unused_name("fox", ".html", {"fox.html", "fox-2.html"})
    'fox-3.html'
    """
    names = (f"{stem}-{number}{ending}" for number in itertools.count(2))
    return next(name for name in itertools.chain([f"{stem}{ending}"], names) if name not in used)
