"""A real browser; a test fails if its pages log an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from documentation.chromium import chromium_path
from playwright.sync_api import Browser, Page, expect, sync_playwright
from window_users import LOST, REFUSED, App, NewPage, free_port

expect.set_options(timeout=60_000)  # milliseconds; other programs may use the processor

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
OWN = ("file://", "data:", "http://127.0.0.1:")


@pytest.fixture(scope="module")  # Playwright runs an event loop, which must not run in other tests
def browser() -> Iterator[Browser]:
    path = chromium_path()
    if path is None:
        pytest.skip("Chromium was not found; set SPECIESNET_CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser: Browser) -> Iterator[NewPage]:
    """Opens an address in a new browser profile, or in a tab of another page's browser.

    The test fails if a page logs an error without a text of ``expected``, shows a dialog, or requests
    anything from another site.
    """
    errors: list[str] = []
    contexts = []

    def open_page(
        url: str, beside: Page | None = None, expected: tuple[str, ...] = (), **options: Any
    ) -> Page:
        def note(text: str) -> None:
            if not any(one in text for one in expected):
                errors.append(text)

        if beside is None:
            context = browser.new_context(**options)
            context.set_default_timeout(60_000)
            contexts.append(context)
        else:
            context = beside.context
        page = context.new_page()
        page.on("console", lambda message: note(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: note(str(error)))
        page.on(
            "request", lambda request: None if request.url.startswith(OWN) else note(request.url)
        )
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    app = App(tmp_path_factory.mktemp("home"), free_port())
    app.add_card("card", 3)
    app.start()
    yield app
    app.end()


@pytest.fixture
def opened(app: App, new_page: NewPage) -> Page:
    """The list of surveys in a new browser that speaks English."""
    page = new_page(app.address, expected=(*LOST, *REFUSED), locale="en-GB")
    page.wait_for_url(f"{app.base}/")
    return page
