"""Weights of networks that are mapped into memory."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("openvino")
from speciesnet.engines.mapped_weights import MappedWeights

pytestmark = pytest.mark.skipif(not hasattr(mmap.mmap, "madvise"), reason="Unix only")
CONTENT = np.arange(100_000, dtype=np.uint8)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "network.bin"
    path.write_bytes(CONTENT.tobytes())
    return path


def test_weights_are_read_again_when_they_are_needed(file: Path) -> None:
    mapped = MappedWeights()
    weights = mapped.map(file)
    assert np.array_equal(weights, CONTENT)
    mapped.leave_memory()
    assert np.array_equal(weights, CONTENT)


def test_what_is_written_to_weights_is_neither_lost_nor_stored(file: Path) -> None:
    mapped = MappedWeights()
    weights = mapped.map(file)
    weights[50_000] += 1
    mapped.leave_memory()
    assert weights[50_000] == CONTENT[50_000] + 1
    assert file.read_bytes() == CONTENT.tobytes()
