"""Images that pages show in a browser."""

from __future__ import annotations

from playwright.sync_api import Locator


def width_of(image: Locator) -> int:
    """The width in pixels of the file of an image, once the browser has read it."""
    image.scroll_into_view_if_needed()  # others are read later
    return image.evaluate("image => image.decode().then(() => image.naturalWidth)")
