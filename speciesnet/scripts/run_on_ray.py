"""Predicts the species in camera-trap images on a Ray cluster.

python -m speciesnet.scripts.run_on_ray --instances s3://BUCKET/IMAGES --output s3://BUCKET/OUT
"""

from __future__ import annotations

import itertools
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from absl import flags, logging

from speciesnet.errors import InputError
from speciesnet.packages.info import DEFAULT_MODEL
from speciesnet.scripts import console, plan_flags, run_flags
from speciesnet.scripts.summary import print_summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from speciesnet.distributed.resources import Resources
    from speciesnet.instances import Instance

_INSTANCES = flags.DEFINE_string(
    "instances",
    None,
    "Folders, comma-separated, or a list: an instances JSON (.json), a JSON object a line (.jsonl), a "
    "table (.parquet), a path a line (.txt). All machines must find the images under these paths.",
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder for the shards, on a disk of this machine or in a bucket."
)
_FORMAT = flags.DEFINE_enum("format", "jsonl", ["jsonl", "parquet"], "Of the shards.")
_SHARD_SIZE = flags.DEFINE_integer(
    "shard_size", 500, "Records of a shard, but for the last of a round.", lower_bound=1
)

_MODEL = flags.DEFINE_string(
    "model",
    DEFAULT_MODEL,
    "Model package: kaggle:OWNER/MODEL/FRAMEWORK/VARIATION[/N], hf:OWNER/REPO, a folder that all "
    "machines share, or demo.",
)
_COUNTRY_FROM_COORDINATES = flags.DEFINE_bool(
    "country_from_coordinates",
    False,
    "Look up missing countries, and correct wrong ones, by the coordinates of the instances.",
)
_EXIF_GPS = flags.DEFINE_bool(
    "exif_gps", False, "Take the position of images that have none from the photographs."
)

_ADDRESS = flags.DEFINE_string(
    "address",
    None,
    "Of the Ray cluster: auto on one of its machines, or HOST:PORT; without it what RAY_ADDRESS says, or "
    "this machine alone.",
)
_ENGINE = flags.DEFINE_string(
    "engine",
    "auto",
    "What runs the networks: auto, openvino, torch or tensorflow; two with a comma are the detector's "
    "and the classifier's.",
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "fp32",
    ["fp32", "bf16", "fp16"],
    "Of the networks' numbers, the same on all machines.",
)
_THREADS = flags.DEFINE_integer(
    "threads", None, "Processor threads of a network; a machine's cores without it.", lower_bound=1
)
_READERS = flags.DEFINE_integer(
    "readers",
    None,
    "Threads of a task that reads images; without it one, or 8 for URLs.",
    lower_bound=1,
)
_DETECTORS = flags.DEFINE_string(
    "detectors",
    None,
    "Processes with a detector: a number, or two with a dash between which they grow and shrink.",
)
_CLASSIFIERS = flags.DEFINE_string("classifiers", None, "The same for classifiers.")
_CPUS = {
    stage: flags.DEFINE_float(
        f"{stage}_cpus", None, f"CPUs that Ray reserves for a {stage}.", lower_bound=0
    )
    for stage in ("detector", "classifier")
}
_GPUS = {
    stage: flags.DEFINE_float(
        f"{stage}_gpus",
        None,
        f"GPUs that Ray reserves for a {stage}; 0.5 lets two share one.",
        lower_bound=0,
    )
    for stage in ("detector", "classifier")
}
console.must_be_finite(*(flag.name for flag in (*_CPUS.values(), *_GPUS.values())))

USAGE = """\
Finds and names the animals in camera-trap images on a Ray cluster.

  python -m speciesnet.scripts.run_on_ray --instances s3://BUCKET/IMAGES \\
      --output s3://BUCKET/OUT --country KEN --address auto
  python -m speciesnet.scripts.merge OUT.json s3://BUCKET/OUT

The same command again goes on where it stopped.
"""
TOPICS = {
    "input": (
        "which images, and where they were taken",
        (
            "instances",
            "country",
            "admin1_region",
            "country_from_coordinates",
            "exif_gps",
            "geofence",
        ),
    ),
    "output": ("where records go", ("output", "format", "shard_size", "metadata")),
    "model": ("which model", ("model", "target_species_txt", "engine", "precision")),
    "cluster": (
        "what each stage takes of the machines",
        (
            "address",
            "detectors",
            "classifiers",
            *(f"{stage}_{what}" for what in ("cpus", "gpus") for stage in _CPUS),
            "threads",
            "batch_size",
            "readers",
        ),
    ),
    "planning": ("how long it will take", plan_flags.FLAGS),
    "running": ("progress, log", ("progress_bars", "log_level", "version")),
}
DRY_RUN_SAMPLE = 1_000  # images of a list among which some are timed


