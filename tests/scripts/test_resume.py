"""Runs of the real command that are killed, interrupted and repeated.

SPECIESNET_KILLS says how often a run is killed (3).
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frameworks import FAST_ENGINE
from PIL import Image

from speciesnet.files.input_notes import plural

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are others there")

KILLS = int(os.environ.get("SPECIESNET_KILLS", "3"))
IMAGES = max(80, 10 * KILLS)
PATIENCE = 300.0  # seconds, on a machine that is busy with something else


def records_in(path: Path) -> list[dict[str, Any]]:
    """The records of a file that must be valid JSON; none if it does not exist yet."""
    if not path.exists() or not path.stat().st_size:
        return []
    return json.loads(path.read_text(encoding="utf-8"))["predictions"]


def count_in(path: Path) -> int:
    """The number of records of a file that is being written."""
    return path.read_bytes().count(b'{"filepath":') if path.exists() else 0


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@dataclass(frozen=True)
class Run:
    """A command that can be repeated.

    Attributes:
        arguments: All arguments but the output.
        path: The output file.
    """

    arguments: tuple[str, ...]
    path: Path

    @contextmanager
    def started(self, *more: str) -> Iterator[subprocess.Popen[str]]:
        """The command while it runs; killed at the end of the block if it is still running."""
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "speciesnet", *self.arguments),
                *("--predictions_json", str(self.path), *more),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def finish(self) -> str:
        """Runs it to its end and returns its output."""
        with self.started() as process:
            out, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, err
            return out + err

    def finish_despite_kills(self, images: int, pause: float, seed: int) -> list[int]:
        """Kills it repeatedly and returns the number of records after each time.

        Args:
            images: Number of images.
            pause: Seconds between two writes of a run.
            seed: Seed of the random moments.
        """
        dice = random.Random(seed)
        there = [0]
        for _ in range(KILLS):
            with self.started() as process:
                if dice.random() < 0.8:  # in the middle of its work, else while it starts
                    wanted = there[-1] + dice.uniform(0, 1.5) * images / KILLS
                    while count_in(self.path) < wanted and process.poll() is None:
                        time.sleep(0.01)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(dice.uniform(0, pause))
                process.kill()
            there.append(len(records_in(self.path)))
        self.finish()
        return there[1:]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many links to a few pictures."""
    folder = tmp_path_factory.mktemp("images")
    dice = np.random.default_rng(0)
    for number in range(4):
        pixels = dice.integers(0, 255, (120, 160, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    for number in range(4, IMAGES):
        (folder / f"{number:03}.png").hardlink_to(folder / f"{number % 4:03}.png")
    return folder


@pytest.fixture(scope="module")
def rival() -> dict[str, Any]:
    """How a second run on the output of the uninterrupted one ended."""
    return {}


@pytest.fixture(scope="module")
def uninterrupted(
    small_package: Path,
    images: Path,
    tmp_path_factory: pytest.TempPathFactory,
    rival: dict[str, Any],
) -> Run:
    """A run of the detector that is finished."""
    path = tmp_path_factory.mktemp("uninterrupted") / "out.json"
    arguments = ("--detector_only", "--model", str(small_package), "--folders", str(images))
    run = Run((*arguments, *FAST_ENGINE), path)
    with run.started() as first:
        wait_until(path.exists)
        with run.started("--ignore_existing") as second:
            rival["out"], rival["err"] = second.communicate(timeout=PATIENCE)
            rival["code"] = second.returncode
            rival["first is running"] = first.poll() is None
        out, err = first.communicate(timeout=PATIENCE)
        assert first.returncode == 0, err
        assert f"{IMAGES} images, 0 of them failed" in out
    return run


@pytest.fixture
def run(uninterrupted: Run, tmp_path: Path) -> Run:
    """The same run with another output, not started."""
    return replace(uninterrupted, path=tmp_path / "out.json")


def test_second_run_on_one_output_is_refused(uninterrupted: Run, rival: dict[str, Any]) -> None:
    assert rival["first is running"]
    assert rival["code"] == 1
    assert rival["out"] == ""
    assert re.fullmatch(
        r"speciesnet: .*out\.json is being written by another run\. .*\.\n", rival["err"]
    )
    assert len(records_in(uninterrupted.path)) == IMAGES
    assert [file.name for file in uninterrupted.path.parent.glob("*.bak")] == []


def test_same_command_on_a_finished_file_does_nothing(uninterrupted: Run) -> None:
    before, stat = uninterrupted.path.read_bytes(), uninterrupted.path.stat()
    said = uninterrupted.finish()
    assert f"{IMAGES} of {IMAGES} images were already done" in said
    assert uninterrupted.path.read_bytes() == before
    assert uninterrupted.path.stat().st_ino == stat.st_ino
    assert {file.name for file in uninterrupted.path.parent.iterdir()} == {
        "out.json",
        "out.json.run.json",
    }


def test_killed_runs_end_as_an_uninterrupted_one(run: Run, uninterrupted: Run) -> None:
    there = run.finish_despite_kills(IMAGES, pause=1.5, seed=1)
    print(f"records after each of {KILLS} kills: {there} of {IMAGES}")  # noqa: T201
    assert run.path.read_bytes() == uninterrupted.path.read_bytes()


def interrupt(run: Run, number: signal.Signals, code: int) -> tuple[int, str]:
    """Sends a signal after a new record; returns the number of records and the log."""
    before = len(records_in(run.path))
    with run.started() as process:
        wait_until(lambda: count_in(run.path) > before)
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, err
    assert "Traceback" not in err
    done = len(records_in(run.path))
    assert before < done < IMAGES
    *_, last = err.splitlines()
    assert last.startswith("speciesnet: Interrupted.")
    verb = plural(done, "is", "are")
    assert (
        f"{done} of {IMAGES} images {verb} in {run.path}" in last and "same command again" in last
    )
    return done, err


def test_interrupted_runs_explain_how_to_continue_and_do(run: Run, uninterrupted: Run) -> None:
    first, _ = interrupt(run, signal.SIGINT, 130)
    second, said = interrupt(run, signal.SIGTERM, 143)
    assert f"{first} of {IMAGES} images {plural(first, 'was', 'were')} already done" in said
    assert f"{second} of {IMAGES} images were already done" in run.finish()
    assert run.path.read_bytes() == uninterrupted.path.read_bytes()


@pytest.fixture
def decision(small_package: Path, tmp_path: Path) -> Run:
    """A run of the ensemble over many images, some of which lack a part and so fail every time."""
    labels = [f"{number};mammalia;primates;hominidae;homo;;human {number}" for number in range(5)]
    names = [f"{number % 7}/{number:05}.jpg" for number in range(20_000)]
    answer = {"classes": labels, "scores": [0.5, 0.2, 0.1, 0.1, 0.1]}
    parts = {
        "detections": [{"filepath": name, "detections": []} for name in names if name[-5] != "3"],
        "classifications": [{"filepath": name, "classifications": answer} for name in names],
    }
    arguments = ["--ensemble_only", "--model", str(small_package)]
    for part, records in parts.items():
        (tmp_path / f"{part}.json").write_text(json.dumps({"predictions": records}))
        arguments += [f"--{part}_json", str(tmp_path / f"{part}.json")]
    (tmp_path / "images.txt").write_text("\n".join(names), encoding="utf-8")
    return Run(
        (*arguments, "--filepaths_txt", str(tmp_path / "images.txt")), tmp_path / "whole.json"
    )


def test_killed_runs_of_many_records_end_as_an_uninterrupted_one(
    decision: Run, tmp_path: Path
) -> None:
    decision.finish()
    killed = replace(decision, path=tmp_path / "out.json")
    there = killed.finish_despite_kills(20_000, pause=0.2, seed=1)
    print(f"records after each of {KILLS} kills: {there} of 20000")  # noqa: T201
    assert killed.path.read_bytes() == decision.path.read_bytes()
