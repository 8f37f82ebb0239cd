"""A run on a Ray cluster: the local pipeline's stages, each on as many machines as it needs.

    list -> read and letterbox (tasks) -> DETECTOR (pool) -> CLASSIFIER (pool) -> shards (tasks)

The driver holds neither the list nor the records. Work that a lost machine had is done again by others;
after the loss of the driver itself the same command goes on from the shards.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast

import ray
from absl import logging
from ray.exceptions import RayError

from speciesnet.distributed import stages
from speciesnet.distributed.folder import Folder
from speciesnet.distributed.resources import Pool, Resources
from speciesnet.distributed.shards import RUN_FILE, Finished, finished_in, shard_names
from speciesnet.distributed.stages import ModelOptions
from speciesnet.distributed.watch import Display, Watch
from speciesnet.distributed.work_list import Counts, Seen, unfinished, write_work
from speciesnet.errors import OutputError, SpeciesNetError
from speciesnet.instances import Instance
from speciesnet.predictions import RunSettings
from speciesnet.records import Tally

if TYPE_CHECKING:
    import ray.data

SCANS_AT_ONCE = 64  # shards of an earlier run that are looked through at the same time
FILES_AT_ONCE = 20  # of the list, 100,000 images: what goes through the stages in one go
TASK_IMAGES = 64  # that a task reads
READING_BYTES = 2**29  # that Ray reserves for it: pictures ahead, a block, Python


@dataclass(frozen=True)
class Plan:
    """How a run is cut into pieces.

    Attributes:
        batch_size: Images that a network takes at once.
        shard_size: Records of a shard, about.
        shard_format: ``jsonl`` or ``parquet``.
        readers: Threads of a task that reads; None is one, or more where images come over a network.
    """

    batch_size: int = 8
    shard_size: int = 500
    shard_format: str = "jsonl"
    readers: int | None = None


@dataclass(frozen=True)
class Networks:
    """The stages that compute; a benchmark of the rest puts something else in their place."""

    input_shape_of: Callable[[ModelOptions], Any] = stages.input_shape_of
    read: Callable[..., Any] = stages.read
    detect: type = stages.Detect
    classify: type = stages.Classify


@dataclass
class Summary:
    """How a run ended.

    Attributes:
        earlier: Records that were there before.
        tally: Counts of all records, also of those.
    """

    earlier: int = 0
    tally: Tally = field(default_factory=Tally)


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
        folder: What all machines can write.
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
    with _plainly():
        name = take_over(folder, settings)
        work = Folder(folder.at("work"))
        summary, counts = Summary(), Counts()
        left = unfinished_of(instances, folder, counts, summary.tally, mend=True)
        files = write_work(left, work)
        summary.earlier = summary.tally.images
        if summary.earlier:
            logging.info("%d images were done before, %d are left.", summary.earlier, counts.new)
        if not counts.new:
            return summary
        # Loads the model once before anything depends on it.
        detectors = resources.detectors
        shape = ray.get(
            ray.remote(networks.input_shape_of)
            .options(num_cpus=detectors.cpus, num_gpus=detectors.gpus)
            .remote(model)
        )
        watch = Watch.start()
        with Display(watch, counts.new, progress_bars):
            # Ray Data keeps something of every task until a dataset is done.
            for start in range(0, files, FILES_AT_ONCE):
                numbers = range(start, min(start + FILES_AT_ONCE, files))
                dataset = _dataset(
                    numbers,
                    work,
                    folder,
                    model,
                    settings,
                    resources,
                    plan,
                    networks,
                    shape,
                    watch,
                    name,
                )
                for row in dataset.iter_rows():
                    tally = Tally(row["images"], row["failed"])
                    tally.answers.update(json.loads(row["answers"]))
                    _add(summary.tally, tally)
    return summary


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
    """Looks through the shards of earlier runs on all machines."""
    look = ray.remote(finished_in)
    waiting: list[Any] = []
    for name in shard_names(folder):
        waiting.append(look.remote(folder, name, mend))
        if len(waiting) == SCANS_AT_ONCE:
            done, waiting = ray.wait(waiting)
            yield from ray.get(done)
    for one in waiting:
        yield ray.get(one)


def _dataset(
    files: range,
    work: Folder,
    folder: Folder,
    model: ModelOptions,
    settings: RunSettings,
    resources: Resources,
    plan: Plan,
    networks: Networks,
    shape: Any,
    watch: Watch,
    name: str,
) -> ray.data.Dataset:
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.raise_original_map_exception = True  # for _plainly
    context.issue_detectors_config.detectors = []  # they know the usual sizes of other work

    def pool(stage: Pool) -> dict[str, Any]:
        strategy = ray.data.ActorPoolStrategy(min_size=stage.least, max_size=stage.most)
        return {"compute": strategy, "num_cpus": stage.cpus, "num_gpus": stage.gpus}

    table: dict[str, Any] = {"batch_format": "pyarrow"}
    network: dict[str, Any] = {"batch_size": plan.batch_size, **table}
    options = {"model": model, "batch_size": plan.batch_size, "watch": watch}
    # A repartition behind tasks of one CPU is no step of its own: it says how many rows leave a task,
    # and a strict one, to the size of their batch, also how many come into it.
    return (
        ray.data.from_items(
            [{"number": number} for number in files],
            override_num_blocks=len(files),
        )
        .map_batches(
            cast("Any", stages.list_instances),
            batch_size=1,
            fn_kwargs={"folder": work},
            **table,
        )
        .repartition(target_num_rows_per_block=TASK_IMAGES)
        .map_batches(
            networks.read,
            batch_size=None,
            fn_kwargs={"input_shape": shape, "readers": plan.readers, "watch": watch},
            # Also keeps Ray from taking reading and listing for one step, of thousands of images a task.
            memory=READING_BYTES,
            **table,
        )
        .map_batches(
            networks.detect, fn_constructor_kwargs=options, **pool(resources.detectors), **network
        )
        .map_batches(
            networks.classify,
            fn_constructor_kwargs={**options, "settings": settings},
            **pool(resources.classifiers),
            **network,
        )
        .map_batches(
            cast("Any", stages.write),
            batch_size=plan.shard_size,
            fn_kwargs={"folder": folder, "shard_format": plan.shard_format, "run": name},
            **table,
        )
        .repartition(target_num_rows_per_block=plan.shard_size, strict=True)
    )


@contextmanager
def _plainly() -> Iterator[None]:
    """A user's mistake that shows on another machine is told as if it had shown here."""
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
        raise
