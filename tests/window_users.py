"""The window as a person starts it and uses it, in a browser."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from barriers import check_barriers
from playwright.sync_api import Locator, Page, expect
from surveys import MODEL

NewPage = Callable[..., Page]

IMAGES = sorted((MODEL.parent / "images").rglob("*.jpg"))
LONG = 120_000  # milliseconds; networks are loaded
LOST = ("ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "ERR_SOCKET")
REFUSED = ("404", "409", "400", "403", "422", "507")  # for addresses that are requested on purpose


def free_port() -> int:
    """A port that no program uses."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@dataclass
class App:
    """The window of a person whose home has some folders of photographs."""

    home: Path
    port: int
    data: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)
    address: str = ""
    process: subprocess.Popen[str] | None = None

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def surveys(self) -> list[dict[str, Any]]:
        return json.loads((self._data / "surveys.json").read_text())["surveys"]

    @property
    def _data(self) -> Path:
        return self.data or self.home / "data"

    def add_card(self, name: str, images: int) -> Path:
        card = self.home / "Pictures" / name
        card.mkdir(parents=True)
        for image in IMAGES[:images]:
            shutil.copy(image, card / f"{image.parent.name}-{image.name}")
        return card

    def start(self) -> None:
        cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))  # converted networks
        self.process = subprocess.Popen(
            [sys.executable, "-m", "speciesnet", "app", "--nobrowser", "--port", str(self.port)],
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={
                **os.environ,
                "HOME": str(self.home),
                "SPECIESNET_DATA": str(self._data),
                "XDG_CACHE_HOME": cache,
                **self.environment,
            },
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip().rpartition(" ")[2]

    def end(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)


@dataclass
class Hand:
    """Uses the mouse, and counts its clicks."""

    page: Page
    clicks: list[str] = field(default_factory=list)

    def click(self, place: Locator | str) -> None:
        found = self.page.locator(place) if isinstance(place, str) else place
        self.clicks.append(found.inner_text())
        found.click()


def choose_card(hand: Hand, card: str, country: str = "kenya") -> None:
    """Clicks from the list of surveys to a new one that is complete."""
    page = hand.page
    hand.click(page.get_by_role("link", name="New survey").last)
    hand.click(page.get_by_role("button", name="Pictures"))
    hand.click(page.get_by_role("button", name=card, exact=True))
    page.fill("#search", country)
    hand.click("#matches button >> nth=0")
    hand.click(page.get_by_text("Demonstration"))  # needs no download
    expect(page.locator("#chosen")).to_contain_text("photographs")


def prepare(hand: Hand, card: str, country: str = "kenya", results: str | None = None) -> None:
    """Clicks from the list of surveys to the page of a new one."""
    page = hand.page
    choose_card(hand, card, country)
    if results:
        page.click("#more summary")
        page.click("#choose-results")
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Pictures").click()
        dialog.get_by_role("button", name=results).click()
        dialog.get_by_role("button", name="Choose this folder").click()
    check_barriers(page)
    hand.click("#next")
    page.wait_for_url("**/surveys/*")


def choose_file(page: Page, button: str, name: str) -> None:
    """Chooses a file in the folder of pictures."""
    page.click(button)
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Pictures").click()
    dialog.get_by_role("button", name=name).click()
    check_barriers(page)
    dialog.get_by_role("button", name="Choose this file").click()
