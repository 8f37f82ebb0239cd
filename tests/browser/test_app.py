from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from barriers import check_barriers
from playwright.sync_api import Locator, Page, Route, expect
from surveys import MODEL

if sys.platform == "win32":
    pytest.skip("Windows has other signals", allow_module_level=True)

NewPage = Callable[..., Page]

IMAGES = sorted((MODEL.parent / "images").rglob("*.jpg"))
LONG = 120_000  # milliseconds; networks are loaded
LOST = ("ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "ERR_SOCKET")
REFUSED = ("404", "409", "400", "403", "422")  # of an address that is asked for on purpose


@dataclass
class App:
    """The window of a person whose home has some folders of photographs."""

    home: Path
    port: int
    address: str = ""
    process: subprocess.Popen[str] | None = None

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def surveys(self) -> list[dict[str, Any]]:
        return json.loads((self.home / "data" / "surveys.json").read_text())["surveys"]

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
                "SPECIESNET_DATA": str(self.home / "data"),
                "XDG_CACHE_HOME": cache,
            },
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip().rpartition(" ")[2]

    def end(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    app = App(tmp_path_factory.mktemp("home"), port)
    app.add_card("card", 3)
    app.start()
    yield app
    app.end()


@dataclass
class Hand:
    """Uses the mouse, and counts its clicks."""

    page: Page
    clicks: list[str] = field(default_factory=list)

    def click(self, place: Locator | str) -> None:
        found = self.page.locator(place) if isinstance(place, str) else place
        self.clicks.append(found.inner_text())
        found.click()


@pytest.fixture
def opened(app: App, new_page: NewPage) -> Page:
    """The list of surveys in a new browser that speaks English."""
    page = new_page(app.address, expected=(*LOST, *REFUSED), locale="en-GB")
    page.wait_for_url(f"{app.base}/")
    return page


def prepare(hand: Hand, card: str, country: str = "kenya") -> None:
    """Clicks from the list of surveys to the page of a new one."""
    page = hand.page
    hand.click(page.get_by_role("link", name="New survey").last)
    hand.click(page.get_by_role("button", name="Pictures"))
    hand.click(page.get_by_role("button", name=card, exact=True))
    page.fill("#search", country)
    hand.click("#matches button >> nth=0")
    hand.click(page.get_by_text("Demonstration"))  # needs no download
    expect(page.locator("#chosen")).to_contain_text("photographs")
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


def test_a_file_for_timelapse_needs_at_most_eight_clicks(app: App, opened: Page) -> None:
    expect(opened.locator("#welcome")).to_be_visible()
    check_barriers(opened)
    hand = Hand(opened)
    prepare(hand, "card")
    expect(opened.locator("#plan")).to_contain_text("3 photographs")
    check_barriers(opened)
    hand.click("#start")
    expect(opened.locator(".badge")).to_have_text("done", timeout=LONG)
    hand.click("[data-kind=timelapse] .write")
    expect(opened.locator("[data-kind=timelapse] .done")).to_be_visible(timeout=LONG)
    assert len(hand.clicks) <= 8, hand.clicks

    results = Path(app.surveys[0]["results"])
    assert len(json.loads((results / "timelapse.json").read_text())["images"]) == 3
    assert str(results / "timelapse.json") in opened.locator("[data-kind=timelapse]").inner_text()
    expect(opened.locator("#command")).to_contain_text("speciesnet --folders")
    expect(opened.locator("#numbers")).to_contain_text("3 of 3 images")
    shown = opened.locator("#latest img")
    expect(shown.first).to_be_visible()
    assert shown.first.evaluate("(img) => img.decode().then(() => img.naturalWidth > 0)")
    check_barriers(opened)


def test_results_are_handed_over_and_reviewed(app: App, opened: Page) -> None:
    app.add_card("handed over", 3)
    prepare(Hand(opened), "handed over")
    opened.click("#start")
    sort = opened.locator("[data-kind=sort]")
    expect(sort).to_be_visible(timeout=LONG)
    sort.locator(".dry").click()
    expect(sort.locator(".done")).to_contain_text("3 photographs would be sorted", timeout=LONG)
    sort.locator(".write").click()
    expect(sort.locator(".done")).to_contain_text("3 photographs sorted", timeout=LONG)
    sorted_files = Path(app.surveys[-1]["results"]) / "sorted"
    assert len(list(sorted_files.rglob("*.jpg"))) == 3
    sort.locator(".undo").click()
    expect(sort.locator(".done")).to_contain_text("Sorting undone for 3 photographs", timeout=LONG)
    assert not list(sorted_files.rglob("*.jpg"))

    package = opened.locator("[data-kind=camtrap-dp]")
    package.locator(".write").click()
    expect(package.locator("[data-option=contributor]")).to_be_focused()
    opened.locator("#open-review").click()
    expect(opened.locator(".card")).to_have_count(3)


def test_tables_and_failed_cameras_know_where_the_camera_was(app: App, opened: Page) -> None:
    app.add_card("placed", 3)
    prepare(Hand(opened), "placed")
    opened.click("#start")
    ecology, failed = (opened.locator(f"[data-kind={kind}]") for kind in ("ecology", "cameras"))
    expect(ecology).to_be_visible(timeout=LONG)
    opened.locator("#cameras summary").click()
    fields = {name: opened.locator(f"[data-option={name}]") for name in ("latitude", "longitude")}
    fields["latitude"].fill("-1.29")
    ecology.locator(".write").click()
    problem = opened.locator(".problem")
    expect(problem).to_contain_text("The longitude must be a number of degrees")
    problem.get_by_role("button").click()
    expect(opened.locator("#choose-deployments")).to_be_focused()
    fields["longitude"].fill("36.82")
    for part in (ecology, failed):
        part.locator(".write").click()
        expect(part.locator(".done")).to_be_visible(timeout=LONG)
    expect(ecology.locator(".done")).to_contain_text("detection")
    expect(failed.locator(".done")).to_contain_text("1 camera")
    expect(failed).to_contain_text(str(Path(app.surveys[-1]["results"]) / "camera_check.csv"))

    table = app.home / "Pictures" / "cameras.csv"
    table.write_text("deploymentID,latitude,longitude\nelsewhere,95,36.8\n")
    choose_file(opened, "#choose-deployments", "cameras.csv")
    expect(fields["latitude"]).to_be_disabled()
    ecology.locator(".write").click()
    expect(ecology.locator(".problem")).to_contain_text("'95' as latitude", timeout=LONG)
    opened.reload()
    expect(opened.locator("#deployments")).to_have_text(str(table))
    opened.locator("#cameras summary").click()
    check_barriers(opened)
    opened.click("#see-cameras")
    expect(opened.locator("h1")).to_be_visible()
    assert opened.url.endswith("/cameras/index.html")


def test_answers_are_compared_with_the_labels_of_a_table(app: App, opened: Page) -> None:
    card = app.add_card("labeled", 3)
    prepare(Hand(opened), "labeled")
    opened.click("#start")
    part = opened.locator("[data-kind=evaluate]")
    expect(part).to_be_visible(timeout=LONG)
    part.locator(".write").click()
    expect(part.locator(".problem")).to_contain_text("pass labels as well", timeout=LONG)
    rows = [f"{image.name},white-tailed deer" for image in card.iterdir()]
    (app.home / "Pictures" / "truth.csv").write_text("\n".join(["file,label", *rows]))
    choose_file(opened, "#choose-labels", "truth.csv")
    part.locator("[data-option=wanted_precision]").select_option("90%")
    expect(opened.locator("#thresholds")).to_be_hidden()
    part.locator(".write").click()
    expect(part.locator(".done")).to_contain_text("3 labeled photographs", timeout=LONG)
    expect(opened.locator("#thresholds")).to_be_visible()
    check_barriers(opened)
    part.locator("#see-evaluation").click()
    expect(opened.locator("h1")).to_be_visible()


def test_choices_are_flags_and_pictures_of_a_trial_appear_while_it_runs(
    app: App, opened: Page
) -> None:
    def go_on(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), "state": "running"})

    app.add_card("tried", 3)
    opened.goto(f"{app.base}/new")
    opened.locator("#more summary").click()
    opened.locator("[data-option=geofence]").uncheck()
    opened.locator("[data-option=video_fps]").select_option("0.5")
    check_barriers(opened)
    opened.get_by_role("button", name="Pictures").click()
    opened.get_by_role("button", name="tried", exact=True).click()
    opened.fill("#search", "kenya")
    opened.locator("#matches button").first.click()
    opened.get_by_text("Demonstration").click()
    opened.click("#next")
    expect(opened.locator("#plan")).to_contain_text("3 photographs")
    opened.get_by_text("Details", exact=True).click()
    expect(opened.locator("#command")).to_contain_text("--nogeofence --video_fps 0.5")
    opened.route("**/api/jobs/*", go_on)
    opened.click("#try")
    expect(opened.locator("#trial li")).to_have_count(3, timeout=LONG)
    expect(opened.locator("#measured progress")).to_be_visible()
    opened.unroute_all()
    expect(opened.locator("#measured .done")).to_contain_text("3 photographs tried")


