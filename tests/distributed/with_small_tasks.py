"""``run_on_ray`` with rounds and tasks of a few images, so that even a short run has many of them."""

from __future__ import annotations

from functools import partial

from speciesnet.distributed import job, runner, work_list
from speciesnet.scripts import console, run_on_ray

work_list.FILE_INSTANCES = 9
runner.MIN_FILES = runner.DETECTOR_FILES = 2  # 24 images: two rounds
job.Job = partial(job.Job, task_images=6)  # type: ignore[assignment,misc]

if __name__ == "__main__":
    console.start(run_on_ray.COMMAND)
