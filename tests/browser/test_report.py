from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from photographs import photograph
from playwright.sync_api import Locator, Page, expect
from shown_images import width_of
from surveys import (
    BLANK,
    BOAR,
    DEER,
    FOX,
    HUMAN,
    LABELS,
    MODEL,
    UNKNOWN,
    box,
    correction,
    record,
    survey_of,
)

from speciesnet.files.moved_photographs import Photographs
from speciesnet.survey.report.site import write_report

NewPage = Callable[..., Page]

IMAGES = sorted((MODEL.parent / "images").rglob("*.jpg"))
LINKS = 66
TOTAL = 10 + LINKS
PAGES = [
    "index.html",
    "gallery.html",
    "species.html",
    "check.html",
    "failures.html",
    "species-red-fox.html",
]


@dataclass(frozen=True)
class Report:
    """A report on disk."""

    folder: Path

    def __call__(self, page: str) -> str:
        """The address of a page, with its filters."""
        name, _, filters = page.partition("#")
        return f"{(self.folder / name).as_uri()}#{filters}"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Two cameras with images of every kind, and a third one with enough deer for two pages."""
    folder = tmp_path_factory.mktemp("report")
    start = datetime(2024, 5, 1, 6, 30)

    def copy(name: str, number: int) -> Path:
        path = folder / "survey" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(IMAGES[number], path)
        return path

    def seconds(count: int) -> dict[str, Any]:
        return {"taken": (start + timedelta(seconds=count)).isoformat()}

    records = [
        record(copy("cam1/fox1.jpg", 0), FOX, 0.95, **seconds(0)),
        record(copy("cam1/fox2.jpg", 1), FOX, 0.7, boxes=[box(), box(conf=0.1)], **seconds(10)),
        record(copy("cam1/empty.jpg", 2), BLANK, 0.99, **seconds(20)),
        record(copy("cam1/deer.jpg", 3), DEER, 0.66, classes={DEER: 0.66, FOX: 0.34}, **seconds(30)),
        record(copy("cam2/boar.jpg", 4), BOAR, 0.9, **seconds(86400)),
        record(copy("cam2/person.jpg", 5), HUMAN, 0.95, boxes=[box("human")]),
        record(copy("cam2/car.jpg", 6), LABELS["vehicle"], 0.8, boxes=[box("vehicle")]),
        record(copy("cam2/what.jpg", 7), UNKNOWN, 0.3, boxes=[]),
        record(copy("cam2/said.jpg", 8), FOX, 0.6),
        {"filepath": str(folder / "survey" / "cam2" / "bad.jpg"), "failures": ["DETECTOR"]},
    ]  # fmt: skip
    for i in range(LINKS):
        path = copy(f"cam3/{i:03d}.jpg", 9 + i % 10)
        records.append(record(path, DEER, 0.8 + i / 1000, **seconds(86400 * (i + 2))))
    survey = survey_of(
        folder, *records, corrections=[correction(folder / "survey/cam2/said.jpg", BOAR)]
    )
    write_report(survey, folder / "pages", Photographs(), blur_humans=True)
    return Report(folder / "pages")


def files(page: Page) -> list[str]:
    """The names of the images that the gallery shows."""
    titles = page.locator("#cards .card").evaluate_all("cards => cards.map((card) => card.title)")
    return [title.rpartition("/")[2].removesuffix(".jpg") for title in titles]


def choose(page: Page, name: str, text: str) -> None:
    """Chooses the first option of a filter that contains a text."""
    field = page.locator(f"select[name={name}]")
    option = field.locator("option", has_text=text).first
    field.select_option(value=option.get_attribute("value"))


def test_filters_select_images(report: Report, new_page: NewPage) -> None:
    page = new_page(report("gallery.html"))
    count = page.locator("#count")
    expect(count).to_have_text(f"{TOTAL} of {TOTAL} images")
    page.locator("summary").click()

    def found(expected: list[str]) -> None:
        expect(count).to_contain_text(f"{len(expected)} of")
        assert files(page) == expected
        page.locator("#clear-filters").click()
        expect(count).to_contain_text(f"{TOTAL} of")

    choose(page, "label", "red fox (2)")
    found(["fox1", "fox2"])
    choose(page, "label", "wild boar (2)")
    found(["boar", "said"])
    choose(page, "category", "failed (1)")
    found(["bad"])
    choose(page, "camera", "cam1 (4)")
    found(["fox1", "fox2", "empty", "deer"])
    page.fill("[name=text]", "CAM2/c")
    found(["car"])
    page.fill("[name=text]", "white-tailed")
    page.fill("[name=max]", "0.7")
    found(["deer"])
    page.fill("[name=min]", "0.95")
    found(["fox1", "empty", "person"])
    page.fill("[name=from]", "2024-05-02")
    page.fill("[name=to]", "2024-05-03")
    found(["boar", "000"])
    choose(page, "check", "The answer differs")
    found(["deer"])
    choose(page, "check", "any reason")
    found(["fox2", "deer", "what"])
    choose(page, "said", "reviewed")
    found(["said"])
    choose(page, "source", "classifier")
    choose(page, "said", "not reviewed")
    choose(page, "camera", "cam2")
    found(["boar", "person", "car", "what"])
    page.fill("[name=text]", "nothing like it")
    expect(page.locator("#nothing")).to_be_visible()
    found([])


def test_sorting_and_sequences(report: Report, new_page: NewPage) -> None:
    page = new_page(report("gallery.html#text=cam1"))
    assert files(page) == ["fox1", "fox2", "empty", "deer"]
    page.select_option("[name=sort]", "unsure")
    assert files(page) == ["deer", "fox2", "fox1", "empty"]
    page.select_option("[name=sort]", "sure")
    assert files(page) == ["empty", "fox1", "fox2", "deer"]
    page.select_option("[name=sort]", "time")
    assert files(page) == ["fox1", "fox2", "empty", "deer"]
    page.check("[name=group]")
    expect(page.locator("#count")).to_have_text(f"4 of {TOTAL} images, 1 sequence")
    card = page.locator(".card")
    expect(card).to_have_count(1)
    expect(card.locator(".mark")).to_have_text(["4 images", "check"])
    page.locator("h1").click()
    page.keyboard.press("g")
    expect(card).to_have_count(4)


def test_pages_of_the_gallery(report: Report, new_page: NewPage) -> None:
    page = new_page(report("gallery.html"))
    expect(page.locator(".card")).to_have_count(60)
    page.locator(".pager").first.get_by_label("Next page").click()
    expect(page.locator(".card")).to_have_count(TOTAL - 60)
    assert page.url.endswith("#page=2")
    page.reload()
    expect(page.locator(".card")).to_have_count(TOTAL - 60)
    assert files(page)[-1] == f"{LINKS - 1:03d}"
    page.keyboard.press("p")
    expect(page.locator(".pager span").first).to_have_text("Page 1 of 2")
    page.keyboard.press("n")
    expect(page.locator(".pager span").first).to_have_text("Page 2 of 2")
    page.keyboard.press("n")
    choose(page, "camera", "cam1")
    expect(page.locator(".card")).to_have_count(4)
    expect(page.locator(".pager").first).to_be_hidden()


def test_address_contains_the_filters(report: Report, new_page: NewPage) -> None:
    page = new_page(report("gallery.html"))
    page.locator("summary").click()
    choose(page, "category", "animal")
    choose(page, "camera", "cam1")
    page.fill("[name=max]", "0.9")
    page.uncheck("[name=boxes]")
    page.fill("[name=conf]", "0.5")
    for _ in range(2):
        expect(page.locator("#count")).to_have_text(f"2 of {TOTAL} images")
        assert files(page) == ["fox2", "deer"]
        assert page.locator("[name=category]").input_value() == "animal"
        assert page.locator("[name=max]").input_value() == "0.9"
        assert page.locator("[name=conf]").input_value() == "0.5"
        assert not page.is_checked("[name=boxes]")
        expect(page.locator("#filters-active")).to_have_text("(1)")
        page.reload()
    page.goto(report("gallery.html#category=blank"))
    expect(page.locator("#count")).to_have_text(f"1 of {TOTAL} images")


def open_viewer(page: Page, file: str) -> Locator:
    page.locator(f".card[title$='/{file}.jpg']").click()
    viewer = page.locator("#viewer")
    expect(viewer).to_be_visible()
    return viewer


def expect_photograph(page: Page) -> None:
    """Waits until the viewer shows the photograph that it links to."""
    address = page.locator("#facts a").evaluate("link => link.href")
    expect(page.locator("#view img")).to_have_attribute("src", address)


def test_viewer_opens_and_arrows_show_the_next_image(report: Report, new_page: NewPage) -> None:
    page = new_page(report("gallery.html#text=cam1"))
    viewer = open_viewer(page, "fox2")
    expect(page.locator("#place")).to_have_text("2 of 4")
    facts = page.locator("#facts")
    expect(facts).to_contain_text("Vulpes vulpes")
    expect(facts).to_contain_text("The score of the answer is below 0.75.")
    expect(facts).to_contain_text("2024-05-01 06:30:10")
    link = facts.get_by_role("link")
    assert (link.get_attribute("href") or "").endswith("survey/cam1/fox2.jpg")
    expect_photograph(page)
    assert width_of(page.locator("#view img")) > 480
    expect(page.locator("#strip button")).to_have_count(4)
    for key, place in (
        ("ArrowRight", "3"),
        ("ArrowRight", "4"),
        ("ArrowRight", "4"),
        ("ArrowLeft", "3"),
    ):
        page.keyboard.press(key)
        expect(page.locator("#place")).to_have_text(f"{place} of 4")
    page.locator("#strip button").first.click()
    expect(page.locator("#place")).to_have_text("1 of 4")
    page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()


def test_private_and_failed_images_link_to_no_photograph(report: Report, new_page: NewPage) -> None:
    page = new_page(report("gallery.html#text=cam2"))
    for file in ("person", "bad"):
        open_viewer(page, file)
        expect(page.locator("#facts")).to_contain_text(f"cam2/{file}.jpg")
        expect(page.locator("#facts a")).to_have_count(0)
        page.wait_for_timeout(100)
        image = page.locator("#view img")
        if file == "person":
            assert (image.get_attribute("src") or "").startswith("thumbs/")
        else:
            expect(page.locator("#view")).to_contain_text(
                "No picture: there is no file at the path"
            )
        page.keyboard.press("Escape")


def test_boxes_are_hidden_and_shown(report: Report, new_page: NewPage) -> None:
    page = new_page(report("gallery.html#text=fox2"))
    boxes = page.locator("#cards .box")
    expect(boxes).to_have_count(1)
    page.fill("[name=conf]", "0.05")
    expect(boxes).to_have_count(2)
    page.fill("[name=conf]", "")
    page.locator("[name=conf]").press_sequentially("0.95")
    assert page.locator("[name=conf]").input_value() == "0.95"
    expect(boxes).to_have_count(0)
    page.fill("[name=conf]", "0.2")
    expect(boxes.first).to_be_visible()
    page.uncheck("[name=boxes]")
    expect(boxes.first).to_be_hidden()
    page.keyboard.press("x")  # the checkbox still has the focus
    expect(boxes.first).to_be_visible()
    open_viewer(page, "fox2")
    large = page.locator("#view .box")
    expect(large).to_have_text("animal 0.90")
    expect(large).to_be_visible()
    frame, shape = page.locator("#view .frame").bounding_box(), large.bounding_box()
    assert frame is not None
    assert shape is not None
    assert shape["x"] - frame["x"] == pytest.approx(0.2 * frame["width"], abs=2)
    assert shape["height"] == pytest.approx(0.5 * frame["height"], abs=2)
    page.keyboard.press("x")
    expect(large).to_be_hidden()
    page.keyboard.press("Escape")
    assert not page.is_checked("[name=boxes]")


def test_choice_of_dark_or_light_is_kept(report: Report, new_page: NewPage) -> None:
    def ground(page: Page) -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    page = new_page(report("index.html"), color_scheme="light")
    light = ground(page)
    page.locator("#theme").click()
    dark = ground(page)
    assert light != dark
    page.goto(report("gallery.html"))
    assert ground(page) == dark
    page.locator("#theme").click()
    assert ground(page) == light
    assert ground(new_page(report("index.html"), color_scheme="dark")) == dark


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_scrolls_sideways(report: Report, new_page: NewPage, width: int) -> None:
    page = new_page(report("index.html"), viewport={"width": width, "height": 844})
    for name in PAGES:
        page.goto(report(name))
        if page.locator("summary").count():
            page.locator("summary").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    page.goto(report("gallery.html#text=cam1"))
    open_viewer(page, "fox1")
    assert page.locator("#viewer").evaluate("it => it.scrollWidth <= it.clientWidth")
    expect(page.locator("#close")).to_be_in_viewport()


def test_every_page_shows_its_images(report: Report, new_page: NewPage) -> None:
    page = new_page(report("index.html"))
    for name in PAGES:
        page.goto(report(name))
        images = page.locator("img:visible")
        for i in range(min(images.count(), 6)):
            assert width_of(images.nth(i)) > 0, name
    page.goto(report("species-red-fox.html"))
    expect(page.locator("#count")).to_have_text(f"2 of {TOTAL} images")
    page.goto(report("check.html"))
    assert files(page) == ["what", "deer", "fox2"]


def test_help_lists_the_keys(report: Report, new_page: NewPage) -> None:
    page = new_page(report("gallery.html"))
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("x")
    assert page.is_checked("[name=boxes]")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("boar?")
    expect(page.locator("#nothing")).to_be_visible()
    expect(page.locator("#help")).to_be_hidden()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_hostile_names_are_text(tmp_path: Path, new_page: NewPage) -> None:
    evil = "<evil-tag onerror=alert(1)><img src=x onerror=alert(1)>"
    names = [
        f"{evil}.jpg",
        f"'\">{evil}.jpg",
        "x" * 200 + ".jpg",
        "🦊 #?%41&amp;.jpg",
        "caf\udce9.jpg",
    ]
    label = f"u;a;b;c;d;e;{evil}"
    records = [record(photograph(tmp_path / evil / name), label) for name in names]
    records.append({"filepath": f"gone/{evil}", "failures": [evil]})
    survey = survey_of(tmp_path, *records)
    survey.name = evil
    out = tmp_path / "report"
    write_report(survey, out, Photographs())
    report = Report(out)
    page = new_page(report("index.html"), viewport={"width": 390, "height": 844})
    page.on("dialog", lambda dialog: pytest.fail("a script in a name has run"))
    for path in sorted(out.glob("*.html")):
        page.goto(report(path.name))
        expect(page.locator("h1")).to_be_visible()
        assert page.locator("evil-tag").count() == 0
        assert page.locator("img[src=x]").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path.name
    page.goto(report("gallery.html"))
    expect(page.locator(".card")).to_have_count(6)
    page.locator(".card").first.click()
    for place in range(1, 7):
        expect(page.locator("#place")).to_have_text(f"{place} of 6")
        assert page.locator("evil-tag").count() == 0
        if place <= 4:
            expect_photograph(page)
        page.keyboard.press("ArrowRight")
