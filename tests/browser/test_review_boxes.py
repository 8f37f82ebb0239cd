from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from reviews import Server, press, records_in, server_of
from surveys import BLANK, BOAR, DEER, FOX, HUMAN, answered_box, box

from speciesnet.survey.corrections import corrections_path, read_corrections

NewPage = Callable[..., Page]

LEFT, RIGHT, SIDE = (0.1, 0.2, 0.3, 0.4), (0.5, 0.2, 0.3, 0.4), (0.82, 0.3, 0.15, 0.6)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Two deer and a hiker with their own answers, two foxes without, and a blank image."""
    herd = [answered_box(DEER, bbox=LEFT, conf=0.95), answered_box(DEER, bbox=RIGHT, conf=0.8),
            answered_box(HUMAN, "human", bbox=SIDE, conf=0.7)]  # fmt: skip
    foxes = [box(bbox=LEFT), box(conf=0.6, bbox=RIGHT)]
    answers: list[Any] = [
        ("a", DEER, {"boxes": herd}),
        ("b", FOX, {"boxes": foxes}),
        ("c", BLANK, {}),
    ]
    yield from server_of(tmp_path / "p.json", *records_in(tmp_path / "s", answers))


def open_image(page: Page, name: str) -> None:
    page.locator(f".card[title$='/{name}.jpg']").click()
    expect(page.locator("#facts")).to_contain_text(f"{name}.jpg")


def name_it(page: Page, text: str) -> None:
    page.keyboard.type(text)
    expect(page.locator("#choices [role=option]").first).to_contain_text(text)
    press(page, "Enter")


def expect_boxes(page: Page, *tags: str) -> None:
    expect(page.locator("#view .box:not(.draft)")).to_have_text(list(tags))


def expect_counts(page: Page, text: str) -> None:
    expect(page.locator("#facts dt:has-text('Individuals') + dd")).to_have_text(
        text.replace(" x ", " \N{MULTIPLICATION SIGN} ")
    )


def corrections_of(server: Server, page: Page, name: str) -> dict[str, Any]:
    """The last correction of an image, as its line in the file."""
    expect(page.locator("#saved")).to_have_text("All saved")
    found = read_corrections(corrections_path(server.predictions))
    line = next((one.as_json() for path, one in found.items() if path.endswith(f"/{name}.jpg")), {})
    return json.loads(json.dumps(line))


def box_at(bbox: Any, label: str | None) -> dict[str, Any]:
    return {"bbox": list(bbox), "label": label}


def test_box_is_relabelled_with_the_keyboard(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address)
    open_image(page, "a")
    expect_boxes(page, "white-tailed deer 0.90", "white-tailed deer 0.90", "human 0.90")
    expect_counts(page, "2 x white-tailed deer, 1 x human")
    press(page, "b", "b")
    expect(page.locator(".box.selected")).to_have_attribute("data-number", "2")
    expect(page.locator("#box-list [aria-pressed=true]")).to_contain_text("2 white-tailed deer")
    press(page, "c")
    name_it(page, "wild boar")
    expect_boxes(page, "white-tailed deer 0.90", "wild boar", "human 0.90")
    expect_counts(page, "1 x white-tailed deer, 1 x wild boar, 1 x human")
    expect(page.locator("#place")).to_have_text("1 of 3")
    saved = corrections_of(server, page, "a")
    assert (saved["label"], saved["boxes"]) == (None, [box_at(RIGHT, BOAR)])
    press(page, "B", "1")  # the recent answer, for the box before
    saved = corrections_of(server, page, "a")
    assert (saved["label"], len(saved["boxes"])) == (BOAR, 2)
    expect(page.locator("#facts strong")).to_have_text("wild boar")


def test_relabelled_main_box_takes_the_photograph_along_but_no_other_box(
    server: Server, new_page: NewPage
) -> None:
    page = new_page(server.address)
    for name, others in (("a", ("white-tailed deer", "human 0.90")), ("b", ("red fox",))):
        open_image(page, name)
        page.locator("#box-list button").first.click()
        press(page, "c")
        name_it(page, "wild boar")
        expect_boxes(page, "wild boar", *others)
        expect(page.locator("#facts strong")).to_have_text("wild boar")
        press(page, "Escape", "Escape")
    deer, fox = corrections_of(server, page, "a"), corrections_of(server, page, "b")
    assert (deer["label"], fox["label"]) == (BOAR, BOAR)
    assert deer["boxes"] == [box_at(RIGHT, DEER), box_at(LEFT, BOAR)]
    assert fox["boxes"] == [box_at(RIGHT, FOX), box_at(LEFT, BOAR)]


def test_box_is_selected_and_removed_with_the_mouse(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address)
    open_image(page, "a")
    page.locator("#view .tag", has_text="human").click()
    expect(page.locator(".box.selected")).to_have_attribute("data-number", "3")
    expect(page.locator("#view")).not_to_have_class("zoomed")
    page.locator("#remove-box").click()
    expect_boxes(page, "white-tailed deer 0.90", "white-tailed deer 0.90")
    expect_counts(page, "2 x white-tailed deer")
    expect(page.locator("#remove-box")).to_be_disabled()
    assert corrections_of(server, page, "a")["boxes"] == [box_at(SIDE, None)]
    press(page, "u")
    expect(page.locator("#view .box")).to_have_count(3)
    assert corrections_of(server, page, "a") == {}


def test_photograph_without_its_only_boxes_is_blank(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address)
    open_image(page, "b")
    press(page, "b", "Delete")
    expect(page.locator("#facts strong")).to_have_text("red fox")
    press(page, "b", "Delete")
    expect(page.locator("#facts strong")).to_have_text("blank")
    assert corrections_of(server, page, "b")["label"] == BLANK
    press(page, "u", "u")
    expect_boxes(page, "animal 0.90", "animal 0.60")
    assert corrections_of(server, page, "b") == {}


def test_blank_box_is_removed(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address)
    open_image(page, "a")
    press(page, "b", "c")
    name_it(page, "blank")
    expect_boxes(page, "white-tailed deer 0.90", "human 0.90")
    press(page, "b", "Delete")  # the other deer: the hiker is left
    expect(page.locator("#facts strong")).to_have_text("human")
    saved = corrections_of(server, page, "a")
    assert saved["boxes"] == [box_at(LEFT, None), box_at(RIGHT, None)]
    assert saved["label"] == HUMAN


def test_box_is_drawn_with_the_mouse(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address)
    open_image(page, "a")
    area = page.locator("#view .frame").bounding_box()
    assert area is not None
    x, y, w, h = area["x"], area["y"], area["width"], area["height"]
    page.mouse.move(x + 0.2 * w, y + 0.65 * h)
    page.mouse.down()
    page.mouse.move(x + 0.3 * w, y + 0.8 * h)
    page.mouse.move(x + 0.45 * w, y + 0.95 * h)
    page.mouse.up()
    expect(page.locator(".box.draft")).to_have_count(1)
    expect(page.locator("#view")).not_to_have_class("zoomed")
    expect(page.locator("#species")).to_be_focused()
    name_it(page, "red fox")
    expect(page.locator("#view .box")).to_have_count(4)
    expect_counts(page, "2 x white-tailed deer, 1 x human, 1 x red fox")
    saved = corrections_of(server, page, "a")
    (added,) = saved["boxes"]
    assert (saved["label"], added["label"]) == (None, FOX)
    assert added["bbox"] == pytest.approx([0.2, 0.65, 0.25, 0.3], abs=0.01)


def test_box_is_added_with_the_keyboard(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address)
    open_image(page, "c")
    press(page, "a", "ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowDown", "Shift+ArrowLeft")
    expect(page.locator("#box-hint")).to_contain_text("move it with the arrows")
    expect(page.locator("#place")).to_have_text("3 of 3")
    press(page, "Escape")
    expect(page.locator(".box.draft")).to_have_count(0)
    expect(page.locator("#viewer")).to_be_visible()
    press(page, "a", "ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowDown", "Shift+ArrowLeft")
    press(page, "Enter")
    name_it(page, "red fox")
    saved = corrections_of(server, page, "c")
    assert (saved["label"], saved["boxes"]) == (FOX, [box_at((0.37, 0.34, 0.29, 0.31), FOX)])
    expect_boxes(page, "red fox")
    press(page, "Delete")  # it is selected
    expect(page.locator("#facts strong")).to_have_text("blank")
    assert corrections_of(server, page, "c").get("boxes", []) == []


def test_counts_are_set(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address)
    open_image(page, "a")
    press(page, "n")
    expect(page.get_by_label("Number of white-tailed deer")).to_be_focused()
    page.keyboard.type("12")
    press(page, "Enter")
    expect_counts(page, "12 x white-tailed deer, 1 x human (counted by a reviewer)")
    saved = corrections_of(server, page, "a")
    assert (saved["label"], saved["counts"]) == (None, {DEER: 12, HUMAN: 1})
    press(page, "n")
    page.keyboard.type("3")
    press(page, "Escape")
    expect(page.locator("#viewer")).to_be_visible()
    expect(page.get_by_label("Number of white-tailed deer")).to_have_value("12")
    press(page, "Enter")  # confirms the answer and keeps the counts
    expect(page.locator("#place")).to_have_text("2 of 3")
    saved = corrections_of(server, page, "a")
    assert (saved["label"], saved["counts"]) == (DEER, {DEER: 12, HUMAN: 1})
    press(page, "u")
    page.locator("#count-boxes").click()
    expect_counts(page, "2 x white-tailed deer, 1 x human")
    assert corrections_of(server, page, "a") == {}
    press(page, "n")
    page.keyboard.type("1.5")
    press(page, "Enter")
    expect(page.get_by_label("Number of white-tailed deer")).to_have_value("2")


def test_another_answer_takes_boxes_and_counts_along(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address)
    open_image(page, "a")
    press(page, "n")
    page.keyboard.type("5")
    press(page, "Enter", "c")
    name_it(page, "wild boar")
    saved = corrections_of(server, page, "a")
    assert (saved["label"], saved["counts"]) == (BOAR, {HUMAN: 1, BOAR: 5})
    press(page, "ArrowLeft")
    expect_boxes(page, "wild boar", "wild boar", "human 0.90")
    press(page, "c")
    name_it(page, "blank")
    press(page, "ArrowLeft")
    expect(page.locator("#counts")).to_be_hidden()


def test_corrections_of_boxes_survive_reloading_and_reach_other_tabs(
    server: Server, new_page: NewPage
) -> None:
    first = new_page(server.address)
    second = new_page(server.address, beside=first)
    open_image(second, "a")
    open_image(first, "a")
    press(first, "b", "b", "c")
    name_it(first, "wild boar")
    expect_boxes(second, "white-tailed deer 0.90", "wild boar", "human 0.90")
    expect_counts(second, "1 x white-tailed deer, 1 x wild boar, 1 x human")
    press(second, "n")
    second.keyboard.type("7")
    press(second, "Enter")
    expect_counts(first, "7 x white-tailed deer, 1 x wild boar, 1 x human (counted by a reviewer)")
    first.reload()
    open_image(first, "a")
    expect_boxes(first, "white-tailed deer 0.90", "wild boar", "human 0.90")
    first.locator("#withdraw").click()
    expect_boxes(second, "white-tailed deer 0.90", "white-tailed deer 0.90", "human 0.90")
    expect_counts(second, "2 x white-tailed deer, 1 x human")


def test_corrections_of_boxes_are_kept_while_the_server_is_down(
    server: Server, new_page: NewPage
) -> None:
    lost = ("ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "ERR_SOCKET", "ERR_CONTENT_LENGTH")
    page = new_page(server.address, expected=lost)
    open_image(page, "a")
    server.kill()
    press(page, "b", "b", "Delete", "n")
    page.keyboard.type("9")
    press(page, "Enter")
    expect(page.locator("#saved")).to_contain_text("Not saved yet: 2")
    keeper = new_page("data:text/html,", beside=page)  # keeps the browser's storage
    page.close(run_before_unload=False)
    server.start()
    page = new_page(server.address, beside=keeper)
    open_image(page, "a")
    saved = corrections_of(server, page, "a")
    assert (saved["boxes"], saved["counts"]) == ([box_at(RIGHT, None)], {DEER: 9, HUMAN: 1})
    expect_boxes(page, "white-tailed deer 0.90", "human 0.90")
    assert len(server.saved) == 2


def test_lost_response_saves_a_correction_once(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address, expected=("ERR_FAILED",))
    open_image(page, "b")

    fetched = []

    def lose(route: Any) -> None:
        if not fetched:
            fetched.append(route.fetch())
        route.abort()

    page.route("**/corrections", lose)
    press(page, "b", "Delete")
    expect(page.locator("#saved")).to_contain_text("No connection")
    page.unroute("**/corrections")
    expect(page.locator("#saved")).to_have_text("All saved")
    assert len(server.saved) == 1


def test_gallery_finds_every_answer_of_a_corrected_image(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address)
    open_image(page, "a")
    press(page, "b", "b", "c")
    name_it(page, "wild boar")
    press(page, "Escape", "Escape")
    for option in ("white-tailed deer (1)", "wild boar (1)", "human (1)"):
        page.locator("select[name=label]").select_option(label=option)
        expect(page.locator(".card .name")).to_have_text("white-tailed deer, wild boar, human")
    expect(page.locator(".mark.reviewed")).to_have_count(1)


@pytest.mark.parametrize("width", [390, 1280])
def test_panel_fits_and_everything_has_a_name(
    server: Server, new_page: NewPage, width: int
) -> None:
    page = new_page(server.address, viewport={"width": width, "height": 844})
    open_image(page, "a")
    press(page, "b")
    assert page.locator("#viewer").evaluate("it => it.scrollWidth <= it.clientWidth")
    fields = page.locator("#viewer").locator("button:visible, input:visible")
    unnamed = fields.evaluate_all(
        "all => all.filter((one) => !(one.ariaLabel || one.textContent.trim() || one.closest('label')))"
        ".map((one) => one.outerHTML)"
    )
    assert unnamed == []
    page.locator("#withdraw").focus()
    order = []
    for _ in range(12):
        order.append(page.evaluate("document.activeElement.id || document.activeElement.ariaLabel"))
        press(page, "Tab")
    assert order.index("species") < order.index("add-box") < order.index("remove-box")
    assert order.index("remove-box") < order.index("Number of white-tailed deer")
    if width == 390:  # with a finger
        page.locator("#add-box").click()
        expect(page.locator(".box.draft")).to_have_count(1)
        page.locator("#species").fill("red fox")
        page.locator("#choices [role=option]").first.click()
        assert corrections_of(server, page, "a")["boxes"][0]["label"] == FOX
