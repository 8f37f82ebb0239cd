"""Lists the images in folders, on a disk or in a bucket, and notes what is not a photograph."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from absl import logging

from speciesnet.constants import CROPS_LIST, DRAWN_LIST, UNDO_FILE
from speciesnet.errors import InputError, file_errors
from speciesnet.files import storage
from speciesnet.files.extensions import is_film_name, is_image_name
from speciesnet.files.input_notes import InputNotes

# Names in lower case; names that start with a dot are skipped anyway.
SYSTEM_FOLDERS = frozenset({
    "__macosx",  # archives made on macOS
    "network trash folder", "temporary items", "thevolumesettingsfolder",  # macOS on network drives
    "lost+found",  # Linux
    "lost.dir",  # Android
    "$recycle.bin", "recycler", "recycled", "system volume information", "msocache",  # Windows
    "windowsimagebackup",
    "@eadir", "@synoresource", "@synoeastream", "@tmp", "@database", "@sharebin",  # Synology
    "#recycle", "#snapshot",
    "@recycle", "@recently-snapshot", "@__thumb",  # QNAP
    "~snapshot",  # NetApp
    "recycle bin", "trashbox",  # NETGEAR ReadyNAS, Buffalo
    "ipod photo cache",  # iTunes
    "thumbs", "thmbnl",  # small copies made by galleries, and of videos by Sony cameras
    "[originals]",  # ACDSee: photographs as they were before a change
    "captureone",  # settings and previews of Capture One
    "deletedfiles",  # Timelapse: the images that are deleted in it
})  # fmt: skip
# Names that contain a number, a date or the name of a catalog.
_SYSTEM_FOLDER = re.compile(
    r"found\.\d{3}"  # what Windows's disk check has found
    r"|@gmt-\d{4}\.\d\d\.\d\d-\d\d\.\d\d\.\d\d"  # earlier versions on Windows shares
    r"|_nas_recycle_.*"  # Thecus
    r"|.*\.lrdata"  # previews of Lightroom
)
# The folders in a library of Apple Photos, iPhoto or Aperture that hold copies.
_LIBRARIES = (".photoslibrary", ".photolibrary", ".migratedphotolibrary", ".aplibrary")
_OF_LIBRARIES = frozenset({"resources", "thumbnails", "previews", "database", "private", "scopes"})
_SMALL_COPIES = frozenset({"thumbnails", "thumbnail", "previews"})
SYSTEM_FILES = frozenset({
    "thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini",
    "picasa.ini", "zbthumbnail.info",
    "adobe bridge cache.bc", "adobe bridge cache.bct", "adobe bridge cache.bcd",
    "digikam4.db", "thumbnails-digikam.db", "recognition.db", "similarity.db",
})  # fmt: skip


@dataclass
class LinkedImages:
    """Symbolic links to images, set aside until it is known which images the folders contain.

    Attributes:
        links: Their paths.
        searched: The real paths of all folders that were searched.
    """

    links: set[str] = field(default_factory=set)
    searched: set[str] = field(default_factory=set)

    def photographs(self, notes: InputNotes) -> Iterator[str]:
        """Yields the links whose target has not been found; notes the others."""
        for link in sorted(self.links):
            target = Path(_real(link))
            if self._contains(target):
                notes.linked_images.add(f"{link} (the same as {target.as_posix()})")
            else:
                yield link

    def _contains(self, target: Path) -> bool:
        """Whether the search has found an image."""
        is_seen = is_image_name(target.name) or is_film_name(target.name)
        is_seen = is_seen and not target.name.startswith(".")
        return is_seen and os.path.normcase(target.parent) in self.searched and target.exists()


def _real(path: str) -> str:
    return os.path.normcase(os.path.realpath(path))


def _links_in(folder: str) -> set[str]:
    """The names of the symbolic links in a folder, without examining each file."""
    with suppress(OSError), os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.is_symlink()}
    return set()


def images_in(
    folder: str,
    notes: InputNotes,
    counted: Collection[str] = (),
    *,
    films: bool = False,
    links: LinkedImages | None = None,
) -> Iterator[str]:
    """Yields the paths of the images under a folder at any depth, with forward slashes.

    The folder itself is always searched. Below it, hidden files and folders, folders that operating
    systems and programs create, and links to folders are skipped. Links to images come last: only
    one path of an image is yielded.

    Args:
        folder: A path, or a URL of a bucket.
        notes: Receives what is skipped.
        counted: Folders that were searched before, as in ``identity_of``; nothing is noted below them.
        films: Whether to find films as well.
        links: Receives the links to images instead, for a search of several folders.

    Raises:
        InputError: The folder does not exist or cannot be listed.
    """
    if any(is_within(identity_of(folder), earlier) for earlier in counted):
        notes = InputNotes()
    if storage.scheme_of(folder) is not None:
        yield from _in_bucket(folder, notes, films)
        return
    if not os.path.isdir(folder):  # noqa: PTH112 (pathlib's raises for names that are too long)
        raise _not_a_folder(folder, is_file=os.path.exists(folder))  # noqa: PTH110 (as above)

    def note_unreadable(error: OSError) -> None:
        logging.warning("Cannot read the folder %s: %s.", error.filename, error.strerror or error)
        notes.unreadable_folders.add(str(error.filename))

    found = LinkedImages() if links is None else links
    for parent, folders, names in os.walk(folder, onerror=note_unreadable):
        if parent != folder and _holds_copies(parent, names):
            notes.system_folders.add(Path(parent).as_posix())
            folders.clear()
            continue
        folders[:] = [name for name in folders if _is_entered(parent, name, names, notes)]
        found.searched.add(_real(parent))
        linked = _links_in(parent)
        for name in names:
            path = Path(parent, name).as_posix()
            if not _is_noted_image(path, notes, films):
                continue
            if name in linked:
                found.links.add(path)
            else:
                yield path
    if links is None:
        yield from found.photographs(notes)


def identity_of(folder: str) -> str:
    """A folder's name for comparison with others."""
    if storage.scheme_of(folder) is not None:
        return folder.rstrip("/")
    return os.path.normcase(os.path.abspath(folder))  # noqa: PTH100 (does not resolve links)


