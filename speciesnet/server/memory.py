"""What the C library does with memory that is free again."""

from __future__ import annotations

import ctypes
from contextlib import suppress

LARGE_BYTES = 2**20
_M_MMAP_THRESHOLD = -3  # of malloc.h


def return_large_blocks() -> None:
    """Has the C library give large blocks back to the system as soon as they are free.

    Of itself, glibc keeps blocks of up to 32 MiB once it has seen such a one, for each thread apart, so
    that memory creeps up with large requests and photographs. Other systems are left as they are.
    """
    with suppress(OSError, AttributeError, TypeError):  # there is no such function
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
