"""Flags of the commands that show pictures."""

from __future__ import annotations

from absl import flags

from speciesnet.machine import available_cpus

BLUR_HUMANS = flags.DEFINE_bool("blur_humans", False, "Blur people in every picture.")
THREADS = flags.DEFINE_integer(
    "threads",
    None,
    "Pictures made small at once. By default as many as there are cores, at most 8.",
    lower_bound=1,
)
PAGE_FLAGS = ["image_root", "blur_humans", "sequence_gap", "corrections", "model", "threads"]


def threads() -> int:
    """How many pictures to make small at once."""
    return THREADS.value or min(available_cpus(), 8)
