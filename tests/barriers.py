"""Checks pages for barriers with axe-core, if it is installed."""

from __future__ import annotations

import os
from pathlib import Path

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
