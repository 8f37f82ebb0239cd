"""Flags of the commands that can say beforehand how long a run will take."""

from __future__ import annotations

import sys

from absl import flags

from speciesnet.errors import InputError
from speciesnet.scripts import console

DRY_RUN = flags.DEFINE_bool(
    "dry_run", False, "Only count the images and estimate hours and cost; writes nothing."
)
IMAGES_PER_SECOND = flags.DEFINE_float(
    "images_per_second",
    None,
    "For --dry_run: of one machine, from an earlier run; without it a few of the images are timed here.",
    lower_bound=1e-6,
    upper_bound=1e9,
)
MACHINES = flags.DEFINE_integer(
    "machines", 1, "For --dry_run: how many share the work.", lower_bound=1
)
PRICE_PER_HOUR = flags.DEFINE_float(
    "price_per_hour",
    None,
    "For --dry_run: of one machine, in any currency.",
    lower_bound=0,
    upper_bound=1e9,
)
console.must_be_finite("images_per_second", "price_per_hour")
FLAGS = ("dry_run", "images_per_second", "machines", "price_per_hour")


def check() -> None:
    """Refuses what would say nothing; raises ``InputError``."""
    for name in FLAGS[1:]:
        if flags.FLAGS[name].present and not DRY_RUN.value:
            raise InputError(f"--{name} is only for --dry_run; add that, or leave --{name} out.")


def print_estimate(images: int, finished: int, measured: float | None) -> None:
    """Tells how long a run will take.

    Args:
        images: All of it.
        finished: Done before.
        measured: Images/s of this machine, where no other are given.
    """
    from speciesnet.scripts.planning import Estimate

    given = IMAGES_PER_SECOND.value
    rate = given or measured
    if images == finished or rate is None:
        sys.stdout.write(f"{images:,} images, all of them done before.\n")
        return
    estimate = Estimate(images, finished, rate, MACHINES.value, PRICE_PER_HOUR.value)
    source = "as given" if given else "measured here on some of the images"
    sys.stdout.write("\n".join(estimate.lines(source)) + "\n")
