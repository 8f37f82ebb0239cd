"""Finds the photographs of a predictions file, even if their folder has moved."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import TypeVar

from absl import logging

from speciesnet.errors import InputError
from speciesnet.files.input_notes import counted, plural
from speciesnet.files.paths import with_slashes
from speciesnet.files.storage import is_cloud, scheme_of

_Found = TypeVar("_Found", bound=Path | str | None)


class Photographs:
    """Finds photographs by the paths in records; safe to use from several threads.

    Args:
        image_root: The folder that the photographs have moved to; None if the paths are still right.

    Attributes:
        found: The number of photographs that were found.
        missing: The number of photographs that were not found.

    Raises:
        InputError: The folder does not exist, or is not on this computer.
    """

    def __init__(self, image_root: str | None = None) -> None:
        if image_root is not None and scheme_of(image_root) is not None:
            raise InputError(
                f"--image_root {image_root} is not on this computer. Download that folder, and pass "
                "the copy."
            )
        if image_root is not None and not Path(image_root).is_dir():
            raise InputError(
                f"--image_root {image_root} is not a folder; pass the folder with the photographs."
            )
        self._root = None if image_root is None else Path(image_root)
        self._folders: dict[tuple[str, ...], list[Path]] = {}  # see _folders_of
        self._owners: dict[int, PurePosixPath] = {}  # of files below the root, by their hashes
        self._lock = threading.Lock()
        self.found = self.missing = 0
        self._example = ""  # one of the missing ones

    def find(self, filepath: str) -> Path | None:
        """The file on this computer for a path or URL in a record, or None if there is none.

        Under ``image_root``, this is the file that matches the longest end of the path.

        Raises:
            InputError: The photograph of another path is the same file.
        """
        return self._counted(filepath, self._find(filepath))

    def source(self, filepath: str) -> Path | str | None:
        """Like ``find``, but returns the URL of a photograph in a bucket if ``image_root`` is None.

        Whether the URL exists is known only once it is opened; see ``not_there``.
        """
        is_url = self._root is None and is_cloud(filepath)
        return self._counted(filepath, filepath if is_url else self._find(filepath))

    def _counted(self, filepath: str, found: _Found) -> _Found:
        with self._lock:
            if found is None:
                self.missing += 1
                self._example = self._example or filepath
            else:
                self.found += 1
        return found

    def not_there(self, filepath: str) -> None:
        """Counts a photograph that ``source`` returned as missing, because it cannot be fetched."""
        with self._lock:
            self._example = self._example or filepath
            self.found -= 1
            self.missing += 1

    def _find(self, filepath: str) -> Path | None:
        if self._root is None:
            path = Path(filepath)
            return path if scheme_of(filepath) is None and _is_there(path, Path.is_file) else None
        path = PurePosixPath(with_slashes(filepath))
        *parts, name = path.parts or ("",)
        if name in ("", "..", "/") or name.endswith(":"):
            return None
        files = (folder / name for folder in self._folders_of(tuple(parts), self._root))
        found = next((file for file in files if _is_there(file, Path.is_file)), None)
        if found is not None:
            owner = self._owners.setdefault(hash(found), path)
            if owner != path:
                raise InputError(
                    f"--image_root {self._root} has only {found} for both {owner} and {path}. Pass a "
                    "folder in which these photographs are in different folders."
                )
        return found

    def check(self, filepaths: Iterable[str]) -> None:
        """Raises ``InputError`` if two paths lead to the same file; call this before using any file."""
        for filepath in filepaths if self._root is not None else ():
            self._find(filepath)

    def _folders_of(self, parts: tuple[str, ...], root: Path) -> list[Path]:
        """The folders below the root that match an end of a folder's parts, longest first."""
        with self._lock:
            if parts not in self._folders:
                ends = (parts[dropped:] for dropped in range(len(parts) + 1))
                self._folders[parts] = [
                    root.joinpath(*end)
                    for end in ends
                    if not {"..", "/"} & set(end)
                    and not (end and end[0].endswith(":"))
                    and _is_there(root.joinpath(*end), Path.is_dir)
                ]
            return self._folders[parts]

    def warn_of_missing(self, consequence: str) -> None:
        """Logs how many photographs were not found, if any.

        Args:
            consequence: The consequence for these photographs: "their dates are left empty".
        """
        if self.missing:
            logging.warning(
                "%d of %s %s not where the predictions say, such as %s; %s. If they have moved, pass "
                "their new folder with --image_root.",
                self.missing,
                counted(self.missing + self.found, "photograph"),
                plural(self.missing, "is", "are"),
                self._example,
                consequence,
            )


def _is_there(path: Path, check: Callable[[Path], bool]) -> bool:
    try:
        return check(path)
    except (OSError, ValueError):  # names that no file system accepts
        return False