def test_a_killed_run_offers_to_continue_also_in_a_second_tab(
    app: App, opened: Page, new_page: NewPage
) -> None:
    app.add_card("long", 19)
    prepare(Hand(opened), "long")
    opened.click("#start")
    expect(opened.locator("#numbers")).to_contain_text("of 19", timeout=LONG)
    expect(opened.locator("#pause")).to_be_visible()
    second = new_page(opened.url, beside=opened, expected=REFUSED)
    output = Path(app.surveys[-1]["predictions"])
    while not output.exists() or b'"filepath"' not in output.read_bytes():
        time.sleep(0.05)
    os.kill(app.surveys[-1]["pid"], signal.SIGKILL)
    for page in (opened, second):
        expect(page.locator(".badge")).to_have_text("interrupted")
        expect(page.get_by_role("alert").last).to_contain_text("All finished work is kept")
    check_barriers(opened)
    opened.locator(".problem").get_by_role("button", name="Continue").click()
    for page in (opened, second):
        expect(page.locator(".badge")).to_have_text("done", timeout=LONG)
        expect(page.locator("#numbers")).to_contain_text("19 of 19")
        expect(page.locator(".problem")).to_have_count(0)


def test_a_folder_that_vanishes_is_named_until_it_is_back(app: App, opened: Page) -> None:
    card = app.add_card("drive", 2)
    prepare(Hand(opened), "drive")
    away = card.rename(card.with_name("away"))
    opened.click("#start")
    expect(opened.locator(".problem")).to_contain_text("plug it in again")
    expect(opened.locator("#about .warning")).to_contain_text(str(card))
    away.rename(card)
    expect(opened.locator("#about .warning")).to_have_count(0)


