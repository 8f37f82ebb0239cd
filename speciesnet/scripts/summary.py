"""What a run prints in the end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from speciesnet.taxonomy import species_name

if TYPE_CHECKING:
    from speciesnet.records import Tally

TOP_ANSWERS = 10


def print_summary(tally: Tally, earlier: int, seconds: float, path: str) -> None:
    """How many images, what was in them, and how fast.

    Args:
        tally: Of all records.
        earlier: How many of them were there before.
        seconds: That the others took.
        path: Where they are.
    """
    done = tally.images - earlier
    lines = [f"{tally.images} images, {tally.failed} of them failed."]
    for label, count in tally.answers.most_common(TOP_ANSWERS):
        lines.append(f"{count:>8}  {species_name(label)}")
    if len(tally.answers) > TOP_ANSWERS:
        rest = tally.answers.total() - sum(n for _, n in tally.answers.most_common(TOP_ANSWERS))
        lines.append(f"{rest:>8}  in {len(tally.answers) - TOP_ANSWERS} other classes")
    if tally.failed:
        lines.append("Failed images are tried again when the same command is given again.")
    speed = f" ({done} in {seconds:.0f} s, {done / seconds:.2f} images/s)" if done else ""
    lines.append(f"Predictions: {path}{speed}")
    sys.stdout.write("\n".join(lines) + "\n")
