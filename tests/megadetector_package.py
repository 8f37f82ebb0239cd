"""The PyPI package ``megadetector``, whose tools some tests run."""

from __future__ import annotations

from typing import Any

import pytest


def module_of_megadetector(name: str) -> Any:
    """Imports one of its modules; skips the test if the package or a dependency is not installed."""
    return pytest.importorskip(
        f"megadetector.{name}",
        reason="needs the package megadetector (pip install megadetector)",
        exc_type=ImportError,
    )
