from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from reviews import IMAGES, Server, press, records_in, server_of
from surveys import BLANK, BOAR, DEER, FOX, LABELS, record, write_predictions

from speciesnet.survey.report.payload import Payload
from speciesnet.survey.survey import Survey

NewPage = Callable[..., Page]

# Errors that a page logs when the server is killed, even during a response.
LOST = ("ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "ERR_SOCKET", "ERR_CONTENT_LENGTH")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Four images, two of them a sequence."""
    at: dict[str, Any] = {"taken": "2024-05-01T06:30:00"}
    answers: list[tuple[Any, ...]] = [
        ("a", FOX, at),
        ("b", FOX, at),
        ("c", BLANK, {}),
        ("d", DEER, {"score": 0.7}),
    ]
    yield from server_of(tmp_path / "p.json", *records_in(tmp_path / "s", answers))


def open_first(page: Page) -> None:
    page.locator(".card").first.click()
    expect(page.locator("#place")).to_have_text("1 of 4")


def test_answers_are_confirmed_by_enter(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address)
    open_first(page)
    expect(page.locator("#confirm")).to_have_text("✓ red fox")
    press(page, "Enter", "Enter", "Enter", "Enter")
    server.wait_for(("a.jpg", FOX), ("b.jpg", FOX), ("c.jpg", BLANK), ("d.jpg", DEER))
    expect(page.locator("#saved")).to_have_text("All saved")
    expect(page.locator("#place")).to_have_text("4 of 4")
    press(page, "Escape")
    expect(page.locator(".mark.reviewed")).to_have_count(4)
    page.reload()
    expect(page.locator(".mark.reviewed")).to_have_count(4)
    assert len(server.saved) == 4


def test_species_is_corrected_with_the_keyboard_alone(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address)
    page.locator(".card").first.focus()
    press(page, "Enter", "c")
    page.keyboard.type("wild bo")
    expect(page.locator("#choices [role=option]").first).to_contain_text("wild boar")
    press(page, "Enter")
    server.wait_for(("a.jpg", BOAR))
    expect(page.locator("#place")).to_have_text("2 of 4")
    press(page, "c")
    page.keyboard.type("vulpes")
    chosen = page.locator("[aria-selected=true]")
    expect(chosen).to_contain_text("vulpes species")
    press(page, "ArrowDown")
    expect(chosen).to_contain_text("red fox")
    press(page, "ArrowDown", "ArrowUp", "Enter")
    server.wait_for(("a.jpg", BOAR), ("b.jpg", FOX))
    press(page, "c")
    page.keyboard.type("dragon")
    expect(page.locator("#choices")).to_have_text("No label matches.")
    press(page, "Enter", "Escape")
    expect(page.locator("#choices")).to_be_hidden()
    expect(page.locator("#viewer")).to_be_visible()
    press(page, "Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    assert len(server.saved) == 2
    page.locator("select[name=label]").select_option(label="wild boar (1)")
    expect(page.locator(".card")).to_have_count(1)


def test_whole_sequence_is_corrected(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address)
    open_first(page)
    press(page, "s")
    expect(page.locator("#confirm")).to_have_text("✓ all 2: red fox")
    press(page, "c")
    page.keyboard.type("wild boar")
    press(page, "Enter")
    server.wait_for(("a.jpg", BOAR), ("b.jpg", BOAR))
    expect(page.locator("#place")).to_have_text("3 of 4")
    expect(page.locator("label.whole")).to_be_hidden()
    press(page, "s", "Enter")
    server.wait_for(("a.jpg", BOAR), ("b.jpg", BOAR), ("c.jpg", BLANK))
    press(page, "Escape")
    page.check("[name=group]")
    expect(page.locator(".card.stack .name")).to_have_text("wild boar")
    expect(page.locator(".card.stack .mark").last).to_have_text("reviewed")


def test_confirming_a_sequence_leaves_its_blanks_blank(server: Server, new_page: NewPage) -> None:
    records = [record(IMAGES[0], FOX, taken="2024-05-01T06:30:00"),
               record(IMAGES[1], BLANK, taken="2024-05-01T06:30:05")]  # fmt: skip
    server.kill()
    server.predictions = write_predictions(server.predictions.with_name("two.json"), *records)
    server.start()
    page = new_page(server.address)
    page.check("[name=group]")
    page.locator(".card").click()
    expect(page.locator("#whole")).to_be_checked()
    expect(page.locator("#confirm")).to_have_text("✓ 1 red fox, 1 blank")
    press(page, "Enter")
    server.wait_for((IMAGES[0].name, FOX), (IMAGES[1].name, BLANK))


def test_enter_confirms_after_the_arrows_on_the_page(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address)
    open_first(page)
    page.locator("#next").click()
    expect(page.locator("#place")).to_have_text("2 of 4")
    press(page, "Enter")
    server.wait_for(("b.jpg", FOX))
    expect(page.locator("#place")).to_have_text("3 of 4")


def test_open_viewer_skips_no_image(server: Server, new_page: NewPage) -> None:
    page = new_page(f"{server.address}gallery.html#said=no")
    open_first(page)
    press(page, "Enter", "x", "x")
    expect(page.locator("#place")).to_have_text("2 of 4")
    press(page, "ArrowRight")
    expect(page.locator("#facts")).to_contain_text("c.jpg")
    press(page, "Escape")
    expect(page.locator(".card")).to_have_count(3)
    expect(page.locator(".card:focus")).to_have_attribute("title", re.compile("c.jpg$"))


def test_correction_saved_by_another_tab_is_not_repeated(server: Server, new_page: NewPage) -> None:
    first = new_page(server.address, expected=("ERR_FAILED",))
    open_first(first)
    first.route("**/corrections", lambda route: route.abort())
    press(first, "Enter")
    expect(first.locator("#saved")).to_contain_text("Not saved yet: 1")
    second = new_page(server.address, beside=first)
    server.wait_for(("a.jpg", FOX))
    open_first(second)
    press(second, "c")
    second.keyboard.type("wild boar")
    press(second, "Enter")
    server.wait_for(("a.jpg", FOX), ("a.jpg", BOAR))
    first.unroute("**/corrections")
    expect(first.locator("#saved")).to_have_text("All saved")
    server.wait_for(("a.jpg", FOX), ("a.jpg", BOAR))


def test_image_is_zoomed(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address)
    open_first(page)
    view = page.locator("#view")
    press(page, "z")
    expect(view).to_have_class("zoomed")
    expect(view.locator("img")).to_have_attribute("src", re.compile("whole$"))
    assert view.evaluate("view => view.scrollWidth > 2 * view.clientWidth")
    view.click()
    expect(view).not_to_have_class("zoomed")
    assert view.evaluate("view => view.scrollWidth < 2 * view.clientWidth")


def test_keys_work_after_the_mouse(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address)
    open_first(page)
    page.locator("#whole").click()
    press(page, "Enter")
    server.wait_for(("a.jpg", FOX), ("b.jpg", FOX))


def test_recent_answers_have_digits(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address)
    open_first(page)
    press(page, "1", "c")
    page.keyboard.type("giraffe")
    press(page, "Enter", "Enter")
    expect(page.locator("#recent li")).to_have_text(["1 red fox", "2 giraffe"])
    press(page, "2", "1")
    giraffe = LABELS["giraffe"]
    server.wait_for(("a.jpg", giraffe), ("b.jpg", FOX), ("c.jpg", giraffe), ("d.jpg", giraffe))


def test_corrections_are_withdrawn(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address)
    open_first(page)
    press(page, "ArrowRight", "ArrowRight", "c")
    page.keyboard.type("wild boar")
    press(page, "Enter")
    server.wait_for(("c.jpg", BOAR))
    expect(page.locator("#saved")).to_have_text("All saved")  # or it would be sent once more
    page.reload()
    open_first(page)
    expect(page.locator("#withdraw")).to_be_disabled()
    press(page, "ArrowRight", "ArrowRight")
    expect(page.locator("#facts")).to_contain_text("Predictedblank, 0.900")
    expect(page.locator("#facts strong")).to_have_text("wild boar")
    page.locator("#withdraw").click()
    server.wait_for(("c.jpg", BOAR), ("c.jpg", None))
    expect(page.locator("#facts strong")).to_have_text("blank")
    expect(page.locator("#withdraw")).to_be_disabled()
    press(page, "u")
    server.wait_for(("c.jpg", BOAR), ("c.jpg", None), ("c.jpg", BOAR))
    press(page, "u", "Escape")  # nothing is left to undo
    expect(page.locator(".card .dot").nth(2)).to_have_class("dot animal")
    assert len(server.saved) == 3


def test_last_correction_is_undone_from_the_next_image(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address)
    open_first(page)
    press(page, "Enter")
    expect(page.locator("#place")).to_have_text("2 of 4")
    press(page, "u")
    expect(page.locator("#place")).to_have_text("1 of 4")
    server.wait_for(("a.jpg", FOX), ("a.jpg", None))
    expect(page.locator("#withdraw")).to_be_disabled()


def test_tabs_show_the_corrections_of_others(server: Server, new_page: NewPage) -> None:
    first = new_page(server.address)
    second = new_page(server.address, beside=first)
    open_first(second)
    open_first(first)
    press(first, "ArrowRight", "ArrowRight", "ArrowRight", "c")
    first.keyboard.type("wild boar")
    press(first, "Enter", "Escape")
    press(second, "Enter", "Escape")
    for page in (first, second):
        expect(page.locator(".mark.reviewed")).to_have_count(2)
        expect(page.locator(".card .name").nth(3)).to_have_text("wild boar")
    assert sorted(server.saved) == [("a.jpg", FOX), ("d.jpg", BOAR)]
    open_first(second)
    press(second, "u")
    expect(second.locator("#withdraw")).to_be_disabled()
    expect(first.locator(".mark.reviewed")).to_have_count(1)


def test_corrections_are_kept_while_the_server_is_down_and_saved_later(
    server: Server, new_page: NewPage
) -> None:
    page = new_page(server.address, expected=LOST)
    other = new_page(server.address, beside=page, expected=LOST)
    open_first(page)
    open_first(other)
    press(page, "Enter")
    server.wait_for(("a.jpg", FOX))
    expect(page.locator("#saved")).to_have_text("All saved")
    server.kill()
    press(page, "Enter", "Enter")
    press(other, "ArrowRight", "ArrowRight", "ArrowRight", "Enter")
    saved = page.locator("#saved")
    expect(saved).to_have_text("No connection. Not saved yet: 2. Trying again…")
    assert len(page.evaluate("loadStored()")) == 3
    server.start()
    for tab in (page, other):
        expect(tab.locator("#saved")).to_have_text("All saved")
    assert server.saved[0] == ("a.jpg", FOX)
    assert sorted(server.saved) == [
        ("a.jpg", FOX),
        ("b.jpg", FOX),
        ("c.jpg", BLANK),
        ("d.jpg", DEER),
    ]
    assert page.evaluate("loadStored()") == []
    page.reload()
    expect(page.locator(".mark.reviewed")).to_have_count(4)


def test_closing_a_tab_while_the_server_is_down_loses_nothing(
    server: Server, new_page: NewPage
) -> None:
    page = new_page(server.address, expected=LOST)
    open_first(page)
    server.kill()
    press(page, "Enter")
    expect(page.locator("#saved")).to_contain_text("Not saved yet: 1")
    keeper = new_page("data:text/html,", beside=page)  # keeps the browser's storage
    page.close(run_before_unload=False)
    server.start()
    page = new_page(server.address, beside=keeper)
    server.wait_for(("a.jpg", FOX))
    expect(page.locator(".mark.reviewed")).to_have_count(1)


def test_page_keeps_unsaved_corrections_while_the_port_serves_another_survey(
    server: Server, new_page: NewPage
) -> None:
    page = new_page(server.address, expected=(*LOST, "404"))
    open_first(page)
    server.kill()
    mine, other = server.predictions, server.predictions.with_name("other.json")
    other.write_bytes(mine.read_bytes())
    server.predictions = other
    server.start()
    press(page, "Enter")
    expect(page.locator("#saved")).to_have_text("Not saved: error 404")
    server.kill()
    server.predictions = mine
    server.start()
    expect(page.locator("#saved")).to_have_text("All saved")
    assert server.saved == [("a.jpg", FOX)]


def test_refused_correction_does_not_hold_back_others(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address, expected=("400",))
    page.evaluate(
        "pending = [0, 1, 2].map((i) => ({ position: i, path: i === 1 ? 'x' : pathOf(pictures[i]), "
        "label: SURVEY.labels[pictures[i].label].text, id: `${i}` })); store(pending); send()"
    )
    server.wait_for(("a.jpg", FOX), ("c.jpg", BLANK))
    open_first(page)
    saved = page.locator("#saved")
    expect(saved).to_have_text("Not saved: the predictions have changed. Reload the page.")
    assert page.evaluate("loadStored()") == []


def test_reviewed_images_leave_the_check_page(server: Server, new_page: NewPage) -> None:
    page = new_page(f"{server.address}check.html")
    expect(page.locator("#count")).to_have_text("1 of 4 images")
    page.locator(".card").click()
    press(page, "Enter", "Escape")
    expect(page.locator("#count")).to_have_text("0 of 4 images")


def test_review_on_a_phone(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    open_first(page)
    assert page.locator("#viewer").evaluate("it => it.scrollWidth <= it.clientWidth")
    page.locator("#confirm").click()
    server.wait_for(("a.jpg", FOX))


def test_every_label_can_be_found(server: Server, new_page: NewPage, shared: Path) -> None:
    lines = (shared / "model_data" / "speciesnet_v4.0.0a.labels.txt").read_text(encoding="utf-8")
    survey = Survey("p.json", [], labels=[*lines.splitlines(), *LABELS.values()])
    header = Payload(survey, "review").header()
    page = new_page(server.address)
    missing = page.evaluate(
        """(header) => {
            SURVEY.labels = new Function(`${header}; return SURVEY`)().labels;
            const texts = ({ name, scientific, taxa }) => [name, scientific, `${name} ${taxa}`];
            const isFound = (text, number) => search(text.replaceAll(",", "")).includes(number);
            return SURVEY.labels.filter((label, i) => !texts(label).some((text) => isFound(text, i)));
        }""",
        header,
    )
    assert missing == []
    found = page.evaluate("search('FAISAN NOBLE').map((number) => SURVEY.labels[number].name)")
    assert found[0] == "faisán noble"
