from __future__ import annotations

import json

from fuzz import targets
from fuzz.mutations import damaged, edited, nested, steady
from fuzz.seeds import seeds_of
from hypothesis import given
from hypothesis import strategies as st


@given(
    edited(list(map(json.loads, seeds_of("package_info")[1:])))
    | damaged(seeds_of("package_info"))
    | nested()
    | st.binary()
)
@steady(200)
def test_any_description_gives_a_package_or_a_model_error(data: bytes) -> None:
    targets.package_info(data)


@given(damaged(seeds_of("labels")) | st.binary() | st.text(alphabet=";a\n\r\0ñ ").map(str.encode))
@steady(200)
def test_any_labels_give_a_taxonomy_or_a_model_error(data: bytes) -> None:
    targets.labels(data)


@given(
    edited([json.loads(seeds_of("geofence")[1])])
    | damaged(seeds_of("geofence"))
    | nested()
    | st.binary()
)
@steady(300)
def test_any_geofence_gives_rules_or_a_model_error(data: bytes) -> None:
    targets.geofence(data)
