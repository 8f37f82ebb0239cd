from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest

from speciesnet.engines.memory import return_memory


def used() -> int:
    """Bytes of this process in memory, apart from files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_free_memory_between_used_blocks_is_returned() -> None:
    blocks = [np.ones(2**13) for _ in range(4000)]  # 250 MiB, in blocks of 64 KiB
    last = blocks.pop()
    blocks.clear()
    before = used()
    return_memory()
    assert used() < before - 2**27
    assert last.all()
