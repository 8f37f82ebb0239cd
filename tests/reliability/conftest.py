"""Runs of the demo's classifier on a few photographs, some on a web server that may keep them."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from commands import Outcome, read_predictions
from faults import Proxy, before_web_server

from speciesnet.images.instances import SAMPLE_IMAGES

PATIENCE = 60.0  # seconds; a longer wait is a hang
WITH_FAULT = Path(__file__).with_name("with_fault.py")
SAMPLES = sorted(path.as_posix() for path in SAMPLE_IMAGES.rglob("*.jpg"))
HELD = "held.jpg"  # an image whose response is held back until it is released


@dataclass(frozen=True)
class Run:
    """A command line that can be run again and again.

    Attributes:
        photographs: Paths and URLs; empty if ``more`` names them.
        path: The output.
        fault: The name of a fault in ``with_fault.py``.
        more: Further arguments.
        options: Options of the process.
    """

    photographs: Sequence[str]
    path: Path
    fault: str | None = None
    more: Sequence[str] = ()
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def arguments(self) -> list[str]:
        """The whole command."""
        program = [str(WITH_FAULT), self.fault] if self.fault else ["-m", "speciesnet"]
        listing = self.path.parent.with_name(f"{self.path.name}.txt")
        listing.write_text("\n".join(self.photographs), encoding="utf-8")
        return [
            *(sys.executable, *program, "--model", "demo", "--classifier_only", "--bypass_prompts"),
            *(("--filepaths_txt", str(listing)) if self.photographs else ()),
            *("--predictions_json", str(self.path), *self.more),
        ]

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[str]]:
        """The command while it runs."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **self.options}
        process = subprocess.Popen(self.arguments, encoding="utf-8", **options)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def wait_for(self, records: int) -> None:
        """Waits until the file has so many records."""
        deadline = time.monotonic() + PATIENCE
        while not self.path.exists() or self.path.read_bytes().count(b'{"filepath":') < records:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def ended(self, process: subprocess.Popen[str]) -> Outcome:
        """The outcome; fails if the command does not end."""
        out, err = process.communicate(timeout=PATIENCE)
        return Outcome(process.returncode, out or "", err or "")

    def finished(self) -> Outcome:
        """The command from its start to its end."""
        with self.started() as process:
            return self.ended(process)

    def go_on(self) -> list[dict[str, Any]]:
        """Finishes the same run without the fault; returns its records."""
        outcome = replace(self, fault=None, options={}).finished()
        assert outcome.code == 0, outcome.err
        return read_predictions(self.path)

    @property
    def names(self) -> list[str]:
        """Images that have a record; the file must be valid."""
        return [record["filepath"] for record in read_predictions(self.path)]


@pytest.fixture(scope="session")
def samples() -> list[str]:
    """The demo's photographs."""
    return SAMPLES


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """A run with an output folder of its own."""
    (tmp_path / "out").mkdir()
    return lambda photographs, **more: Run(photographs, tmp_path / "out" / "out.json", **more)


class _Samples(http.server.SimpleHTTPRequestHandler):
    """Responds to every request with one photograph."""

    def translate_path(self, path: str) -> str:
        return SAMPLES[0]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Logs nothing."""


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy in front of a web server that has every photograph."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with before_web_server(_Samples) as proxy:
        yield proxy


@pytest.fixture
def release(web: Proxy) -> Iterator[threading.Event]:
    """Releases the held response."""
    event = threading.Event()

    def plan(method: str, path: str) -> None:
        if HELD in path:
            event.wait(PATIENCE)

    web.plan = plan
    yield event
    event.set()


@pytest.fixture
def held_run(make_run: Callable[..., Run], web: Proxy, release: threading.Event) -> Run:
    """A run that stops in the middle: two batches, then an image that is held, then one more."""
    return make_run([*SAMPLES[:16], f"{web.address}/{HELD}", SAMPLES[16]])
