"""A run on a Ray cluster: the stages of a local run, each on as many machines as it needs.

The driver keeps neither the list nor the records in memory. Ray repeats the work of a lost machine;
if the driver itself is lost, running the same command again continues from the shards.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import ray
from absl import logging
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from speciesnet.constants import available_cpus
from speciesnet.files import storage
from speciesnet.files.input_notes import counted
from speciesnet.images.instances import Instance
from speciesnet.pipeline.findings import flawed_images, noted
from speciesnet.pipeline.progress import ProgressBars
from speciesnet.predictions.settings import RunSettings
from speciesnet.predictions.tally import Tally
from speciesnet.run import Outcome
from speciesnet.run.distributed import stages
from speciesnet.run.distributed.folder import Folder
from speciesnet.run.distributed.guarded import DecidedByProcess
from speciesnet.run.distributed.job import Job
from speciesnet.run.distributed.progress import STAGES, ProgressDisplay, ProgressReporter
from speciesnet.run.distributed.rounds import original_errors, run_round, take_over
from speciesnet.run.distributed.shards import FinishedImages, finished_in, shard_names
from speciesnet.run.distributed.work_list import SeenImages, write_work

PARALLEL_SCANS = 64  # shards of an earlier run that are read at the same time
# A round takes some files of the work list, of 5,000 images each. Between two rounds the networks are
# loaded again, so a round is longer for many detectors. Its process takes about 1 kB for each image.
MIN_FILES, MAX_FILES = 20, 200
DETECTOR_FILES = 4


def add_finished(seen: SeenImages, folder: Folder, *, repair: bool = False) -> Tally:
    """Adds the images with a finished record in a folder to an index, and counts these records.

    ``repair`` removes failed and damaged records from the shards of the folder; see ``finished_in``.
    """
    tally = Tally()
    for digests, finished in _scan_shards(folder, repair):
        seen.add(digests)
        tally.add(finished)
    return tally


def _scan_shards(folder: Folder, repair: bool) -> Iterator[FinishedImages]:
    """Scans the shards of earlier runs, on all machines if these can reach the folder."""
    scan = ray.remote(finished_in)
    parallel = PARALLEL_SCANS
    if not storage.is_cloud(folder.path):  # on this machine, which may have no CPUs for Ray's tasks
        scan = scan.options(num_cpus=0, scheduling_strategy=_here())
        parallel = available_cpus()
    running: list[ray.ObjectRef[FinishedImages]] = []
    for name in shard_names(folder):
        running.append(scan.remote(folder, name, repair))
        if len(running) == parallel:
            done, running = ray.wait(running)
            yield from ray.get(done)
    for scanned in running:
        yield ray.get(scanned)


def _here() -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def run(instances: Iterable[Instance], job: Job, settings: RunSettings) -> Outcome:
    """Predicts the instances that have no finished record in the output folder yet.

    Args:
        instances: Any number of instances, which are read once.
        job: The run.
        settings: The settings that all runs into the same folder must share; kept in the folder.

    Raises:
        InputError: An instance is invalid.
        ModelError: A network cannot be loaded.
        OutputError: The folder cannot be written, or belongs to another run.
        ClusterError: The cluster lost images or processes.
    """
    with original_errors(), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work:
        owner = take_over(job.folder, settings)
        with SeenImages() as seen:
            tally = add_finished(seen, job.folder, repair=True)
            files = write_work(seen.unseen(instances), Path(work))
        earlier, notes = tally.images, []
        if earlier:
            logging.info(
                "%s already done; images left: %d.",
                counted(earlier, "image was", "images were"),
                seen.new,
            )
        if others := earlier - seen.known:
            notes.append(noted(
                f"{others} records of {job.folder.path} are kept although their images are not in this "
                "run."
            ))  # fmt: skip
        if not files:
            return Outcome(tally, earlier, notes=notes)
        detectors = job.resources.detectors
        # Loads the detector once before anything depends on it.
        load_detector = ray.remote(max_calls=1)(stages.input_shape_of).options(
            num_cpus=detectors.cpus, num_gpus=detectors.gpus
        )
        input_shape = ray.get(load_detector.remote(job.model))
        reporter = ProgressReporter.start()
        flawed, decided = flawed_images(), DecidedByProcess()
        # Ray must not repeat a round that died: its shards would be written a second time.
        one_round = ray.remote(num_cpus=0, max_calls=1, max_retries=0)(run_round).options(
            scheduling_strategy=_here()
        )
        size = DETECTOR_FILES * detectors.max_size if detectors.max_size else MAX_FILES
        size = max(MIN_FILES, min(size, MAX_FILES))
        with ProgressBars(STAGES, seen.new, job.run.progress_bars) as bars:
            display = ProgressDisplay(reporter, seen.new, bars)
            for first in range(0, len(files), size):
                part = files[first : first + size]
                task = one_round.remote(part, job, owner, input_shape, reporter)
                result = display.result_of(task)
                tally.add(result.tally)
                decided.add_all(result.decided)
                for flaw, found in flawed.items():
                    found.add_all(result.flawed[flaw])
    notes += decided.notes()
    notes += [noted(str(found)) for found in flawed.values() if found.count]
    return Outcome(tally, earlier, notes=notes)
