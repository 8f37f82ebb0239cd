r"""Reads lists in JSON files that may be too long for memory, one item at a time.

Python's own parser reads the items: it accepts all valid JSON, including integers of any size and escapes
of half a character (``"caf\udce9.jpg"``), which is how Python writes a file name that is not UTF-8.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from speciesnet.errors import (
    CutOffError,
    DamagedError,
    NoListError,
    RepeatedKeyError,
    SpeciesNetError,
    TooDeepError,
)

MAX_DEPTH = 100  # levels of nested lists and objects in an item
CHUNK = 2**16  # bytes read together
# Characters of a number, an escape or a word such as -Infinity, which may be cut off.
LONGEST_TOKEN = 12

_SPACE = re.compile(r"[ \t\r\n]*")


def without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object from its keys and values, for ``object_pairs_hook`` of Python's own parser.

    Raises:
        RepeatedKeyError: A key is repeated.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in found if keys.count(key) > 1)
        raise RepeatedKeyError(f'an object has the key "{repeated}" twice')
    return found


_decoder = json.JSONDecoder(object_pairs_hook=without_repeats)


def read_items(
    path: Path, name: str, is_end: Callable[[BinaryIO, DamagedError], bool] | None = None
) -> Iterator[Any]:
    """The items of a list in a JSON object.

    Args:
        path: The file.
        name: The key of the list.
        is_end: Whether to treat damage after the start of the list as its end.

    Raises:
        NoListError: The file does not contain an object with such a list.
        TooDeepError: Lists and objects are nested more than ``MAX_DEPTH`` deep.
        DamagedError: The file is damaged; the items before the damage have been yielded.
        OSError: The file cannot be read.
    """
    is_found = False
    with path.open("rb") as file:
        try:
            text = _Text(file)
            for _ in _find(text, lambda key: key == name and text.is_list):
                is_found = True
                yield from text.items()
        except DamagedError as error:
            if is_found and is_end is not None and is_end(file, error):
                return
            raise
    if not is_found:
        raise NoListError


def read_value(path: Path, name: str, *, before: str | None = None) -> object:
    """The first value of a key in a JSON object, or None. Raises the same errors as ``read_items``.

    Args:
        path: The file.
        name: The key.
        before: Another key, at which reading stops.
    """
    with path.open("rb") as file:
        text = _Text(file)
        for key in _find(text, lambda key: key in (name, before)):
            return text.value() if key == name else None
    return None


def first_list(path: Path, names: Collection[str]) -> str | None:
    """The first of these keys whose value in a JSON object is a list; None if there is none."""
    with path.open("rb") as file, suppress(NoListError, TooDeepError, DamagedError):
        text = _Text(file)
        return next(_find(text, lambda key: key in names and text.is_list), None)
    return None


def parse(document: bytes) -> object:
    """Parses a JSON document in memory; rejects invalid JSON, including ``NaN``.

    Raises:
        TooDeepError: Lists and objects are nested too deeply for Python.
        DamagedError: The document is not valid JSON in UTF-8.
    """
    try:
        return json.loads(
            document.decode("utf-8-sig"),
            parse_constant=refuse_constant,
            object_pairs_hook=without_repeats,
        )
    except RecursionError as error:
        raise TooDeepError from error
    except ValueError as error:  # invalid syntax or encoding, a repeated key, or a huge integer
        raise DamagedError(str(error)) from error


def refuse_constant(constant: str) -> None:
    """Raises ``ValueError`` for NaN and Infinity, for the ``parse_constant`` of ``json.loads``."""
    raise ValueError(f"it contains {constant}")


@contextmanager
def described_errors(name: str, kind: type[SpeciesNetError], fix: str) -> Iterator[None]:
    """Turns this module's errors into sentences.

    Args:
        name: The file, for the message.
        kind: The class of the error to raise.
        fix: A sentence on how to fix the file.
    """
    try:
        yield
    except TooDeepError as error:
        raise kind(f"{name} is nested too deeply. {fix}") from error
    except DamagedError as error:
        raise kind(f"{name} is damaged, cut off or not in UTF-8 ({error}). {fix}") from error


def _find(text: _Text, is_wanted: Callable[[str], bool]) -> Iterator[str]:
    """The wanted keys of the object in a JSON file; the caller must read the value of each."""
    if text.peek() != "{":
        raise NoListError
    text.take("{")
    if text.peek() == "}":
        text.take("}")
    else:
        while True:
            key = text.value()
            if not isinstance(key, str):
                raise DamagedError("a key is not text")
            text.take(":")
            if is_wanted(key):
                yield key
            elif text.is_list:
                deque(text.items(), maxlen=0)  # one by one: it may be longer than memory
            else:
                text.value()
            if text.take(",}") == "}":
                break
    if text.peek():
        raise DamagedError("there is more text after its end")


class _Text:
    """The text of a JSON file; only the part that is being read is in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._text, self._position = "", 0
        self._is_whole = False
        self._damage: UnicodeDecodeError | None = None

    def peek(self) -> str:
        """The next character that is not a space; empty at the end."""
        while True:
            space = _SPACE.match(self._text, self._position)
            self._position = space.end() if space else self._position
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._read_more():
                if self._damage:
                    raise self._damaged()
                return ""

    @property
    def is_list(self) -> bool:
        """Whether the next value is a list."""
        return self.peek() == "["

    def items(self) -> Iterator[object]:
        """The items of the next value, a list."""
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        yield self.value()
        while self.take(",]") == ",":
            yield self.value()

    def take(self, characters: str) -> str:
        """The next character, which must be one of these."""
        character = self.peek()
        if not character:
            raise CutOffError(f"it ends where {' or '.join(characters)} was expected")
        if character not in characters:
            raise DamagedError(
                f"there is {character!r} where {' or '.join(characters)} was expected"
            )
        self._position += 1
        return character

    def value(self) -> object:
        """The next value of any kind."""
        self.peek()
        while True:
            try:
                value, end = _decoder.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                is_cut_off = (
                    error.msg.startswith("Unterminated string")
                    or error.pos >= len(self._text.rstrip()) - LONGEST_TOKEN
                )
                if is_cut_off and self._read_more():
                    continue
                if self._damage:
                    raise self._damaged() from error
                raise (CutOffError if is_cut_off else DamagedError)(error.msg) from error
            except RecursionError as error:
                raise TooDeepError from error
            except ValueError as error:  # an integer of thousands of digits, or a repeated key
                raise DamagedError(str(error)) from error
            is_near_end = end >= len(self._text) - LONGEST_TOKEN
            if is_near_end and isinstance(value, int | float) and self._read_more():
                continue  # it may have more digits
            self._position = end
            if depth_of(value) > MAX_DEPTH:
                raise TooDeepError
            return value

    def _read_more(self) -> bool:
        """Reads at least as much as is in memory, so that a long value is parsed only a few times."""
        if self._is_whole:
            return False
        content = self._file.read(max(CHUNK, len(self._text) - self._position))
        try:
            text = self._decode(content, not content)
        except UnicodeDecodeError as error:
            text = error.object[: error.start].decode()
            self._damage = error
        self._is_whole = not content or self._damage is not None
        if self._is_whole and not text:
            return False
        self._text = self._text[self._position :] + text
        self._position = 0
        return True

    def _damaged(self) -> DamagedError:
        assert self._damage is not None
        is_cut_off = self._damage.reason == "unexpected end of data"
        return (CutOffError if is_cut_off else DamagedError)(str(self._damage))


def depth_of(value: object) -> int:
    """How deeply lists and objects are nested in a decoded value."""
    depth, level = 0, [value]
    while level := [inner for outer in level for inner in _inside(outer)]:
        depth += 1
    return depth


def _inside(value: object) -> Collection[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
