"""Paths of photographs in predictions, and names that every file system accepts."""

from __future__ import annotations

import itertools
import os
import re
import unicodedata
from collections.abc import Iterable

from speciesnet.files.storage import scheme_of

MAX_NAME = 100  # characters
_MAX_BYTES = 240  # file systems accept 255

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_RESERVED_CHARACTERS = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED_NAME = re.compile(
    r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³])\s*(\.|$)", re.IGNORECASE
)

Parts = tuple[str, ...]


def with_slashes(filepath: str) -> str:
    """A path of any system with ``/`` between its parts."""
    return filepath.replace("\\", "/")


def file_name(filepath: str) -> str:
    """The last part of a path of any system."""
    return with_slashes(filepath).rpartition("/")[2]


def safe_name(text: str) -> str:
    """Makes a name for a file or folder, as close to the text as possible, that every system accepts.

    Examples:
        >>> safe_name('red fox: "1/2"')
        'red fox_ _1_2_'
    """
    name = _RESERVED_CHARACTERS.sub("_", text)[:MAX_NAME]
    name = name.encode("utf-8", "replace")[:_MAX_BYTES].decode("utf-8", "ignore")
    name = name.strip().rstrip(". ")
    return f"_{name}" if not name or _RESERVED_NAME.match(name) else name


def path_parts(filepath: str) -> Parts:
    """The folders and the name in a path or URL, without roots, schemes, ``.`` and ``..``."""
    is_url = scheme_of(filepath) is not None
    return split_path(filepath.partition("://")[2] if is_url else filepath)


def split_path(filepath: str) -> Parts:
    """The folders and the name in a path of any system, without ``.`` and ``..``."""
    parts: list[str] = []
    for part in with_slashes(filepath).split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return tuple(parts)


def common_folder(filepaths: Iterable[str]) -> Parts:
    """The innermost folder that contains all files; URLs do not count."""
    return shared_start(path_parts(path)[:-1] for path in filepaths if scheme_of(path) is None)


def shared_start(folders: Iterable[Parts]) -> Parts:
    """The parts that all folders start with; empty if there are no folders."""
    unique = set(folders)
    first, last = min(unique, default=()), max(unique, default=())  # all others are between them
    pairs = zip(first, last, strict=False)
    return tuple(part for part, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def end_of(wanted: Parts, parts: Parts) -> int:
    """The position after the last occurrence of consecutive parts in a path; -1 if there is none.

    The wanted parts are in Unicode NFC; the path may have names in NFD, as macOS writes them.
    """
    parts = _composed(parts)
    ends = range(len(parts), len(wanted) - 1, -1)
    return next((end for end in ends if parts[end - len(wanted) : end] == wanted), -1)


def note_on_lookalikes(one: Parts, other: Parts) -> str:
    """A sentence on two different folders whose names look the same; empty for other folders.

    Examples:
        >>> note_on_lookalikes(("cam1",), ("cam2",))
        ''
    """
    if one == other or _composed(one) != _composed(other):
        return ""
    return (
        f" The two names look the same, but store their accents differently, as macOS and other systems "
        f"do ({'/'.join(one)!a} and {'/'.join(other)!a}): rename one of the folders, or put "
        "their photographs into one, before the run."
    )


def _composed(parts: Parts) -> Parts:
    return tuple(unicodedata.normalize("NFC", part) for part in parts)


def path_below(filepath: str, common: Parts, *, windows: bool = os.name == "nt") -> Parts:
    """The folders and the name of a file below the common folder.

    Args:
        filepath: The path in a record.
        common: The common folder, see ``common_folder``; it contains the path, unless that is a URL.
        windows: Whether to replace names that Windows does not accept.
    """
    parts = path_parts(filepath)[0 if scheme_of(filepath) else len(common) :]
    return tuple(safe_name(part) for part in parts) if windows else parts
