from __future__ import annotations

from fuzz import targets
from fuzz.mutations import damaged, edited, nested, steady
from fuzz.seeds import INSTANCES, seeds_of
from hypothesis import given
from hypothesis import strategies as st


@given(
    edited([INSTANCES]) | damaged(seeds_of("instances")) | nested(b'{"instances":[') | st.binary()
)
@steady(400)
def test_any_instances_file_gives_instances_or_an_input_error(data: bytes) -> None:
    targets.instances(data)


@given(damaged(seeds_of("lists")) | st.binary() | st.text().map(str.encode))
@steady(150)
def test_any_list_gives_lines_or_an_input_error(data: bytes) -> None:
    targets.lists(data)
