"""A review in a process of its own, for a browser."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surveys import MODEL, corrections_in, record, write_predictions

if TYPE_CHECKING:
    from playwright.sync_api import Page

IMAGES = sorted((MODEL.parent / "images").rglob("*.jpg"))


@dataclass
class Server:
    """A review that can be killed and restarted."""

    predictions: Path
    port: int
    address: str = ""
    _processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self) -> None:
        command = [sys.executable, "-m", "speciesnet.scripts.review", str(self.predictions)]
        process = subprocess.Popen(
            [*command, "--port", str(self.port)], stdout=subprocess.PIPE, encoding="utf-8"
        )
        self._processes.append(process)
        assert process.stdout is not None
        self.address = process.stdout.readline().strip().rpartition(" ")[2]

    def kill(self) -> None:
        while self._processes:
            process = self._processes.pop()
            process.kill()
            process.communicate()

    @property
    def saved(self) -> list[tuple[str, str | None]]:
        return corrections_in(self.predictions)

    def wait_for(self, *expected: tuple[str, str | None]) -> None:
        """Waits until exactly these corrections are on disk."""
        end = time.monotonic() + 60
        while self.saved != list(expected) and time.monotonic() < end:
            time.sleep(0.02)
        assert self.saved == list(expected)


def records_in(
    folder: Path, answers: Sequence[tuple[str, str, Mapping[str, Any]]]
) -> list[Mapping[str, object]]:
    """The records of images with these names, answers and other values; the images are made."""
    records = []
    for number, (name, label, values) in enumerate(answers):
        path = folder / f"{name}.jpg"
        path.parent.mkdir(exist_ok=True)
        shutil.copyfile(IMAGES[number], path)
        records.append(record(path, label, **values))
    return records


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def server_of(predictions: Path, *records: Mapping[str, object]) -> Iterator[Server]:
    """Yields the review of a predictions file that holds these records."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    server = Server(write_predictions(predictions, *records), port)
    server.start()
    yield server
    server.kill()
