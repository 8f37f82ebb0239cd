from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import pytest

from speciesnet.pipeline.memory import return_free_memory

BLOCK, BLOCKS = 50_000, 2000  # bytes; 100 MB in all


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other libraries")
def test_memory_between_blocks_in_use_is_returned() -> None:
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    blocks = [ctypes.c_void_p(library.malloc(BLOCK)) for _ in range(BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK)
    for block in blocks[:-1]:
        library.free(block)
    before = resident()
    return_free_memory()
    assert before - resident() > 0.9 * BLOCK * BLOCKS
    library.free(blocks[-1])
