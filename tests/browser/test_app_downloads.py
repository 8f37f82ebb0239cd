"""What a person sees while a model is downloaded from a stand-in for the hub."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from barriers import check_barriers
from hubs import Hub, hub_of
from playwright.sync_api import Page, expect
from window_users import LONG, LOST, REFUSED, App, NewPage, free_port

from speciesnet.files.packages.info import ModelInfo

if sys.platform == "win32":
    pytest.skip("Windows has other signals", allow_module_level=True)

MEBIBYTE = 2**20  # written at a time


class Paused:
    """Pauses a download before it is broken off, until told to continue."""

    def __init__(self, hub: Hub) -> None:
        self.arrived, self.go_on = threading.Event(), threading.Event()
        hub.is_held = self

    def __call__(self) -> bool:
        self.arrived.set()
        return not self.go_on.wait(1)


@pytest.fixture
def hub() -> Iterator[Hub]:
    """Serves the demo model under the names of the published ones."""
    with hub_of(ModelInfo("demo").folder) as hub:
        hub.move_detector()
        hub.files["notes.bin"] = bytes(3 * MEBIBYTE)
        # kagglehub asks for a whole file before it asks for its rest.
        hub.cuts = {"notes.bin": [2 * MEBIBYTE + 10, 10, 10]}
        yield hub


@pytest.fixture
def opened(hub: Hub, tmp_path: Path, new_page: NewPage) -> Iterator[Page]:
    """A window without any model."""
    environment = {**hub.environment, "KAGGLEHUB_CACHE": str(tmp_path / "kaggle")}
    app = App(tmp_path / "home", free_port(), environment=environment)
    app.add_card("card", 2)
    app.start()
    yield new_page(app.address, expected=(*LOST, *REFUSED), locale="en-GB")
    app.end()


def test_a_download_that_is_broken_off_shows_what_arrived_and_goes_on(
    hub: Hub, opened: Page
) -> None:
    paused = Paused(hub)
    opened.get_by_role("link", name="New survey").last.click()
    first = opened.locator("#models label").first
    expect(first).to_contain_text("must be downloaded once (about 500 MB)")
    first.get_by_role("button", name="Download").click()
    assert paused.arrived.wait(LONG / 1000)
    place = opened.locator("#download")
    for _ in range(2):
        expect(place).to_contain_text("MB of about 500 MB", timeout=LONG)
        assert place.locator("progress").get_attribute("max") == "500000000"
        opened.reload()  # as another person's tab
    check_barriers(opened)
    paused.go_on.set()
    problem = place.locator(".problem")
    expect(problem).to_be_visible(timeout=LONG)
    expect(first).to_contain_text("MB of about 500 MB are already here")
    for _ in range(2):  # it is broken off again
        expect(problem).to_contain_text("what has already arrived is kept", timeout=LONG)
        problem.get_by_role("button", name="Download").click()
        expect(place.locator("progress")).to_be_visible()
    expect(first).to_contain_text("✓ on this computer", timeout=LONG)
    assert ("notes.bin", f"bytes={2 * MEBIBYTE}-") in hub.ranges


def test_a_run_without_its_model_downloads_it_and_goes_on_after_a_break(
    hub: Hub, opened: Page
) -> None:
    paused = Paused(hub)
    opened.get_by_role("link", name="New survey").last.click()
    opened.get_by_role("button", name="Pictures").click()
    opened.get_by_role("button", name="card", exact=True).click()
    opened.get_by_text("Unknown").click()
    expect(opened.locator("#models label").first).to_be_visible()
    opened.click("#next")
    opened.click("#start")
    assert paused.arrived.wait(LONG / 1000)
    expect(opened.locator("#numbers")).to_contain_text(
        "The model is being downloaded", timeout=LONG
    )
    paused.go_on.set()
    problem = opened.locator(".problem")
    expect(problem).to_contain_text("what has already arrived is kept", timeout=LONG)
    problem.get_by_role("button", name="Download").click()
    again = opened.locator("#download .problem")  # it is broken off again
    expect(again).to_be_visible(timeout=LONG)
    again.get_by_role("button", name="Download").click()
    expect(opened.locator(".badge")).to_have_text("done", timeout=LONG)
    expect(opened.locator("#numbers")).to_contain_text("2 of 2 images")
