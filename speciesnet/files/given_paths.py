"""Paths as people write them in flags and lists, matched with the files on this machine."""

from __future__ import annotations

import functools
import os
import re
import unicodedata
from contextlib import suppress
from urllib.parse import unquote_to_bytes

from speciesnet.files.input_notes import InputNotes
from speciesnet.files.storage import scheme_of

QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019"}
MAX_LISTINGS = 64  # folders whose names are kept

_FILE_URL = re.compile(r"file:(?://(?:localhost)?)?(/[^\0]*)", re.IGNORECASE)
_WINDOWS_DRIVE = re.compile(r"/[A-Za-z]:/")


class GivenPaths:
    """Finds the file that each path refers to; a path that exists as written stays unchanged.

    Args:
        notes: Receives the number of paths that were found elsewhere.
        source: The list that contains the paths, if there is one; relative paths are also searched for
            in its folder.
    """

    def __init__(self, notes: InputNotes, source: str | None = None) -> None:
        self._notes = notes
        self._base = ""
        if source is not None and scheme_of(source) is None:
            base = os.path.dirname(source)  # noqa: PTH120 (keeps the spelling)
            if base and os.path.realpath(base) != os.path.realpath("."):
                self._base = base
        self._is_folder = functools.cache(os.path.isdir)
        self._names_in = functools.lru_cache(MAX_LISTINGS)(_names_in)

    def find(self, path: str) -> str:
        """The path of an existing file, or the path without quotes if there is none."""
        if scheme_of(path) is not None:
            return path
        path = from_file_url(without_quotes(path))
        if path.startswith("~") and not _exists(path):
            path = os.path.expanduser(path)  # noqa: PTH111 (leaves unknown users as they are)
        if scheme_of(path) is not None or "\0" in path:
            return path
        base = "" if os.path.isabs(path) else self._base  # noqa: PTH117
        if base and not self._is_folder(os.path.dirname(os.path.join(base, path))):  # noqa: PTH118, PTH120
            base = "" if path.isascii() else base
        if (path.isascii() and not base) or _exists(path):
            return path
        if not path.isascii() and (match := self._respell(path)):
            self._notes.respelled.add(match)
            return match
        below = os.path.join(base, path) if base else ""  # noqa: PTH118
        if below and (match := below if _exists(below) else self._respell(below)):
            self._notes.relocated.add(match)
            return match
        return path

    def _respell(self, path: str) -> str | None:
        """An existing path that differs only in the Unicode form of its characters."""
        if path.isascii():
            return None
        head, name = os.path.split(path)
        if not name:
            head, name = os.path.split(head)
        parent: str | None = head
        if head and not _exists(head):
            parent = self._respell(head)
        if parent is None:
            return None
        match = self._names_in(parent or ".").get(unicodedata.normalize("NFC", name))
        return os.path.join(parent, match) if match else None  # noqa: PTH118


def _names_in(folder: str) -> dict[str, str]:
    """The names in a folder by their composed form; none if it cannot be listed."""
    with suppress(OSError, ValueError):
        return {unicodedata.normalize("NFC", name): name for name in os.listdir(folder)}  # noqa: PTH208
    return {}


def without_quotes(path: str) -> str:
    """A path without the quotes around it, or without the one that Windows leaves at its end.

    A backslash before the closing quote of an argument makes the quote part of the argument.

    Examples:
        >>> without_quotes("'a b.jpg'")
        'a b.jpg'
    """
    is_quoted = len(path) > 2 and QUOTES.get(path[0]) == path[-1]
    ends_with_quote = path.endswith('"') and path.count('"') == 1
    if not (is_quoted or ends_with_quote) or _exists(path):
        return path
    inner = path[1:-1] if is_quoted else path[:-1]
    return inner.strip() or path


def from_file_url(path: str) -> str:
    """The path in an address such as ``file:///data/a%20b.jpg``; other text stays unchanged.

    Examples:
        >>> from_file_url("file:///data/a%20b.jpg")
        '/data/a b.jpg'
    """
    match = _FILE_URL.fullmatch(path)
    if match is None or _exists(path):
        return path
    decoded, written = os.fsdecode(unquote_to_bytes(match[1])), match[1]
    path = written if _exists(written) and not _exists(decoded) else decoded
    return path[1:] if _WINDOWS_DRIVE.match(path) else path


def _exists(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110 (pathlib's raises for names that are too long)
