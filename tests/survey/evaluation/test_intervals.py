from __future__ import annotations

import pytest
from benchmark.evaluation import coverage

from speciesnet.survey.evaluation.intervals import share_of, wilson


def test_wilson_has_its_published_values() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263, and 15 of 148.
    assert wilson(81 / 263, 263, 1.959964) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(15 / 148, 148, 1.959964) == pytest.approx((0.0624, 0.1605), abs=1e-4)


def test_photographs_of_a_sequence_count_like_fewer_independent_ones() -> None:
    alone = share_of((number < 90, number) for number in range(100))
    alike = share_of((number < 90, number // 10) for number in range(100))
    assert alone.effective == pytest.approx(100, rel=0.01)
    assert alike.effective < 15
    assert alike.low < alone.low and alike.high > alone.high


def test_sequences_that_are_all_right_do_not_prove_perfection() -> None:
    found = share_of((True, number // 10) for number in range(100))
    assert found.value == 1 and found.effective == 10
    assert found.low == pytest.approx(0.66, abs=0.01) and found.high == 1


def test_one_sequence_says_next_to_nothing() -> None:
    found = share_of((True, "a") for _ in range(50))
    assert found.low < 0.3


def test_no_photographs_have_no_share() -> None:
    found = share_of([])
    assert (found.value, found.low, found.high) == (None, 0, 1)


@pytest.mark.parametrize("accuracy", [0.7, 0.9])
def test_intervals_contain_the_truth_as_often_as_they_say(accuracy: float) -> None:
    clustered, naive = coverage(300, 50, accuracy, alike=0.9)
    assert 0.92 <= clustered <= 0.99
    assert naive < 0.7
