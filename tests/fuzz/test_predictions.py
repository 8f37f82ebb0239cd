from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from fuzz import targets
from fuzz.mutations import damaged, edited, nested, steady
from fuzz.seeds import CORRECTION, MEGADETECTOR, PREDICTIONS, seeds_of
from fuzz.targets import file_of, resume, uninterrupted
from hypothesis import given
from hypothesis import strategies as st

from speciesnet.errors import OutputError
from speciesnet.predictions.layout import HEADER


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    """Does not wait for the disk, because nobody pulls the plug."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


DEEP = nested(b'{"predictions":[', b'{"predictions": [\n{"filepath":"a/0.jpg","x":', b'{"images":[')


@given(
    edited([PREDICTIONS, MEGADETECTOR])
    | damaged(seeds_of("predictions"))
    | st.binary().map(HEADER.__add__)
    | DEEP
)
@steady(500)
def test_any_predictions_file_is_continued_or_left_alone(data: bytes) -> None:
    targets.predictions(data)


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.integers(1, 300), st.sampled_from([b"\0", b"\xff"])),
        min_size=1,
        max_size=3,
    )
)
@steady(300)
def test_garbled_file_ends_as_an_uninterrupted_one(damage: list[tuple[float, int, bytes]]) -> None:
    data = uninterrupted()
    for part, length, byte in damage:
        start = int(part * len(data))
        end = min(start + length, len(data))
        data = data[:start] + byte * (end - start) + data[end:]
    with file_of(data, "out.json") as path:
        try:
            resume(path)
        except OutputError:  # whose header is gone
            assert not data.startswith(HEADER) and path.read_bytes() == data
        else:
            assert path.read_bytes() == uninterrupted()


SETTINGS = {
    "components": "detector",
    "model": {"version": "1"},
    "inputs": {"x": "y"},
    "country": None,
}


@given(edited([SETTINGS]) | damaged(seeds_of("run_settings")) | nested() | st.binary())
@steady(150)
def test_any_settings_cost_no_prediction(data: bytes) -> None:
    targets.run_settings(data)


@given(
    edited([MEGADETECTOR])
    | damaged(seeds_of("megadetector"))
    | nested(b'{"images":[', b'{"detection_categories":')
)
@steady(400)
def test_any_megadetector_file_gives_true_boxes_or_an_input_error(data: bytes) -> None:
    targets.megadetector(data)


@given(
    st.lists(edited([CORRECTION]) | nested(b'{"filepath":"a","x":'), max_size=3).map(b"\n".join)
    | damaged(seeds_of("corrections"))
)
@steady(200)
def test_adding_to_any_corrections_loses_none(data: bytes) -> None:
    targets.corrections(data)
