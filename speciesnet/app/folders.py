"""The folders that pages may see: a page can name only paths that were listed before."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from speciesnet.app.errors import PageError
from speciesnet.errors import InputError
from speciesnet.files.extensions import is_film_name
from speciesnet.files.input_notes import InputNotes
from speciesnet.files.listing import images_in, is_system_folder

MAX_ENTRIES = 1000  # listed per folder
MAX_SECONDS = 60.0  # spent counting
MAX_FILES = 2_000_000
_DRIVES = ("/media", "/run/media", "/mnt", "/Volumes")  # where Linux and macOS show drives


@dataclass
class Count:
    """The numbers of files in some folders; they grow until counting is done.

    Attributes:
        photographs: The number of photographs.
        films: The number of films.
        bytes: The total size of both.
        done: Whether all folders have been searched.
        limited: Whether counting stopped early because there are too many files.
        error: Why a folder cannot be read, or None.
    """

    photographs: int = 0
    films: int = 0
    bytes: int = 0
    done: bool = False
    limited: bool = False
    error: str | None = None

    def fill(self, folders: Sequence[str]) -> None:
        """Counts the files; call it once, in its own thread."""
        end = time.monotonic() + MAX_SECONDS
        try:
            for path in (
                path for one in folders for path in images_in(one, InputNotes(), films=True)
            ):
                if is_film_name(path):
                    self.films += 1
                else:
                    self.photographs += 1
                with suppress(OSError):
                    self.bytes += Path(path).stat().st_size
                if time.monotonic() > end or self.photographs + self.films >= MAX_FILES:
                    self.limited = True
                    break
        except InputError as error:
            self.error = str(error)
        self.done = True


class Folders:
    """Lists folders, and remembers which paths pages may name."""

    def __init__(self) -> None:
        self._listed: set[str] = set()
        self._counts: dict[tuple[str, ...], tuple[float, Count]] = {}
        self._lock = threading.Lock()

    def admit(self, paths: Iterable[str]) -> None:
        """Allows pages to name these paths, such as those of known surveys."""
        self._listed.update(paths)

    def check(self, path: object) -> str:
        """Returns a path that was listed before; raises ``PageError`` for any other value."""
        if not isinstance(path, str) or path not in self._listed:
            raise PageError(
                403,
                "folder_not_listed",
                "Choose the folder from the list of folders.",
                "choose_folder",
            )
        return path

    def places(self, recent: Iterable[str] = ()) -> dict[str, object]:
        """The folders to start from: the user's own, the drives, and recently used ones."""
        found = {
            str(Path.home()): "home",
            platformdirs.user_pictures_dir(): "pictures",
            platformdirs.user_documents_dir(): "documents",
            platformdirs.user_desktop_dir(): "desktop",
            **dict.fromkeys(_drives(), "drive"),
        }
        found |= dict.fromkeys((path for path in recent if path not in found), "recent")
        entries = [
            {"path": path, "name": Path(path).name or path, "kind": kind}
            for path, kind in found.items()
            if Path(path).is_dir()
        ]
        self.admit(entry["path"] for entry in entries)
        return {
            "path": None,
            "name": None,
            "parent": None,
            "folders": entries,
            "files": [],
            "cut": False,
        }

    def listing(self, path: str, endings: tuple[str, ...]) -> dict[str, object]:
        """The contents of a folder that was listed before.

        Args:
            path: The folder.
            endings: Lowercase endings of the files to list; no files if empty.

        Raises:
            PageError: The folder was not listed, or cannot be read.
        """
        folder = Path(self.check(path))
        folders, files, is_cut = [], [], False
        try:
            with os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda one: one.name.lower()):
                    if entry.name.startswith((".", "$")) or entry.is_symlink():
                        continue
                    if len(folders) + len(files) == MAX_ENTRIES:
                        is_cut = True
                        break
                    one = {"path": str(folder / entry.name), "name": entry.name}
                    if entry.is_dir():
                        if is_system_folder(entry.name, folder.name):
                            continue
                        folders.append({**one, "kind": "folder"})
                    elif endings and entry.name.lower().endswith(endings):
                        files.append({**one, "bytes": entry.stat().st_size})
        except OSError as error:
            raise gone(str(folder), error) from error
        parent = None if folder.parent == folder else str(folder.parent)
        is_known = parent in self._listed
        self.admit(str(one["path"]) for one in folders + files)
        return {
            "path": str(folder),
            "name": folder.name or str(folder),
            "parent": parent if is_known else None,
            "folders": folders,
            "files": files,
            "cut": is_cut,
        }

    def count_for_page(self, paths: Sequence[str]) -> dict[str, object]:
        """The count of folders that were listed before; the first call starts counting."""
        key = [self.check(path) for path in paths]
        since, count = self._counts.get(tuple(key), (0.0, None))
        is_old = count is not None and count.done and time.monotonic() - since > MAX_SECONDS
        return asdict(self.count(key, again=is_old))

    def count(self, paths: Sequence[str], *, again: bool = False) -> Count:
        """The count of folders; starts counting unless it was started before.

        Args:
            paths: The folders.
            again: Whether to count again.
        """
        key = tuple(paths)
        with self._lock:
            _, count = self._counts.get(key, (0.0, None))
            if count is None or (again and count.done):
                count = Count()
                self._counts[key] = (time.monotonic(), count)
                threading.Thread(target=count.fill, args=(key,), daemon=True).start()
            return count


def total_of(counts: Mapping[str, object] | None) -> int | None:
    """The total number of files in counts as JSON; None until it is known exactly."""
    if not counts or not counts["done"] or counts["limited"]:
        return None
    photographs, films = counts["photographs"], counts["films"]
    assert isinstance(photographs, int)
    assert isinstance(films, int)
    return photographs + films


def gone(folder: str, error: OSError | None = None) -> PageError:
    """The error for a folder that cannot be read."""
    reason = f" ({error.strerror or error})" if error else ""
    return PageError(
        404,
        "folder_gone",
        f"The folder {folder} cannot be read{reason}; connect its drive, or choose another folder.",
        "choose_folder",
    )


def _drives() -> list[str]:
    if sys.platform == "win32":
        return [
            f"{letter}:\\"
            for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
            if Path(f"{letter}:\\").exists()
        ]
    found = []
    for place in map(Path, _DRIVES):
        with suppress(OSError):
            found += [
                str(entry) for entry in place.iterdir() if entry.is_dir() and not entry.is_symlink()
            ]
    # Linux mounts them in a folder named after the user.
    own = [
        str(entry) for one in found if Path(one).name == Path.home().name for entry in _folders(one)
    ]
    return [*found, *own]


def _folders(path: str) -> list[Path]:
    try:
        return [entry for entry in Path(path).iterdir() if entry.is_dir()]
    except OSError:
        return []