@pytest.mark.parametrize("language", ["en", "es", "fr", "pt", "sw"])
def test_pages_fit_a_telephone_in_every_language(
    app: App, opened: Page, new_page: NewPage, language: str
) -> None:
    opened.set_viewport_size({"width": 390, "height": 844})
    with opened.expect_navigation():
        opened.select_option("#language", language)
    for path in ("/", "/new", f"/surveys/{app.surveys[0]['id']}"):
        opened.goto(app.base + path)
        expect(opened.locator("html")).to_have_attribute("lang", language)
        opened.evaluate(
            "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
        )
        expect(opened.locator("#models label, .rows h2, #about .badge").first).to_be_visible()
        assert opened.evaluate("document.documentElement.scrollWidth") <= 390, path
    check_barriers(opened)


@pytest.mark.parametrize(
    ("typed", "found"), [("quenia", "Kenya"), ("ALLEMAGNE", "Germany"), ("drc", "Congo")]
)
def test_countries_are_found_by_their_names_in_other_languages(
    app: App, opened: Page, typed: str, found: str
) -> None:
    opened.goto(f"{app.base}/new")
    expect(opened.locator("#models label").first).to_be_visible()
    opened.fill("#search", "")
    opened.locator("#search").press_sequentially(typed)
    expect(opened.locator("#matches button").first).to_contain_text(found)
    opened.locator("#search").press("Enter")
    expect(opened.locator("#matched")).to_contain_text("✓ ")


def test_a_click_on_the_map_chooses_the_country(app: App, opened: Page) -> None:
    opened.goto(f"{app.base}/new")
    expect(opened.locator("#models label").first).to_be_visible()
    opened.locator("summary").first.click()
    opened.locator("#closer").click()
    box = opened.locator("#map img").bounding_box()
    assert box
    x, y = box["width"] * (-105 + 180) / 360, box["height"] * (84 - 55) / 140
    opened.locator("#map > div").click(position={"x": x, "y": y})
    expect(opened.locator("#matched")).to_have_text("✓ Canada")
    expect(opened.locator("#pin")).to_be_visible()


def test_a_page_continues_when_the_program_is_started_again(app: App, opened: Page) -> None:
    expect(opened.locator("#welcome, #surveys li").first).to_be_attached()
    app.end()
    expect(opened.locator("#lost")).to_contain_text("SpeciesNet is not running")
    app.start()
    expect(opened.locator("#lost")).to_be_hidden()

    opened.click("#quit")
    opened.locator("dialog .primary").click()
    expect(opened.locator("h1")).to_contain_text("SpeciesNet has ended")
    assert app.process
    assert app.process.wait(60) == 0
    app.start()