def is_within(folder: str, other: str) -> bool:
    """Whether a folder is the same as another, or below it; both as in ``identity_of``."""
    return f"{folder}/".replace("\\", "/").startswith(f"{other}/".replace("\\", "/"))


def _is_entered(parent: str, name: str, neighbors: list[str], notes: InputNotes) -> bool:
    path = Path(parent, name)
    if is_system_folder(name, path.parent.name) or _is_made_by_program(path, neighbors):
        notes.system_folders.add(path.as_posix())
        return False
    if path.is_symlink():
        notes.linked_folders.add(path.as_posix())
        return False
    return True


def is_system_folder(name: str, parent: str) -> bool:
    """Whether the name of a folder, in a parent with another name, shows that a system made it."""
    kind = name.lower()
    return (
        name.startswith(".")
        or kind in SYSTEM_FOLDERS
        or _SYSTEM_FOLDER.fullmatch(kind) is not None
        or (kind in _OF_LIBRARIES and parent.lower().endswith(_LIBRARIES))
    )


def _is_made_by_program(folder: Path, neighbors: list[str]) -> bool:
    """Whether a folder with a common name was created by a program, judging by the files next to it."""
    kind = folder.name.lower()
    lower = {name.lower() for name in neighbors}
    if kind == "backups":  # made by Timelapse, next to its database or template
        return any(name.endswith((".ddb", ".tdb")) for name in lower)
    if kind == "originals":  # made by Picasa: the images next to it, before they were changed
        return bool(lower & {"picasa.ini", ".picasa.ini"}) and _repeats(folder, lower)
    return kind in _SMALL_COPIES and _repeats(folder, lower)


