"""The page with cameras that failed, in a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from barriers import check_on_phone
from commands import run_here
from PIL import Image
from playwright.sync_api import Page, expect
from shown_images import width_of
from surveys import FOX, record, write_predictions

NewPage = Callable[..., Page]


@pytest.fixture
def address(tmp_path: Path) -> str:
    """A camera that falls over on its tenth day, and one without findings."""
    records = []
    for name in ("cam<1>", "cam2"):
        for day in range(1, 21):
            path = tmp_path / "s" / name / f"{day:02}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            seed = 2 if name != "cam2" and day >= 10 else 1
            cells = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), np.uint8)
            Image.fromarray(cells).resize((320, 240), Image.Resampling.BICUBIC).save(path)
            records.append(record(path, FOX, taken=f"2024-05-{day:02}T10:00:00"))
    predictions = write_predictions(tmp_path / "p.json", *records)
    assert run_here("cameras", predictions, "--html", tmp_path / "page").code == 0
    return (tmp_path / "page" / "index.html").as_uri()


def test_page_shows_timelines_and_pictures(address: str, new_page: NewPage) -> None:
    page = new_page(address)
    card = page.locator("article.camera")
    expect(card).to_have_count(1)
    expect(card.get_by_role("heading")).to_contain_text("cam<1>")
    expect(card).to_contain_text("View changed 2024-05-10")
    expect(card.locator("img")).to_have_count(2)
    assert width_of(card.locator("img").first) > 100
    expect(card.locator("svg .images")).to_have_count(20)
    expect(page.locator("table.cameras tbody tr")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_no_barriers_and_fits_a_phone(
    address: str, new_page: NewPage, scheme: str
) -> None:
    check_on_phone(new_page, address, scheme)
