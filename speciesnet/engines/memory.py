"""Makes glibc's malloc return freed memory to the system; other C libraries ignore this."""

from __future__ import annotations

import ctypes
from contextlib import suppress

LARGE_BLOCK = 2**20  # bytes
_M_MMAP_THRESHOLD = -3  # from malloc.h


def return_large_blocks() -> None:
    """Makes large blocks go back to the system as soon as they are freed.

    By default, glibc keeps freed blocks of up to 32 MiB, so memory grows with large requests and
    photographs. Getting each block from the system again takes time: a run of small networks takes 1.4
    times as long. So this is for servers, whose memory must stay small between requests.
    """
    _call("mallopt", _M_MMAP_THRESHOLD, LARGE_BLOCK)


def return_memory() -> None:
    """Returns the free memory between blocks that are in use.

    After networks have computed, glibc keeps hundreds of megabytes of it. Each film has its own threads,
    and glibc keeps the memory that they freed for later threads: after 400 clips, a run with constants
    in place of the networks needed 387 MiB, or 244 MiB if it called this after each film.
    """
    _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
    with suppress(OSError, AttributeError, TypeError):  # no such function
        getattr(ctypes.CDLL(None), name)(*arguments)
