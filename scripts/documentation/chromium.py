"""Finds Chromium, for screenshots, benchmarks and tests of pages."""

from __future__ import annotations

import os
import shutil

# The shell comes first: without the parts of a browser that are invisible here, the tests of pages take
# three fifths of the processor time.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def chromium_path() -> str | None:
    """The path in ``SPECIESNET_CHROMIUM``, otherwise that of a browser on the path, if there is one."""
    named = os.environ.get("SPECIESNET_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)
