from __future__ import annotations

from fuzz import targets
from fuzz.mutations import damaged, steady
from fuzz.seeds import seeds_of
from hypothesis import given


@given(damaged(seeds_of("image")))
@steady(600)
def test_damaged_photograph_gives_pixels_or_an_image_error(data: bytes) -> None:
    targets.image(data)
