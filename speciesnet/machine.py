"""The computer that the program runs on."""

from __future__ import annotations

import os


def available_cpus() -> int:
    """CPU cores that this process may use; a container or a batch system may allow fewer than exist."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
