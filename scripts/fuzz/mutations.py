"""Damage as Hypothesis strategies: to bytes, and to the meaning of JSON."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from fuzz.hostile import CALLS, KERAS_CODE, ULTRALYTICS, WAYS, pickled

# Bytes that formats give a meaning to: lengths, signs, separators, opcodes.
_TELLING = [b"\0", b"\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80", b'"', b"\\",
            b"{", b"}", b"[", b"]", b",", b"\n", b"\r", b"]}", b"1e999", b"\xed\xa0\x80"]  # fmt: skip
_SMALL = st.sampled_from(_TELLING) | st.binary(min_size=1, max_size=8)


def steady(examples: int) -> Callable[[Any], Any]:
    """Settings with which every run tries the same examples and nothing depends on the clock."""
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@st.composite
def damaged(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the files with a few pieces overwritten, cut, repeated, or taken from another."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        place = _place(draw, data)
        length = draw(st.sampled_from([1, 2, 4, 16, 100, 1000]))
        kind = draw(
            st.sampled_from(["write", "write", "insert", "cut", "drop", "repeat", "splice"])
        )
        before, after = data[:place], data[place:]
        if kind == "write":
            new = draw(_SMALL)
            data = before + new + after[len(new) :]
        elif kind == "insert":
            data = before + draw(_SMALL) + after
        elif kind == "cut":
            data = before
        elif kind == "drop":
            data = before + after[length:]
        elif kind == "repeat":
            data = before + after[:length] * draw(st.integers(2, 50)) + after[length:]
        else:
            other = draw(st.sampled_from(seeds))
            start = _place(draw, other)
            data = before + other[start : start + length] + after[length:]
    return data


def _place(draw: st.DrawFn, data: bytes) -> int:
    """A position in a file, often in its first bytes, where headers are."""
    end = draw(st.sampled_from([32, 512, len(data)]))
    return draw(st.integers(0, min(end, len(data))))


TEXTS = st.text(max_size=8) | st.sampled_from(
    ["", "\udcff", "\0", "..", "/", "a.jpg", "USA", "x" * 300]
)
NUMBERS = (
    st.integers()
    | st.floats()
    | st.sampled_from([2**63, 10**400, -(2**64), 1e308, 5e-324, float("nan"), float("inf")])
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def edited(draw: st.DrawFn, documents: Sequence[Any]) -> bytes:
    """One of the JSON documents with some values replaced, removed or renamed."""
    document = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(1, 3))):
        parent, key = draw(st.sampled_from(list(_values([document]))))
        kind = draw(st.sampled_from(["replace", "replace", "replace", "remove", "rename"]))
        if kind == "replace":
            parent[key] = draw(ANY_JSON)
        elif parent is not document and isinstance(parent, dict):
            value = parent.pop(key)
            if kind == "rename":
                parent[draw(TEXTS)] = value
    text = json.dumps(
        document, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1]))
    )
    return draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"])) + text.encode(
        "utf-8", "surrogatepass"
    )


def _values(parent: Any) -> Any:
    """Every place in a document: its container, and its key there."""
    items = list(parent.items() if isinstance(parent, dict) else enumerate(parent))
    for key, value in items:
        yield parent, key
        if isinstance(value, dict | list):
            yield from _values(value)


@st.composite
def nested(draw: st.DrawFn, *beginnings: bytes) -> bytes:
    """JSON that is nested too deeply for any reader."""
    depth = draw(st.sampled_from([90, 900, 1_100, 30_000]))
    opening = draw(st.sampled_from([b"[", b'{"a":', b'[{"a":']))
    closing = draw(st.sampled_from([b"", b"]" * depth]))
    return draw(st.sampled_from([b"", *beginnings])) + opening * depth + closing


HOSTILE_PICKLES = st.builds(
    pickled,
    st.sampled_from(WAYS),
    st.sampled_from(CALLS),
    st.sampled_from(
        [b"", b"}", b"]", b"K\x01", b"N", b"ccollections\nOrderedDict\n)R", ULTRALYTICS]
    ),
    st.sampled_from([b"", b"0", b"}", b"b", b"q\x00h\x00", b"N."]),
)


@st.composite
def with_code(draw: st.DrawFn, document: dict[str, Any]) -> bytes:
    """A Keras configuration with a part somewhere that requests running code."""
    document = copy.deepcopy(document)
    parent, key = draw(st.sampled_from(list(_values(document))))
    module, name = draw(st.sampled_from(KERAS_CODE))
    parent[key] = {"module": module, "class_name": name, "config": {"function": draw(TEXTS)}}
    return json.dumps(document).encode()
