"""``run_on_ray`` with rounds and tasks of a few images, so that even a short run has many of them.

A round takes FILES files of 9 images each (2).
"""

from __future__ import annotations

import os
from functools import partial

from speciesnet.run.distributed import job, runner, work_list
from speciesnet.scripts import console, run_on_ray

work_list.FILE_INSTANCES = 9
runner.MIN_FILES = runner.DETECTOR_FILES = int(os.environ.get("FILES", "2"))
job.Job = partial(job.Job, task_images=6)  # type: ignore[assignment,misc]

if __name__ == "__main__":
    console.start(run_on_ray.COMMAND)
