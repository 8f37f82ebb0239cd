"""Lists in JSON files that may be too long for memory, one item at a time."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import ijson

from speciesnet.errors import DamagedError, NoListError, SpeciesNetError, TooDeepError

MAX_DEPTH = 100  # of nested lists and objects; the parser needs memory as the square of the depth
_DEEPER = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}
_PARSER_ERRORS = (ijson.JSONError, UnicodeDecodeError)


def read_items(
    path: Path, name: str, is_end: Callable[[BinaryIO, Exception], bool] | None = None
) -> Iterator[Any]:
    """The items of a list in a JSON object.

    Args:
        path: The file.
        name: The key of the list.
        is_end: Whether to take an error of the parser for the end of the list.

    Raises:
        NoListError: The file does not contain an object with such a list.
        TooDeepError: Lists and objects are nested more than ``MAX_DEPTH`` deep.
        DamagedError: The file is damaged; the items before the damage have been yielded.
        OSError: The file cannot be read.
    """
    with open_json(path) as file:
        start = file.tell()
        if not first_list(file, (name,)):
            raise NoListError
        file.seek(start)
        check_depth(file)
        file.seek(start)
        count = 0
        try:
            for item in ijson.items(file, f"{name}.item", use_float=True):
                count += 1
                yield item
        except _PARSER_ERRORS as error:
            if is_end is not None and is_end(file, error):
                return
            try:  # Python's parser accepts file names that are not valid Unicode, and any number
                rest = json.loads(path.read_text(encoding="utf-8-sig"))[name][count:]
            except (ValueError, TypeError, RecursionError) as damage:
                raise DamagedError(_first_line(error)) from damage
            yield from rest


@contextmanager
def open_json(path: Path) -> Iterator[BinaryIO]:
    """Opens a JSON file behind its byte order mark, if it has one."""
    with path.open("rb") as file:
        if file.read(3) != codecs.BOM_UTF8:
            file.seek(0)
        yield file


@contextmanager
def described_errors(name: str, kind: type[SpeciesNetError], fix: str) -> Iterator[None]:
    """Turns what a JSON parser and ``check_depth`` raise into sentences.

    Args:
        name: The file, for the message.
        kind: The class of the error to raise.
        fix: A sentence on how to fix the file.
    """
    try:
        yield
    except TooDeepError as error:
        raise kind(f"{name} is nested too deeply. {fix}") from error
    except (DamagedError, *_PARSER_ERRORS) as error:
        reason = _first_line(error)
        raise kind(f"{name} is damaged, cut off or not in UTF-8 ({reason}). {fix}") from error


def first_list(file: BinaryIO, names: Collection[str]) -> str | None:
    """The first of these keys under which a JSON object has a list; None without any."""
    depth, name = 0, None
    with suppress(*_PARSER_ERRORS):
        for event, value in ijson.basic_parse(file, use_float=True):
            if event == "map_key" and depth == 1:
                name = value
            elif event == "start_array" and depth == 1 and name in names:
                return name
            depth += _DEEPER.get(event, 0)
    return None


def check_depth(file: BinaryIO) -> None:
    """Raises ``TooDeepError`` if a JSON file is nested more than ``MAX_DEPTH`` deep."""
    depth = 0
    with suppress(*_PARSER_ERRORS):
        for event, _ in ijson.basic_parse(file, use_float=True):
            depth += _DEEPER.get(event, 0)
            if depth > MAX_DEPTH:
                raise TooDeepError


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
