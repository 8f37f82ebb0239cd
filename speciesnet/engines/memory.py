"""Returns memory that is free, but that the C library keeps for later, to the system."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress


def return_memory() -> None:
    """Returns free memory to the system; does nothing where the C library is not glibc.

    After networks have computed, glibc keeps hundreds of megabytes of free blocks between used ones.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
