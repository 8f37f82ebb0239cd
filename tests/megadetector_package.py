"""The PyPI package ``megadetector``, whose tools some tests run."""

from __future__ import annotations

from typing import Any

import pytest


def module_of_megadetector(name: str) -> Any:
    """One of its modules; skips the test where the package, or what it needs, is not installed."""
    return pytest.importorskip(
        f"megadetector.{name}",
        reason="needs the package megadetector, which is no dependency of this one",
        exc_type=ImportError,
    )
