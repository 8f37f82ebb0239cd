from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from speciesnet.errors import CutOffError, DamagedError, NoListError, TooDeepError
from speciesnet.files import json_lists
from speciesnet.files.json_lists import first_list, parse, read_items, read_value

ITEMS = [
    {"file": "caf\udce9.jpg", "id": 2**64, "x": -1.5e-7},
    {"file": "half\ud83d.jpg", "id": -(2**63)},
    {"file": "\U0001f98a ñ \\ \" \u2028.jpg", "nested": [[], {}, [1, {"a": None}]]},
    "text", 12, 1.25, True, None, [], {},
]  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list.json"


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 2**16])
@pytest.mark.parametrize("indent", [None, 1])
def test_lists_are_read_wherever_the_file_is_split(
    path: Path, chunk: int, indent: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lists, "CHUNK", chunk)
    document = {"info": {"id": 2**63, "images": [0]}, "other": [1], "images": ITEMS, "z": 1.0e5}
    path.write_text(json.dumps(document, indent=indent))
    assert list(read_items(path, "images")) == ITEMS
    assert read_value(path, "z") == 1.0e5 and read_value(path, "none") is None
    assert first_list(path, ("images", "predictions")) == "images"


def test_byte_order_mark_and_raw_characters_are_read(path: Path) -> None:
    path.write_bytes('{"images": ["ñ🦊"]}'.encode("utf-8-sig"))
    assert list(read_items(path, "images")) == ["ñ🦊"]


def test_other_documents_have_no_list(path: Path) -> None:
    for text in ("", "[]", "null", "{}", "a,b\n", '{"images": {}}', '{"others": []}'):
        path.write_text(text)
        with pytest.raises(NoListError):
            list(read_items(path, "images"))
        assert first_list(path, ("images",)) is None


def test_items_before_damage_are_read(path: Path) -> None:
    whole = b'{"images": ["a", {"b": "\xc3\xb1"}, 12.5], "x": true}'
    for length in range(len(b'{"images": ['), len(whole)):
        path.write_bytes(whole[:length])
        is_number = whole[:length].endswith(b".")  # a dot that may be anything
        with pytest.raises(DamagedError if is_number else CutOffError):
            list(read_items(path, "images"))
    for damaged in (b'"\xff"', b'"\0"', b"'b'", b"[}", b"nul", b'"\\q"'):
        path.write_bytes(b'{"images": ["a", %s, "more than twelve characters"]}' % damaged)
        items = read_items(path, "images")
        assert next(items) == "a"
        with pytest.raises(DamagedError):
            next(items)


@pytest.mark.parametrize("start", ['{"images": ', '{"info": ', '{"images": [{"x": '])
def test_too_deep_lists_are_refused(path: Path, start: str) -> None:
    for depth in (200, 100_000):
        path.write_text(start + "[" * depth + "]" * depth)
        with pytest.raises((TooDeepError, DamagedError)):
            list(read_items(path, "images"))


def test_long_lists_need_little_memory(path: Path) -> None:
    items = [{"file": f"\udcff{number}.jpg", "padding": "x" * 1000} for number in range(5000)]
    path.write_text(json.dumps({"skipped": items, "images": items}))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_items(path, "images")) == 5000
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size / 10
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text", ['[{"file": "a", "conf": 1, "conf": 2}]', '[{"a": {"conf": 1, "b": [], "conf": 1}}]']
)
def test_repeated_keys_are_refused_because_one_of_their_values_would_be_lost(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "a.json"
    path.write_text(f'{{"images": {text}}}')
    with pytest.raises(DamagedError, match='an object has the key "conf" twice'):
        list(read_items(path, "images"))
    with pytest.raises(DamagedError, match='an object has the key "conf" twice'):
        parse(text.encode())
