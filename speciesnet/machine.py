"""What this machine lends to this process."""

from __future__ import annotations

import os


def cores() -> int:
    """Processor cores that this process may use: a container or a batch system may allow only some."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
