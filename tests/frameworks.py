"""Marks tests that need a framework which is not installed everywhere."""

from __future__ import annotations

import importlib.util

import pytest

HAS_TENSORFLOW = all(map(importlib.util.find_spec, ("tensorflow", "tf_keras")))
needs_tensorflow = pytest.mark.skipif(not HAS_TENSORFLOW, reason="TensorFlow is not installed")