def _repeats(folder: Path, neighbors: set[str]) -> bool:
    """Whether every file in a folder has the name of a file next to the folder."""
    try:
        inside = {entry.name.lower() for entry in folder.iterdir()}
    except OSError:
        return False
    return bool(inside) and inside <= neighbors | SYSTEM_FILES | {".picasa.ini", ".ds_store"}


def _holds_copies(folder: str, names: list[str]) -> bool:
    """Whether this program created all images below a folder from other images."""
    if {CROPS_LIST, DRAWN_LIST} & set(names):
        return True
    try:
        with Path(folder, UNDO_FILE).open("rb") as file:
            first = file.readline(1 << 20)
    except OSError:
        return False
    return any(f'"how": "{how}"'.encode() in first for how in ("copy", "hardlink", "symlink"))


def _is_noted_image(path: str, notes: InputNotes, films: bool) -> bool:
    """Whether a file is an image or film of the run; otherwise notes it."""
    name = path.rpartition("/")[2]
    if name.startswith("."):
        if is_image_name(name) or (films and is_film_name(name)):
            notes.hidden_files.add(path)
        return False
    if is_image_name(path) or (films and is_film_name(path)):
        return True
    if name.lower() not in SYSTEM_FILES:
        notes.add_other_file(path)
    return False


def _in_bucket(folder: str, notes: InputNotes, films: bool) -> Iterator[str]:
    if not storage.is_cloud(folder):
        raise InputError(
            f"The folder {folder} is on the web, where folders cannot be listed; pass its images with "
            "--filepaths_txt."
        )
    is_empty = True
    base = folder.rstrip("/") + "/"
    skipped = ""  # the listing is sorted, so the keys below a folder follow each other
    fix = "Fix the cause or pass a different folder."
    with file_errors(InputError, f"The folder {folder}", "listed", fix):
        for url in storage.list_folder(folder):
            is_empty = False
            if skipped and url.startswith(skipped):
                continue
            if (system := _system_folder_of(url, len(base))) is not None:
                skipped = f"{system}/"
                notes.system_folders.add(system)
            elif _is_noted_image(url, notes, films):
                yield url
        if is_empty:
            raise _not_a_folder(folder, is_file=storage.is_object(folder))


def _system_folder_of(url: str, start: int) -> str | None:
    """The outermost system folder in a URL, searched from a given position."""
    folders = url[start:].split("/")[:-1]
    for number, name in enumerate(folders, start=1):
        parent = folders[number - 2] if number > 1 else url[:start].rstrip("/").rpartition("/")[2]
        if is_system_folder(name, parent) and name not in (".", ".."):
            return url[:start] + "/".join(folders[:number])
    return None


def _not_a_folder(folder: str, *, is_file: bool) -> InputError:
    kind = "is a file, not a folder" if is_file else "does not exist"
    similar = None if is_file else _similar_folder(folder)
    advice = f" Did you mean {similar}?" if similar else ""
    return InputError(
        f"The folder {folder} {kind}; pass the folder that contains the images.{advice}"
    )


def _similar_folder(folder: str) -> str | None:
    """The only folder whose path differs in letter case, Unicode form or blanks; None in a bucket."""
    if storage.scheme_of(folder) is not None or "\0" in folder:
        return None
    found = [Path(Path(folder).anchor)]
    for part in Path(folder).parts[bool(found[0].name or Path(folder).anchor) :]:
        same = [parent / part for parent in found]
        exact = [path for path in same if _is_folder(path)]
        found = exact or [
            other
            for parent in found
            for other in _folders_in(parent)
            if _key(other) == _key(Path(part))
        ]
    return found[0].as_posix() if len(found) == 1 else None


def _key(path: Path) -> str:
    return " ".join(unicodedata.normalize("NFKC", path.name).casefold().split())


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 (as above)


def _folders_in(folder: Path) -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if _is_folder(entry)]
    except (OSError, ValueError):
        return []
