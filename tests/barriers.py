"""Checks pages for barriers with axe-core, if it is installed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

AXE = os.environ.get("SPECIESNET_AXE")  # the file axe.min.js of the npm package axe-core


def check_barriers(page: Page) -> None:
    """Asserts that axe-core finds no barrier in a page."""
    if AXE:
        page.evaluate(Path(AXE).read_text(encoding="utf-8"))
        found = page.evaluate(
            "axe.run({preload: false}).then((result) => result.violations.map((one) => one.help))"
        )
        assert found == []


def check_on_phone(new_page: Callable[..., Page], address: str, scheme: str) -> None:
    """Asserts that a page fits the width of a phone and has no barriers, in a light or dark scheme."""
    page = new_page(address, color_scheme=scheme, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    if AXE is None:
        pytest.skip("SPECIESNET_AXE is not set to the path of axe.min.js")
    check_barriers(page)
