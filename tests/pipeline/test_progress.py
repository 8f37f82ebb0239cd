from __future__ import annotations

import time
from collections.abc import Generator

import pytest

from speciesnet.pipeline.progress import Profile


def test_seconds_are_added_up_by_what_they_were_spent_on() -> None:
    profile = Profile()
    profile.add("reading", 1.5)
    profile.add("reading", 0.5)
    with profile.timing("detector"):
        time.sleep(0.01)
    assert profile.seconds["reading"] == 2
    assert profile.seconds["detector"] >= 0.01
    assert list(profile.seconds) == ["reading", "detector"]


def test_time_counts_even_if_it_ends_in_an_error() -> None:
    profile = Profile()
    with pytest.raises(ValueError), profile.timing("detector"):
        raise ValueError
    assert "detector" in profile.seconds


def test_waiting_hands_the_items_on_and_closes_their_source() -> None:
    closed = []

    def source() -> Generator[int, None, None]:
        try:
            for item in (1, 2, 3):
                time.sleep(0.005)
                yield item
        finally:
            closed.append(True)

    profile = Profile()
    items = profile.waiting("waiting", source())
    assert [next(items), next(items)] == [1, 2]
    items.close()
    assert closed
    assert profile.seconds["waiting"] >= 0.01
