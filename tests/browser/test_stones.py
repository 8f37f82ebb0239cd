from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import run_here
from playwright.sync_api import Page, expect
from reviews import Server, press, records_in, server_of
from shown_images import width_of
from surveys import DEER, FOX, answered_box

NewPage = Callable[..., Page]
PLACES = ((0.1, 0.2, 0.2, 0.1), (0.6, 0.5, 0.15, 0.2))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Nine images of nine days with two boxes that never move."""
    boxes = [
        answered_box(FOX, bbox=PLACES[0], conf=0.5),
        answered_box(DEER, bbox=PLACES[1], conf=0.4),
    ]
    answers: list[tuple[str, str, dict[str, Any]]] = [
        (f"{day}", FOX, {"boxes": boxes, "taken": f"2024-05-0{day}T06:30:00"})
        for day in range(1, 10)
    ]
    yield from server_of(tmp_path / "p.json", *records_in(tmp_path / "s", answers))


def verdicts(server: Server) -> list[str | None]:
    lines = Path(f"{server.predictions}.corrections.jsonl").read_text().splitlines()
    return [json.loads(line)["verdict"] for line in lines]


def test_one_key_decides_on_a_group(server: Server, new_page: NewPage, tmp_path: Path) -> None:
    page = new_page(f"{server.address}stones.html")
    cards = page.locator(".stone")
    expect(cards).to_have_count(2)
    expect(cards.first).to_contain_text("9 boxes on 9 days, 2024-05-01 to 2024-05-09")
    expect(cards.first.locator(".timeline .boxes")).to_have_count(9)
    expect(page.locator("nav .number")).to_have_text("2")
    expect(cards.first).to_be_focused()
    press(page, "s")
    expect(cards.nth(1)).to_be_focused()
    press(page, "a")
    expect(cards.nth(1).locator("[aria-pressed=true]")).to_contain_text("Animal")
    assert verdicts(server) == ["stone", "animal"]
    press(page, "ArrowUp", "u")
    expect(cards.first.locator("[aria-pressed=true]")).to_contain_text("Undecided")
    cards.first.locator("button", has_text="Stone").click()
    expect(cards.first.locator("[aria-pressed=true]")).to_contain_text("Stone")
    assert verdicts(server) == ["stone", "animal", None, "stone"]
    page.reload()
    expect(page.locator("[data-name][data-verdict=stone]")).to_have_count(1)
    expect(page.locator("nav .number")).to_have_text("0")
    server.kill()
    server.start()
    again = new_page(f"{server.address}gallery.html")
    expect(again.locator(".card").first).to_contain_text("white-tailed deer")
    again.goto(f"{server.address}stones.html")
    expect(again.locator("[data-name][data-verdict=stone]")).to_have_count(1)


def test_report_shows_each_group_once(server: Server, new_page: NewPage, tmp_path: Path) -> None:
    assert run_here("report", server.predictions, "--out", tmp_path / "report").code == 0
    page = new_page((tmp_path / "report" / "index.html").as_uri())
    page.get_by_role("link", name="Never moving").click()
    expect(page.locator(".stone")).to_have_count(2)
    expect(page.locator(".stone img")).to_have_count(6)
    assert width_of(page.locator(".stone img").first) > 100
    expect(page.locator(".stone button")).to_have_count(0)
    expect(page.locator(".stone").first).to_contain_text("Verdict: undecided")
