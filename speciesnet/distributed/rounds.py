"""A round of a run on a cluster: a part of the work list goes through the stages and into shards.

    list -> read and letterbox (tasks) -> DETECTOR (pool) -> CLASSIFIER (pool) -> shards

List and shards are its own; the rest runs on all machines.

Ray Data keeps something of every task until a dataset is done, and a little after that. So a round is
a dataset of its own, and has a process of its own, whose memory ends with it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson
from ray.exceptions import OutOfMemoryError, RayError, WorkerCrashedError

from speciesnet.distributed import stages
from speciesnet.distributed.folder import Folder
from speciesnet.distributed.progress import Watch
from speciesnet.distributed.resources import Pool, Resources
from speciesnet.distributed.shards import RUN_FILE, digest, shard_names, write_shard
from speciesnet.distributed.work_list import read_work
from speciesnet.errors import OutputError, SpeciesNetError
from speciesnet.model import ModelOptions
from speciesnet.predictions.layout import decode_line
from speciesnet.predictions.settings import RunSettings
from speciesnet.records import Record, Tally

if TYPE_CHECKING:
    import pyarrow as pa
    import ray.data

CALLS_AT_ONCE = 2  # of a network's process: one computes, the other unpacks, crops and packs
READING_BYTES = 2**29  # that Ray reserves for a task: pictures ahead, a block, Python


@dataclass(frozen=True)
class Plan:
    """How a run is cut into pieces.

    Attributes:
        batch_size: Images that a network takes at once.
        shard_size: Records of a shard; the last one of a round has fewer.
        shard_format: ``jsonl`` or ``parquet``.
        readers: Threads of a task that reads; None is one, or more where images come over a network.
        task_images: Images that a task reads.
    """

    batch_size: int = 8
    shard_size: int = 500
    shard_format: str = "jsonl"
    readers: int | None = None
    task_images: int = 64


@dataclass(frozen=True)
class Networks:
    """The stages that compute; a benchmark of the rest puts something else in their place."""

    input_shape_of: Callable[[ModelOptions], Any] = stages.input_shape_of
    read: Callable[..., Any] = stages.read
    detect: type = stages.Detect
    classify: type = stages.Classify


@dataclass(frozen=True)
class Job:
    """What all rounds of a run have in common.

    Attributes:
        name: Of the run; see ``take_over``.
        folder: Of the shards.
        model: What all machines load.
        settings: Of the run.
        resources: What each stage takes.
        plan: How the run is cut into pieces.
        networks: The stages that compute.
        input_shape: How images are fitted into the detector's input.
        watch: What stages tell their counts to.
    """

    name: str
    folder: Folder
    model: ModelOptions
    settings: RunSettings
    resources: Resources
    plan: Plan
    networks: Networks
    input_shape: Any
    watch: Watch


def take_over(folder: Folder, settings: RunSettings) -> str:
    """Makes an output folder this run's own, and answers the run's name.

    Raises:
        InputError: The folder cannot be read.
        OutputError: It belongs to a run with other settings, or cannot be written.
    """
    document = folder.read(RUN_FILE)
    try:
        earlier = json.loads(document) if document else None
        is_begun = next(shard_names(folder), None) is not None
        differences = settings.differences(earlier["settings"]) if earlier and is_begun else []
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise OutputError(
            f"{folder.at(RUN_FILE)} is damaged ({type(error).__name__}: {error}); remove it, if all of "
            "the shards beside it were made with the settings of this run."
        ) from error
    if differences:
        raise OutputError(
            f"{folder.path} belongs to another run ({'; '.join(differences)}); repeat that run's "
            "settings to go on with it, or give another folder to --output."
        )
    run = uuid.uuid4().hex
    text = json.dumps({"run": run, "settings": asdict(settings)}, indent=1)
    folder.write(RUN_FILE, text.encode())
    return run


def do_round(files: Sequence[Path], job: Job) -> Tally:
    """Predicts the instances of some files of the work list, and answers what their records say.

    Raises:
        InputError: The work list is gone.
        ModelError: A network cannot be loaded.
        OutputError: The folder cannot be written, or another run writes into it by now.
    """
    tally = Tally()
    given, recorded = Checksum(), Checksum()
    blocks = []
    for part in read_work(files, job.plan.task_images):
        given.add(instance.filepath for instance in part)
        blocks.append(stages.pack(part))
    with plainly():
        batches = _dataset(blocks, job).iter_batches(
            batch_size=job.plan.shard_size, batch_format="pyarrow"
        )
        # No task of Ray's writes: it would wait for a free CPU behind all that read.
        for table in batches:
            lines = cast("pa.Table", table)["record"].to_pylist()
            records = [cast("Record", decode_line(line)) for line in lines]
            _check_owner(job)
            write_shard(job.folder, records, job.plan.shard_format)
            recorded.add(record["filepath"] for record in records)
            for record in records:
                tally.count(record)
    if given != recorded:  # what a lost machine had is read again, perhaps in other pieces
        raise SpeciesNetError(
            f"{given.images} images were given to the cluster, and {recorded.images} records came back, "
            "which do not match; give the same command again, and merge the shards."
        )
    return tally


@dataclass
class Checksum:
    """Of images in any order: of two lists it is the same only if they have the same images."""

    images: int = 0
    total: int = 0

    def add(self, filepaths: Iterable[str]) -> None:
        """Counts images in."""
        for filepath in filepaths:
            self.images += 1
            self.total += int.from_bytes(digest(filepath), "big")


def _dataset(blocks: list[pa.Table], job: Job) -> ray.data.Dataset:
    """From instances, packed as a task takes them, to records, a line of JSON each."""
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.raise_original_map_exception = True  # for plainly
    context.issue_detectors_config.detectors = []  # they know the usual sizes of other work

    def pool(stage: Pool) -> dict[str, Any]:
        strategy = ray.data.ActorPoolStrategy(
            min_size=stage.least,
            max_size=stage.most,
            max_concurrent_calls_per_actor=CALLS_AT_ONCE,
            enable_true_multi_threading=True,
        )
        return {"compute": strategy, "num_cpus": stage.cpus, "num_gpus": stage.gpus}

    plan, networks = job.plan, job.networks
    table: dict[str, Any] = {"batch_format": "pyarrow"}
    network: dict[str, Any] = {"batch_size": plan.batch_size, **table}
    options = {"model": job.model, "batch_size": plan.batch_size, "watch": job.watch}
    return (
        ray.data.from_blocks(cast("Any", blocks))
        .map_batches(
            networks.read,
            batch_size=None,
            fn_kwargs={
                "input_shape": job.input_shape,
                "readers": plan.readers,
                "watch": job.watch,
            },
            memory=READING_BYTES,
            **table,
        )
        .map_batches(
            networks.detect,
            fn_constructor_kwargs=options,
            **pool(job.resources.detectors),
            **network,
        )
        .map_batches(
            networks.classify,
            fn_constructor_kwargs={**options, "settings": job.settings},
            **pool(job.resources.classifiers),
            **network,
        )
    )


def _check_owner(job: Job) -> None:
    """What a run has under way must not come between the shards of one that was started later."""
    document = job.folder.read(RUN_FILE)
    if document is None:
        raise OutputError(
            f"{job.folder.at(RUN_FILE)} was removed during the run; give the same command again."
        )
    try:
        owner = orjson.loads(document).get("run")
    except (orjson.JSONDecodeError, AttributeError):
        owner = None
    if owner != job.name:
        raise OutputError(
            f"{job.folder.path} is being written by another run, which was started later; wait for it."
        )


@contextmanager
def plainly() -> Iterator[None]:
    """A user's mistake that shows in another process is told as if it had shown here."""
    try:
        yield
    except RayError as error:
        cause: Any = error
        while isinstance(
            cause, RayError
        ):  # it may be an error of ours as well, but with a text of Ray's
            cause = getattr(cause, "cause", None)
        if isinstance(cause, SpeciesNetError):
            sentence = str(cause).partition("\n")[0]  # without what Ray has added to it
            raise type(cause)(sentence) from error
        if isinstance(cause, Exception):
            raise cause from error
        if isinstance(error, OutOfMemoryError | WorkerCrashedError):
            raise SpeciesNetError(
                f"A process of the run was ended from outside ({type(error).__name__}), as happens when "
                "a machine has too little memory; give the same command again to go on."
            ) from error
        raise
