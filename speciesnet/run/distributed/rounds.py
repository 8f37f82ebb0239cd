"""A round of a run on a cluster: part of the work list passes through the stages into shards.

    list -> read and letterbox (tasks) -> DETECTOR (pool) -> CLASSIFIER (pool) -> shards

With the precision "auto", one pool does all of this; see ``guarded``.

The round itself reads the list and writes the shards; everything else runs on all machines.

Ray Data keeps some memory for every task until its dataset is done, and a little even after that. So
a round is a separate dataset in a separate process, whose memory is freed when it ends.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ray.exceptions import OutOfMemoryError, RayError, WorkerCrashedError

from speciesnet.constants import Flaw
from speciesnet.errors import ClusterError, OutputError, SpeciesNetError
from speciesnet.files.input_notes import Examples, counted
from speciesnet.pipeline.findings import flawed_images
from speciesnet.pipeline.guard.tally import Decided
from speciesnet.predictions.layout import decode_line
from speciesnet.predictions.settings import RunSettings
from speciesnet.predictions.tally import Tally
from speciesnet.run.distributed import stages
from speciesnet.run.distributed.folder import Folder
from speciesnet.run.distributed.guarded import Decide, DecidedByProcess
from speciesnet.run.distributed.job import Job
from speciesnet.run.distributed.progress import ProgressReporter
from speciesnet.run.distributed.resources import Pool
from speciesnet.run.distributed.shards import RUN_FILE, digest, shard_names, write_shard
from speciesnet.run.distributed.work_list import read_work

if TYPE_CHECKING:
    import pyarrow as pa
    import ray.data

    from speciesnet.detector import InputShape

CALLS_PER_PROCESS = 2  # in progress: one computes while the other unpacks, crops and packs
READING_BYTES = 2**29  # reserved by Ray for a task: images read ahead, a table, Python


def take_over(folder: Folder, settings: RunSettings) -> str:
    """Makes this run the owner of an output folder.

    Returns:
        A new name for the run, which its rounds compare with ``RUN_FILE``.

    Raises:
        InputError: The folder cannot be read.
        OutputError: The folder belongs to a run with different settings, or cannot be written.
    """
    document = folder.read(RUN_FILE)
    try:
        earlier = json.loads(document) if document else None
        has_shards = bool(shard_names(folder))
        differences = settings.differences(earlier["settings"]) if earlier and has_shards else []
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise OutputError(
            f"{folder.at(RUN_FILE)} is damaged ({type(error).__name__}: {error}). Remove it if all "
            "shards next to it were made with the settings of this run."
        ) from error
    if differences:
        raise OutputError(
            f"{folder.path} belongs to another run ({'; '.join(differences)}). Use that run's "
            "settings to continue it, or pass a different folder to --output."
        )
    owner = uuid.uuid4().hex
    text = json.dumps({"run": owner, "settings": settings.as_dict()}, indent=1)
    folder.write(RUN_FILE, text.encode())
    return owner


class RoundResult(NamedTuple):
    """What a round has done.

    Attributes:
        tally: Counts of the records.
        flawed: The flawed images.
        decided: How each process has decided its images, with the precision "auto".
    """

    tally: Tally
    flawed: dict[Flaw, Examples]
    decided: dict[str, Decided]


def run_round(
    files: Sequence[Path], job: Job, owner: str, input_shape: InputShape, reporter: ProgressReporter
) -> RoundResult:
    """Predicts the instances in files of the work list.

    Raises:
        InputError: A file of the work list is missing.
        ModelError: A network cannot be loaded.
        OutputError: The folder cannot be written, or a run other than its ``owner`` has taken it over.
        ClusterError: The cluster lost images or processes.
    """
    tally, flawed, decided, blocks = Tally(), flawed_images(), DecidedByProcess(), []
    given = images = recorded = 0
    films = stages.FilmsInParts(job)
    for part in read_work(files, job.call_images):
        images += len(part)
        given += checksum(instance.filepath for instance in part)
        blocks.append(stages.pack(part))
    with original_errors():
        dataset = _dataset(blocks, job, input_shape, reporter)
        tables: Iterable[pa.Table] = dataset.iter_batches(
            batch_size=job.shard_size, batch_format="pyarrow"
        )
        # Ray tasks do not write shards: they would wait for a free CPU behind all tasks that read.
        for table in tables:
            photographs: list[bytes | None] = table["record"].to_pylist()
            lines = [*filter(None, photographs), *films.lines_of(table["frame"].to_pylist())]
            if job.is_guarded:
                decided.add(table["decided"].to_pylist())
            if not lines:
                continue
            records = [record for line in lines if (record := decode_line(line)) is not None]
            _check_owner(job.folder, owner)
            write_shard(job.folder, records, job.shard_format, lines)
            recorded += checksum(record["filepath"] for record in records)
            for record in records:
                tally.count(record)
            for line, flaw in zip(photographs, table["flaw"].to_pylist(), strict=True):
                if line and flaw and (record := decode_line(line)):
                    flawed[flaw].add(record["filepath"])
    if given != recorded:  # Ray reads again what a lost machine had, perhaps in other pieces
        raise ClusterError(
            f"{counted(images, 'image was', 'images were')} given to the cluster, but "
            f"{counted(tally.images, 'record')} came back. Run the same command again, and then "
            "merge the shards."
        )
    return RoundResult(tally, flawed, decided.counts())


def checksum(filepaths: Iterable[str]) -> int:
    """Adds up the digests of images; the order does not matter, but each repetition does."""
    return sum(int.from_bytes(digest(filepath), "big") for filepath in filepaths)


def _dataset(
    blocks: list[pa.Table], job: Job, input_shape: InputShape, reporter: ProgressReporter
) -> ray.data.Dataset:
    """Builds the dataset that turns instances, one block for each task, into encoded records."""
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.raise_original_map_exception = True  # for original_errors
    context.issue_detectors_config.detectors = []  # their limits suit other workloads

    instances = ray.data.from_blocks(blocks)
    if job.is_guarded:
        return _run_in_pool(instances, Decide, job.resources.deciders, job, reporter, None)
    read: Callable[..., Iterator[pa.Table]] = stages.read  # Ray adds the arguments of fn_kwargs
    images = instances.map_batches(
        read,
        fn_kwargs={"job": job, "input_shape": input_shape, "reporter": reporter},
        batch_size=None,
        batch_format="pyarrow",
        memory=READING_BYTES,
    )
    size = job.run.batch_size
    detections = _run_in_pool(images, stages.Detect, job.resources.detectors, job, reporter, size)
    return _run_in_pool(detections, stages.Classify, job.resources.classifiers, job, reporter, size)


def _run_in_pool(
    dataset: ray.data.Dataset,
    stage: type,
    pool: Pool,
    job: Job,
    reporter: ProgressReporter,
    batch_size: int | None,
) -> ray.data.Dataset:
    """Applies a stage in processes that keep its network loaded; None means whole blocks."""
    import ray.data

    return dataset.map_batches(
        stage,
        fn_constructor_kwargs={"job": job, "reporter": reporter},
        batch_size=batch_size,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(
            min_size=pool.min_size,
            max_size=pool.max_size,
            max_concurrent_calls_per_actor=CALLS_PER_PROCESS,
            enable_true_multi_threading=True,
        ),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus,
    )


def _check_owner(folder: Folder, owner: str) -> None:
    """Keeps shards of this run from mixing with those of a run that was started later."""
    document = folder.read(RUN_FILE)
    if document is None:
        raise OutputError(
            f"{folder.at(RUN_FILE)} was removed during the run. Run the same command again."
        )
    with suppress(ValueError, AttributeError):
        if json.loads(document).get("run") == owner:
            return
    raise OutputError(
        f"{folder.path} is being written by another run, which was started later. Wait for it."
    )


@contextmanager
def original_errors() -> Iterator[None]:
    """Raises errors from other processes as if this process had raised them.

    Raises:
        ClusterError: A process was killed from outside.
    """
    try:
        yield
    except RayError as error:
        cause: BaseException | None = error
        while isinstance(cause, RayError):  # Ray's error may have our class, but it has Ray's text
            cause = getattr(cause, "cause", None)
        if isinstance(cause, SpeciesNetError):
            sentence = str(cause).partition("\n")[0]  # without Ray's additions
            raise type(cause)(sentence) from error
        if isinstance(cause, Exception):
            raise cause from error
        if isinstance(error, OutOfMemoryError | WorkerCrashedError):
            raise ClusterError(
                f"A process of the run was killed from outside ({type(error).__name__}), as happens when "
                "a machine runs out of memory. Run the same command again to continue."
            ) from error
        raise
