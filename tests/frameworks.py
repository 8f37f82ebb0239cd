"""Which frameworks are installed, and marks for tests that need one of them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

# The engine that a process loads fastest, for tests of anything but the networks.
FAST_ENGINE = ("--engine", "openvino") if importlib.util.find_spec("openvino") else ()
HAS_TENSORFLOW = all(map(importlib.util.find_spec, ("tensorflow", "tf_keras")))

_Test = TypeVar("_Test", bound=Callable[..., Any])


def needs_tensorflow(test: _Test) -> _Test:
    """Marks a test, which is slow as well: TensorFlow takes seconds to import and to build a network."""
    is_missing = pytest.mark.skipif(not HAS_TENSORFLOW, reason="TensorFlow is not installed")
    return pytest.mark.slow(is_missing(test))
