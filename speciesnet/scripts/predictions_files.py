"""Flags of the commands that take a predictions file and its photographs."""

from __future__ import annotations

import math
from pathlib import Path

from absl import flags, logging

from speciesnet.sequences import DEFAULT_GAP

IMAGE_ROOT = flags.DEFINE_string(
    "image_root",
    None,
    "Folder that the photographs have moved to; their paths are matched from the end.",
)
CORRECTIONS = flags.DEFINE_string(
    "corrections",
    "auto",
    "What people said: a file that review wrote; auto takes the one beside the predictions, none goes "
    "without.",
)
SEQUENCE_GAP = flags.DEFINE_float(
    "sequence_gap", DEFAULT_GAP, "Longest pause within a sequence of a camera, in seconds.",
    lower_bound=0, upper_bound=1e9,
)  # fmt: skip


def must_be_finite(flag: str) -> None:
    """Refuses ``nan``, which no bound does."""
    flags.register_validator(flag, math.isfinite, "it must be a number")


must_be_finite("sequence_gap")


def warn_of_empty(predictions: str) -> None:
    """Says so where a file ends before its first record: it is valid, or cut off, but holds nothing."""
    from speciesnet.predictions import HEADER

    with Path(predictions).open("rb") as file:
        is_empty = HEADER.startswith(file.read(len(HEADER) + 1))
    if is_empty:
        logging.warning(
            "%s ends before its first record; give the command of its run again to go on with it.",
            predictions,
        )
