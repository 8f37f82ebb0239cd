"""A run on a Ray cluster: the local pipeline's stages, each on as many machines as it needs.

The driver holds neither the list nor the records. Work that a lost machine had is done again by others;
after the loss of the driver itself the same command goes on from the shards.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from absl import logging
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from speciesnet.distributed.folder import Folder
from speciesnet.distributed.progress import Display, Watch
from speciesnet.distributed.resources import Resources
from speciesnet.distributed.rounds import Job, Networks, Plan, do_round, plainly, take_over
from speciesnet.distributed.shards import Finished, finished_in, shard_names
from speciesnet.distributed.work_list import Counts, Seen, unfinished, write_work
from speciesnet.files import storage
from speciesnet.instances import Instance
from speciesnet.machine import available_cpus
from speciesnet.model import ModelOptions
from speciesnet.predictions.settings import RunSettings
from speciesnet.records import Tally

SCANS_AT_ONCE = 64  # shards of an earlier run that are looked through at the same time
# Files of the work list, of 5,000 images, that make a round. Between two rounds the networks are loaded
# again, so many detectors get more. The process of a round takes about 1 kB for each of its images.
LEAST_FILES, MOST_FILES = 20, 200
DETECTOR_FILES = 4


@dataclass
class Summary:
    """How a run ended.

    Attributes:
        earlier: Records that were there before.
        tally: Counts of all records, also of those.
    """

    earlier: int = 0
    tally: Tally = field(default_factory=Tally)


def run(
    instances: Iterable[Instance],
    folder: Folder,
    model: ModelOptions,
    settings: RunSettings,
    resources: Resources,
    plan: Plan | None = None,
    *,
    networks: Networks | None = None,
    progress_bars: bool = False,
) -> Summary:
    """Predicts the instances that have no finished record in a folder yet, into shards there.

    Args:
        instances: In any number; they are read once.
        folder: For the shards, on this machine's disk or in a bucket.
        model: What all machines load.
        settings: Of the run; kept in the folder.
        resources: What each stage takes.
        plan: How the run is cut into pieces.
        networks: The stages that compute.
        progress_bars: Whether to show them.

    Raises:
        InputError: An instance is wrong.
        ModelError: A network cannot be loaded.
        OutputError: The folder cannot be written, or belongs to another run.
    """
    plan, networks = plan or Plan(), networks or Networks()
    summary, counts = Summary(), Counts()
    with plainly(), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work:
        name = take_over(folder, settings)
        left = unfinished_of(instances, folder, counts, summary.tally, mend=True)
        files = write_work(left, Path(work))
        summary.earlier = summary.tally.images
        if summary.earlier:
            logging.info("%d images were done before, %d are left.", summary.earlier, counts.new)
        if not counts.new:
            return summary
        # Loads the model once before anything depends on it.
        detectors = resources.detectors
        shape = ray.get(
            ray.remote(max_calls=1)(networks.input_shape_of)
            .options(num_cpus=detectors.cpus, num_gpus=detectors.gpus)
            .remote(model)
        )
        watch = Watch.start()
        job = Job(name, folder, model, settings, resources, plan, networks, shape, watch)
        # A round that died Ray would give again from its start, which makes second records.
        a_round = ray.remote(num_cpus=0, max_calls=1, max_retries=0)(do_round)
        a_round = a_round.options(scheduling_strategy=_here())
        size = DETECTOR_FILES * detectors.most if detectors.most else MOST_FILES
        size = max(LEAST_FILES, min(size, MOST_FILES))
        with Display(watch, counts.new, progress_bars):
            for start in range(0, len(files), size):
                part = files[start : start + size]
                _add(summary.tally, ray.get(a_round.remote(part, job)))
    return summary


def _here() -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def unfinished_of(
    instances: Iterable[Instance],
    folder: Folder,
    counts: Counts,
    tally: Tally | None = None,
    *,
    mend: bool = False,
) -> Iterator[Instance]:
    """Instances without a finished record in a folder, each once.

    Args:
        instances: In any number; they are read once.
        folder: With the shards of earlier runs.
        counts: Is added to.
        tally: Is added to: of the finished records.
        mend: Takes out of the shards what has no finished record; see ``finished_in``.
    """
    with Seen() as seen:
        for finished in _finished(folder, mend):
            seen.add(finished.digests)
            if tally is not None:
                _add(tally, finished.tally)
        yield from unfinished(instances, seen, counts)


def _add(total: Tally, more: Tally) -> None:
    total.images += more.images
    total.failed += more.failed
    total.answers.update(more.answers)


def _finished(folder: Folder, mend: bool) -> Iterator[Finished]:
    """Looks through the shards of earlier runs, on all machines where these can be reached."""
    look = ray.remote(finished_in)
    at_once = SCANS_AT_ONCE
    if not storage.is_cloud(folder.path):  # perhaps a machine that Ray shall not run tasks on
        look = look.options(num_cpus=0, scheduling_strategy=_here())
        at_once = available_cpus()
    waiting: list[Any] = []
    for name in shard_names(folder):
        waiting.append(look.remote(folder, name, mend))
        if len(waiting) == at_once:
            done, waiting = ray.wait(waiting)
            yield from ray.get(done)
    for one in waiting:
        yield ray.get(one)
