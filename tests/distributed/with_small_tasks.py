"""``run_on_ray`` with tasks of a few images, so that a short run has many of them."""

from __future__ import annotations

from speciesnet.distributed import runner
from speciesnet.scripts import run_on_ray

runner.TASK_IMAGES = 6

if __name__ == "__main__":
    run_on_ray.cli()
