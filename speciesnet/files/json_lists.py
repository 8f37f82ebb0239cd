"""Lists in JSON files that may be too long for memory, one item at a time."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import ijson

from speciesnet.errors import DamagedError, NoListError, TooDeepError

MAX_DEPTH = 100  # of a file; what reads it needs memory as the square of that
_DEEPER = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}


def read_items(
    path: Path, name: str, ends: Callable[[BinaryIO, Exception], bool] | None = None
) -> Iterator[Any]:
    """The items of a list of a JSON object.

    Args:
        path: The file.
        name: Of the list.
        ends: Whether what ijson has raised is taken for the end of the list.

    Raises:
        NoListError: The object has no such list, or there is no object.
        TooDeepError: More than ``MAX_DEPTH``.
        DamagedError: The items before the damage are given.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        start = len(codecs.BOM_UTF8) if file.read(3) == codecs.BOM_UTF8 else 0
        file.seek(start)
        if not first_list(file, (name,)):
            raise NoListError
        file.seek(start)
        if is_too_deep(file):
            raise TooDeepError
        file.seek(start)
        given = 0
        try:
            for item in ijson.items(file, f"{name}.item", use_float=True):
                given += 1
                yield item
        except (ijson.JSONError, UnicodeDecodeError) as error:
            if ends is not None and ends(file, error):
                return
            try:  # Python's reader takes file names that are no valid Unicode, and any number
                rest = json.loads(path.read_text(encoding="utf-8-sig"))[name][given:]
            except (ValueError, TypeError, RecursionError) as damage:
                raise DamagedError(str(error).strip().splitlines()[0]) from damage
            yield from rest


def first_list(file: BinaryIO, names: Collection[str]) -> str | None:
    """Which of these is the first that a JSON object has as a list; None without any."""
    depth, name = 0, None
    with suppress(ijson.JSONError, UnicodeDecodeError):
        for event, value in ijson.basic_parse(file, use_float=True):
            if event == "map_key" and depth == 1:
                name = value
            elif event == "start_array" and depth == 1 and name in names:
                return name
            depth += _DEEPER.get(event, 0)
    return None


def is_too_deep(file: BinaryIO) -> bool:
    """Whether lists and objects of a JSON file lie in one another more than ``MAX_DEPTH`` times."""
    depth = 0
    with suppress(ijson.JSONError, UnicodeDecodeError):
        for event, _ in ijson.basic_parse(file, use_float=True):
            depth += _DEEPER.get(event, 0)
            if depth > MAX_DEPTH:
                return True
    return False