def main() -> None:
    """Checks everything that can be wrong before the cluster is asked for anything."""
    for flag, given in (("instances", _INSTANCES.value), ("output", _OUTPUT.value)):
        if not given:
            raise InputError(f"--{flag} is missing; see --help.")
    plan_flags.check()
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"Clusters need one more package ({error}): pip install 'speciesnet[ray]'."
        ) from error
    from speciesnet.distributed import runner
    from speciesnet.distributed.connection import connected
    from speciesnet.distributed.folder import Folder
    from speciesnet.distributed.instance_lists import absolute_path
    from speciesnet.distributed.job import Job
    from speciesnet.model import ModelOptions
    from speciesnet.run import Run

    target_species = run_flags.TARGET_SPECIES_TXT.value
    folder = Folder.of(_OUTPUT.value or "")
    model = ModelOptions(
        _MODEL.value,
        geofence=run_flags.GEOFENCE.value,
        target_species_txt=target_species and absolute_path(target_species),
        engine=_ENGINE.value,
        precision=cast("Any", _PRECISION.value),
    )
    loaded = model.load()
    model = replace(model, model_name=loaded.model_info.lasting_name)
    run = Run(
        country=run_flags.COUNTRY.value,
        admin1_region=run_flags.ADMIN1_REGION.value,
        country_from_coordinates=_COUNTRY_FROM_COORDINATES.value,
        exif_gps=_EXIF_GPS.value,
        metadata=run_flags.METADATA.value,
        batch_size=run_flags.BATCH_SIZE.value,
        readers=_READERS.value,
        progress_bars=run_flags.PROGRESS_BARS.value,
    )
    settings = loaded.run_settings(run)
    started = time.monotonic()
    with connected(_ADDRESS.value):
        if plan_flags.DRY_RUN.value:
            _print_plan(folder, loaded)
            return
        resources = _resources()
        cpu_only = not (resources.detectors.gpus or resources.classifiers.gpus)
        model = replace(
            model, threads=resources.threads, device="cpu" if cpu_only else model.device
        )
        job = Job(
            folder=folder,
            model=model,
            run=run,
            resources=resources,
            shard_size=_SHARD_SIZE.value,
            shard_format=_FORMAT.value,
        )
        try:
            outcome = runner.run(_instances(), job, settings)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"Whole shards are in {folder.path}; give the same command again to go on."
            ) from None
    print_summary(outcome.tally, outcome.earlier, time.monotonic() - started, folder.path)


def _instances() -> Iterator[Instance]:
    from speciesnet.distributed.instance_lists import read_instances

    source = _INSTANCES.value or ""
    return read_instances(
        source,
        country=run_flags.COUNTRY.value,
        admin1_region=run_flags.ADMIN1_REGION.value,
        country_from_coordinates=_COUNTRY_FROM_COORDINATES.value,
    )


def _resources() -> Resources:
    import ray

    from speciesnet.distributed.resources import resources_for, shortage

    found = resources_for(ray.nodes(), with_gpus=any(flag.value for flag in _GPUS.values()))
    detectors = found.detectors.with_size(_DETECTORS.value, "detectors")
    classifiers = found.classifiers.with_size(_CLASSIFIERS.value, "classifiers")
    resources = replace(
        found,
        detectors=detectors.with_reservations(_CPUS["detector"].value, _GPUS["detector"].value),
        classifiers=classifiers.with_reservations(
            _CPUS["classifier"].value, _GPUS["classifier"].value
        ),
        threads=_THREADS.value or found.threads,
    )
    if lack := shortage(ray.nodes(), resources):  # which a cluster that grows may make up for
        logging.warning(
            "%s: the run waits until machines are added, or until --detectors, --classifiers and what is "
            "reserved for each are less.",
            lack,
        )
    return resources


def _print_plan(folder: Any, model: Any) -> None:
    from speciesnet.distributed import runner
    from speciesnet.distributed.work_list import SeenImages
    from speciesnet.scripts import planning

    with SeenImages() as seen:
        finished = runner.add_finished(seen, folder).images
        left = seen.unseen(_instances())
        sample = [instance.filepath for instance in itertools.islice(left, DRY_RUN_SAMPLE)]
        for _ in left:  # counts them
            pass
    rate = None
    if sample and plan_flags.IMAGES_PER_SECOND.value is None:
        rate = planning.measure(model, sample, batch_size=run_flags.BATCH_SIZE.value)
    plan_flags.print_estimate(finished + seen.new, finished, rate)


def cli() -> None:
    """The console command."""
    sys.exit(console.run(main, sys.argv, lambda topic: console.topics_help(USAGE, TOPICS, topic)))


if __name__ == "__main__":
    cli()
