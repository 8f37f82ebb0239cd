"""Flags of the commands that take a predictions file and its photographs."""

from __future__ import annotations

import math

from absl import flags

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
flags.register_validator("sequence_gap", math.isfinite, "it must be a number of seconds")
