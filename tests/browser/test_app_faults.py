"""What a person sees in the window when something goes wrong."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from barriers import check_barriers
from disks import fill, small_disk
from playwright.sync_api import Page, expect
from window_users import LONG, LOST, REFUSED, App, Hand, NewPage, choose_card, free_port, prepare

if sys.platform == "win32":
    pytest.skip("Windows has other signals", allow_module_level=True)


@pytest.fixture
def disk(app: App, request: pytest.FixtureRequest) -> Iterator[Path]:
    with small_disk(app.home / "Pictures" / request.node.name, "1m") as disk:
        yield disk


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


def test_a_card_pulled_out_during_a_run_ends_it_until_it_is_back(app: App, opened: Page) -> None:
    card = app.add_card("pulled", 19)
    prepare(Hand(opened), "pulled")
    opened.click("#start")
    expect(opened.locator("#pause")).to_be_visible(timeout=LONG)
    away = card.rename(card.with_name("pulled out"))
    expect(opened.locator(".badge")).to_have_text("interrupted", timeout=LONG)
    problem = opened.locator(".problem")
    expect(problem).to_contain_text("All finished work is kept")
    expect(problem).to_contain_text(f"{card} cannot be read")
    expect(opened.locator("#about .warning")).to_contain_text("plug it in again")
    check_barriers(opened)
    away.rename(card)
    problem.get_by_role("button", name="Continue").click()
    expect(opened.locator(".badge")).to_have_text("done", timeout=LONG)
    expect(opened.locator("#numbers")).to_contain_text("19 of 19")
    expect(opened.locator("#numbers")).not_to_contain_text("could not be read")


def test_a_run_on_a_full_disk_continues_once_there_is_space(
    app: App, opened: Page, disk: Path
) -> None:
    app.add_card("much", 3)
    filler = fill(disk)
    prepare(Hand(opened), "much", results=disk.name)
    opened.click("#start")
    expect(opened.locator(".badge")).to_have_text("interrupted", timeout=LONG)
    problem = opened.locator(".problem")
    expect(problem).to_contain_text("The disk is full. Free some space, then try again.")
    expect(problem).to_contain_text(str(disk))
    check_barriers(opened)
    filler.unlink()
    problem.get_by_role("button", name="Try again").click()
    expect(opened.locator(".badge")).to_have_text("done", timeout=LONG)
    expect(opened.locator("#numbers")).to_contain_text("3 of 3")
    expect(opened.locator(".problem")).to_have_count(0)


def test_an_export_to_a_full_disk_is_written_once_there_is_space(
    app: App, opened: Page, disk: Path
) -> None:
    app.add_card("exported", 3)
    prepare(Hand(opened), "exported", results=disk.name)
    opened.click("#start")
    part = opened.locator("[data-kind=table]")
    expect(part).to_be_visible(timeout=LONG)
    filler = fill(disk)
    part.locator(".write").click()
    expect(part.locator(".problem")).to_contain_text("The disk is full", timeout=LONG)
    filler.unlink()
    part.locator(".problem").get_by_role("button", name="Try again").click()
    expect(part.locator(".done")).to_be_visible(timeout=LONG)
    assert (disk / "table.csv").read_text().count("\n") == 4


def test_a_survey_is_added_once_the_disk_of_the_list_has_space(
    app: App, opened: Page, new_page: NewPage, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "data", "1m") as disk:
        other = App(app.home, free_port(), data=disk)
        other.add_card("unlisted", 2)
        other.start()
        page = new_page(other.address, expected=(*LOST, *REFUSED), locale="en-GB")
        choose_card(Hand(page), "unlisted")
        filler = fill(disk)
        page.click("#next")
        expect(page.locator(".problem")).to_contain_text("The disk is full")
        filler.unlink()
        page.locator(".problem").get_by_role("button", name="Try again").click()
        expect(page.locator("#plan")).to_contain_text("2 photographs")
        assert len(other.surveys) == 1
        other.end()


def test_a_survey_forgotten_in_a_second_tab_is_said_in_the_first(
    app: App, opened: Page, new_page: NewPage
) -> None:
    app.add_card("forgotten", 2)
    prepare(Hand(opened), "forgotten")
    expect(opened.locator("#plan")).to_contain_text("2 photographs")
    second = new_page(app.base, beside=opened, expected=REFUSED)
    second.get_by_role("button", name="Forget forgotten").click()
    second.locator("dialog .primary").click()
    expect(second.get_by_role("button", name="Forget forgotten")).to_have_count(0)
    expect(opened.locator(".problem")).to_contain_text("no longer in the list")
    opened.locator(".problem").get_by_role("button", name="Show the surveys").click()
    opened.wait_for_url(f"{app.base}/")


def test_two_tabs_start_a_survey_only_once(app: App, opened: Page, new_page: NewPage) -> None:
    app.add_card("twice", 19)
    prepare(Hand(opened), "twice")
    expect(opened.locator("#plan")).to_contain_text("19 photographs")
    second = new_page(opened.url, beside=opened, expected=REFUSED)
    expect(second.locator("#start")).to_be_visible()
    second.route("**/progress", lambda route: None)  # the second tab does not see it start
    opened.click("#start")
    expect(opened.locator("#pause")).to_be_visible(timeout=LONG)
    pid = app.surveys[-1]["pid"]
    second.click("#start")
    expect(second.locator(".problem")).to_contain_text("not possible while the survey is running")
    second.unroute_all()
    assert app.surveys[-1]["pid"] == pid
    opened.click("#stop")
    for page in (opened, second):
        expect(page.locator(".badge")).to_have_text("stopped", timeout=LONG)
