from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, threading
from speciesnet.pipeline.memory import ARENAS, share_arenas
{call}
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
all_here = threading.Barrier(8)

def allocate():
    all_here.wait()
    library.malloc(1000)

threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
library.malloc_info(0, ctypes.c_void_p.in_dll(library, "stdout"))
library.fflush(None)
"""


def heaps(call: str) -> int:
    program = PROGRAM.format(call=call)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no arenas")
def test_threads_share_two_arenas() -> None:
    assert heaps("share_arenas()") <= 2 < heaps("")
