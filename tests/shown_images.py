"""Images that pages show in a browser."""

from __future__ import annotations

from playwright.sync_api import Locator


def width_of(image: Locator) -> int:
    """The width of an image's file in pixels, once the browser has read it."""
    image.scroll_into_view_if_needed()  # images out of view are read later
    return image.evaluate("image => image.decode().then(() => image.naturalWidth)")
