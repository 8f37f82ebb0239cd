"""Unexpected failures in the middle of a run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def with_huge_one(samples: list[str], tmp_path: Path) -> list[str]:
    """Photographs, one of which is called huge."""
    huge = shutil.copy(samples[0], tmp_path / "huge.jpg")
    return [*samples[:10], str(huge), *samples[10:]]


def test_an_image_too_large_for_the_memory_costs_only_itself(
    make_run: Any, with_huge_one: list[str]
) -> None:
    run = make_run(with_huge_one, fault="no_memory")
    outcome = run.finished()
    assert outcome.code == 0
    assert f"{len(with_huge_one)} images, 1 of them failed" in outcome.out
    assert f"{with_huge_one[10]}: there is not enough memory for it." in outcome.err
    assert not any("failures" in record for record in run.go_on())


@pytest.mark.parametrize(
    (
        "fault",
        "reason",
        "kept",
    ),  # of the classifier's batches, which have 1, 2 and 4 images at first
    [
        ("reader", "RuntimeError: a decoder went mad, with_fault.py:", 7),
        ("network", "RuntimeError: the card fell off the bus, with_fault.py:", 1),
    ],
)
def test_an_unexpected_error_ends_the_run_in_a_sentence_and_keeps_the_rest(
    make_run: Any, with_huge_one: list[str], fault: str, reason: str, kept: int
) -> None:
    run = make_run(with_huge_one, fault=fault)
    outcome = run.finished()
    assert outcome.code == 1
    assert reason in outcome.sentence and "same command again" in outcome.sentence
    assert run.names == with_huge_one[:kept]
    assert [record["filepath"] for record in run.go_on()] == with_huge_one


def test_the_log_shows_where_an_unexpected_error_came_from(
    make_run: Any, with_huge_one: list[str]
) -> None:
    run = make_run(with_huge_one, fault="network", more=["--log_level", "debug"])
    outcome = run.finished()
    assert outcome.code == 1
    assert "Traceback (most recent call last)" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("speciesnet: Unexpected error")


def test_a_clock_that_is_set_back_changes_nothing(make_run: Any, samples: list[str]) -> None:
    run = make_run(samples, fault="clock")
    assert run.finished().code == 0
    records = run.path.read_bytes()
    whole = replace(run, fault=None, path=run.path.with_name("whole.json"))
    whole.go_on()
    assert records == whole.path.read_bytes()
