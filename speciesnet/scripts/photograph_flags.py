"""Flags of the commands that do something with each photograph."""

from __future__ import annotations

from absl import flags

from speciesnet.scripts.console import must_be_finite

OUT = flags.DEFINE_string("out", None, "The folder to write to.")
MIN_SCORE = flags.DEFINE_float(
    "min_score", 0.0, "Answers below it do not count.", lower_bound=0, upper_bound=1
)
must_be_finite("min_score")
DRY_RUN = flags.DEFINE_bool("dry_run", False, "Print what would happen, and touch nothing.")
