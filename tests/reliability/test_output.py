"""Outputs that refuse writes, vanish, or are not regular files."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commands import Outcome

pytestmark = pytest.mark.skipif(os.name == "nt", reason="files in use are safe there")


def check_mistake(outcome: Outcome, *words: str) -> None:
    """Exit code 1 and one sentence with these words."""
    assert outcome.code == 1, outcome.err
    for word in words:
        assert word in outcome.sentence


@pytest.mark.parametrize("what", ["moved", "deleted"])
def test_a_folder_that_vanishes_ends_the_run(
    held_run: Any, release: threading.Event, what: str
) -> None:
    folder, away = held_run.path.parent, held_run.path.parent.with_name("away")
    with held_run.started() as process:
        held_run.wait_for(8)
        if what == "moved":
            folder.rename(away)
        else:
            shutil.rmtree(folder)
        release.set()
        check_mistake(held_run.ended(process), str(held_run.path), "moved or deleted")
    assert not folder.exists()
    if what == "moved":
        away.rename(folder)
        assert len(held_run.names) >= 8
    else:
        folder.mkdir()
    assert [record["filepath"] for record in held_run.go_on()] == held_run.photographs


def _files_of_3_kilobytes() -> None:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))


def test_a_file_that_may_not_grow_keeps_what_it_has(make_run: Any, samples: list[str]) -> None:
    run = make_run(samples, options={"preexec_fn": _files_of_3_kilobytes})
    check_mistake(run.finished(), str(run.path), "File too large", "same command again")
    assert len(run.names) < len(samples)
    assert [record["filepath"] for record in run.go_on()] == samples


@pytest.mark.skipif(sys.platform != "linux", reason="has no /dev/full")
def test_settings_that_cannot_be_written_leave_nothing_behind(
    make_run: Any, samples: list[str]
) -> None:
    run = make_run(samples)
    part = run.path.with_name(f"{run.path.name}.run.json.part")
    part.symlink_to("/dev/full")
    check_mistake(run.finished(), str(run.path), "No space left on device")
    assert {file.name for file in run.path.parent.iterdir()} <= {run.path.name}
    assert Path("/dev/full").is_char_device()
    assert len(run.go_on()) == len(samples)


def test_a_lock_that_cannot_be_acquired_is_reported(make_run: Any, samples: list[str]) -> None:
    run = make_run(samples)
    lock = run.path.with_name(f"{run.path.name}.lock")
    lock.mkdir()
    check_mistake(run.finished(), str(run.path), "cannot be written")
    assert not run.path.exists()
    lock.rmdir()
    assert len(run.go_on()) == len(samples)


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_devices_and_pipes_are_left_alone(make_run: Any, samples: list[str], kind: str) -> None:
    run = make_run(samples)
    if kind == "device":
        run.path.symlink_to(os.devnull)
    else:
        os.mkfifo(run.path)
    for more in ([], ["--ignore_existing"]):
        check_mistake(replace(run, more=more).finished(), str(run.path), "device or pipe")
    assert [file.name for file in run.path.parent.iterdir()] == [run.path.name]


@pytest.mark.skipif(sys.platform != "linux", reason="has no /dev/full")
def test_a_full_disk_for_logs_costs_no_record(make_run: Any, samples: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        log = make_run(samples, options={"stderr": full}).finished()
        assert log.code == 0 and f"{len(samples)} images, 0 of them failed" in log.out
        run = make_run(samples, options={"stdout": full}, more=["--ignore_existing"])
        check_mistake(run.finished(), "No space left on device")
    assert run.names == samples


def _without_streams() -> None:
    os.close(1)
    os.close(2)


def test_a_run_without_streams_does_its_work(make_run: Any, samples: list[str]) -> None:
    run = make_run(samples, options={"preexec_fn": _without_streams})
    assert run.finished().code == 0
    assert run.names == samples
