"""Runs that are interrupted or killed while they wait for an image."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are others there")


def readers_of(pid: int) -> list[int]:
    """Processes that read images for a run."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and b"spawn_main" in (entry / "cmdline").read_bytes():
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == pid and fields[0] != "Z":
                    found.append(int(entry.name))
    return found


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ([signal.SIGINT, signal.SIGINT], 130),
        ([signal.SIGTERM], 143),
        ([getattr(signal, "SIGHUP", signal.SIGTERM)], 143),
    ],
    ids=["Ctrl-C twice", "TERM", "HUP"],
)
def test_a_run_that_waits_for_an_image_ends_in_good_order(
    held_run: Any, release: threading.Event, signals: Sequence[signal.Signals], code: int
) -> None:
    with held_run.started() as process:
        held_run.wait_for(8)
        for number in signals:
            process.send_signal(number)
            time.sleep(0.2)
        outcome = held_run.ended(process)
    assert outcome.code == code, outcome.err
    assert "images are in" in outcome.sentence and "same command again" in outcome.sentence
    done = held_run.names
    assert done == held_run.photographs[: len(done)] and len(done) >= 8
    assert f"{len(done)} of 18 images are in" in outcome.sentence

    release.set()
    uninterrupted = replace(held_run, path=held_run.path.with_name("whole.json"))
    assert [record["filepath"] for record in held_run.go_on()] == held_run.photographs
    uninterrupted.go_on()
    assert held_run.path.read_bytes() == uninterrupted.path.read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_reader_that_is_killed_ends_the_run_in_a_sentence(
    held_run: Any, release: threading.Event
) -> None:
    run = replace(held_run, more=["--run_mode", "multi_process"])
    with run.started() as process:
        run.wait_for(8)
        for pid in readers_of(process.pid)[:1]:
            os.kill(pid, signal.SIGKILL)
        outcome = run.ended(process)
    assert outcome.code == 1
    assert "A process that reads images died" in outcome.sentence
    assert len(run.names) >= 8
    release.set()
    assert [record["filepath"] for record in run.go_on()] == run.photographs


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_readers_end_with_a_run_that_is_killed(held_run: Any) -> None:
    run = replace(held_run, more=["--run_mode", "multi_process"])
    with run.started() as process:
        run.wait_for(8)
        readers = readers_of(process.pid)
        assert readers
        process.kill()
        process.wait(60)
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in readers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(run.names) >= 8
