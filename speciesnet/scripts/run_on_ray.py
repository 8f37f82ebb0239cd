"""Predicts the species in camera-trap images on a Ray cluster: ``speciesnet ray``."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from absl import logging

from speciesnet.errors import InputError
from speciesnet.scripts import console, flags, planning
from speciesnet.scripts.summary import print_summary, target_notes

if TYPE_CHECKING:
    from speciesnet.files.input_notes import InputNotes
    from speciesnet.images.instances import Instance
    from speciesnet.predictions.tally import Tally
    from speciesnet.run import Run
    from speciesnet.run.distributed.folder import Folder
    from speciesnet.run.distributed.resources import Resources
    from speciesnet.run.model import ModelOptions, Predictions, SpeciesNet

INSTANCES = flags.text(
    "instances",
    "Comma-separated folders, or a list of images: an instances JSON (.json), JSON lines "
    "(.jsonl), a table (.parquet) or one path per line (.txt). All machines must find the images "
    "at these paths.",
)
OUTPUT = flags.text("output", "Folder for the shards, on a disk or in a bucket.")
FORMAT: flags.Flag[Literal["jsonl", "parquet"]] = flags.choice(
    "format", ["jsonl", "parquet"], "File format of the shards."
)
SHARD_SIZE = flags.integer("shard_size", 500, "Records per shard; the last may have fewer.")
MODEL = flags.MODEL.but(help=f"{flags.MODEL.help} A folder must be shared by all machines.")
PRECISION = flags.PRECISION.but(
    default="fp32",
    options={"enum_values": ["fp32", "bf16", "fp16", "auto"]},
    help="Numeric precision of the networks, the same on all machines; with auto, each machine uses "
    "the fastest one and keeps the answers of fp32.",
)
READERS = flags.READERS.but(help="Threads that read images in a task; by default 1, or 8 for URLs.")
ADDRESS = flags.text(
    "address",
    "Address of the Ray cluster: auto on one of its machines, or HOST:PORT. By default, the "
    "address in RAY_ADDRESS; if that is not set, this machine is the cluster.",
)
DETECTORS = flags.text("detectors", "Number of detector processes, or a range such as 2-8.")
CLASSIFIERS = flags.text("classifiers", "Number of classifier processes, or a range.")
STAGES = ("detector", "classifier")
CPUS = {
    stage: flags.number(f"{stage}_cpus", None, f"CPUs that Ray reserves per {stage}.")
    for stage in STAGES
}
GPUS = {
    stage: flags.number(f"{stage}_gpus", None, f"GPUs per {stage}; with 0.5, two share a GPU.")
    for stage in STAGES
}

USAGE = """\
Finds and names the animals in camera-trap images on a Ray cluster.

  speciesnet ray --instances s3://BUCKET/IMAGES --output s3://BUCKET/OUT \\
      --country KEN --address auto
  speciesnet merge OUT.json s3://BUCKET/OUT

Run the same command again to continue an interrupted run.
"""
TOPICS: console.Topics = {
    "input": ("which images, and where they were taken", (INSTANCES, *flags.PLACE)),
    "films": ("which frames to examine", flags.FILMS),
    "boxes": (
        "which boxes get answers, and the minimum scores of species",
        (*flags.BOXES, flags.THRESHOLDS),
    ),
    "output": ("where records go", (OUTPUT, FORMAT, SHARD_SIZE, flags.METADATA)),
    "model": ("which model", (MODEL, flags.TARGET_SPECIES_TXT, flags.ENGINE, PRECISION)),
    "cluster": (
        "what each stage uses on the machines",
        (
            *(ADDRESS, DETECTORS, CLASSIFIERS, *CPUS.values(), *GPUS.values()),
            *(flags.THREADS, flags.BATCH_SIZE, READERS),
        ),
    ),
    "planning": ("how long a run will take", flags.PLANNING),
    "running": ("progress, log", (flags.PROGRESS_BARS, *flags.LOG)),
}
DRY_RUN_SAMPLE = 1_000  # images among which some are timed


def main(values: flags.Values) -> None:
    """Checks everything that can be wrong before connecting to the cluster, then runs."""
    for flag in (INSTANCES, OUTPUT):
        if not values[flag]:
            raise InputError(f"--{flag.name} is missing; see --help.")
    planning.check(values)
    _check_pools(values)
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"Clusters require an extra package ({error}): pip install 'speciesnet[ray]'."
        ) from error
    from speciesnet.files.input_notes import InputNotes
    from speciesnet.predictions.settings import settings_of_films
    from speciesnet.run.distributed import runner
    from speciesnet.run.distributed.connection import connected
    from speciesnet.run.distributed.folder import Folder
    from speciesnet.run.distributed.job import Job

    folder = Folder.of(values[OUTPUT] or "")
    options = _model_options(values)
    model = options.load()
    run = _run_of(values)
    if run.thresholds is not None:
        run.thresholds.check_names(model.ensemble.labels)
    settings = replace(model.run_settings(run), **settings_of_films(run.films))
    notes = InputNotes()
    started = time.monotonic()
    with connected(values[ADDRESS]):
        if values[flags.DRY_RUN]:
            _print_plan(values, folder, model)
            return
        resources = _resources(values)
        has_gpus = resources.detectors.gpus or resources.classifiers.gpus
        options = replace(
            options,
            model_name=model.model_info.lasting_name,
            threads=resources.threads,
            device=options.device if has_gpus else "cpu",
        )
        job = Job(
            folder=folder,
            model=options,
            run=run,
            resources=resources,
            shard_size=values[SHARD_SIZE],
            shard_format=values[FORMAT],
        )
        try:
            outcome = runner.run(_instances(values, notes), job, settings)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"Complete shards are in {folder.path}. Run the same command again to continue."
            ) from None
    found = [*notes.lines(), *outcome.notes, *_notes(run, model, outcome.tally)]
    found += target_notes(values[flags.TARGET_SPECIES_TXT], model.model_info)
    print_summary(outcome.tally, outcome.earlier, time.monotonic() - started, folder.path, found)
    outcome.check()


def _check_pools(values: flags.Values) -> None:
    """Refuses flags of a pool that the run does not have."""
    cpus, gpus = CPUS["classifier"], GPUS["classifier"]
    useless = [(CLASSIFIERS, values[CLASSIFIERS]), (cpus, values[cpus]), (gpus, values[gpus])]
    given = next((flag.name for flag, value in useless if value), None)
    if values[PRECISION] == "auto" and given:
        raise InputError(
            f"--{given} has no effect with --precision auto, where each detector process runs the "
            "classifier as well. Leave it out."
        )


def _notes(run: Run, model: SpeciesNet, tally: Tally) -> list[str]:
    """Sentences on the answers of all images."""
    from speciesnet.run import notes_on_thresholds

    found = model.ensemble.notes(tally.countries)
    if run.country_from_coordinates and tally.placeless.count:
        found.append(str(tally.placeless))
    return [*found, *notes_on_thresholds(run, tally)]


def _model_options(values: flags.Values) -> ModelOptions:
    from speciesnet.run.distributed.instance_lists import absolute_path
    from speciesnet.run.model import ModelOptions

    target_species, species_list = values[flags.TARGET_SPECIES_TXT], values[flags.SPECIES_LIST]
    return ModelOptions(
        values[MODEL],
        geofence=values[flags.GEOFENCE],
        target_species_txt=target_species and absolute_path(target_species),
        species_list=species_list and absolute_path(species_list),
        species_list_fill=values[flags.SPECIES_LIST_FILL],
        engine=values[flags.ENGINE],
        precision=values[PRECISION],
    )


def _run_of(values: flags.Values) -> Run:
    from speciesnet.run import Run

    return Run(
        country=values[flags.COUNTRY],
        admin1_region=values[flags.ADMIN1_REGION],
        country_from_coordinates=values[flags.COUNTRY_FROM_COORDINATES],
        exif_gps=values[flags.EXIF_GPS],
        metadata=values[flags.METADATA],
        boxes=flags.selected_boxes(values),
        films=flags.sampling_of(values),
        thresholds=flags.thresholds_of(values),
        batch_size=values[flags.BATCH_SIZE],
        readers=values[READERS],
        progress_bars=values[flags.PROGRESS_BARS],
    )


def _instances(values: flags.Values, notes: InputNotes | None = None) -> Iterator[Instance]:
    from speciesnet.run.distributed.instance_lists import read_instances

    return read_instances(
        values[INSTANCES] or "",
        country=values[flags.COUNTRY],
        admin1_region=values[flags.ADMIN1_REGION],
        country_from_coordinates=values[flags.COUNTRY_FROM_COORDINATES],
        films=values[flags.VIDEOS] == "include",
        notes=notes,
    )


def _resources(values: flags.Values) -> Resources:
    """What each stage uses of the machines currently in the cluster."""
    import ray

    from speciesnet.run.distributed.resources import resources_for, shortage

    cpus = {stage: values[flag] for stage, flag in CPUS.items()}
    gpus = {stage: values[flag] for stage, flag in GPUS.items()}
    found = resources_for(ray.nodes(), with_gpus=any(gpus.values()))
    detectors = found.detectors.with_size(values[DETECTORS], "detectors")
    classifiers = found.classifiers.with_size(values[CLASSIFIERS], "classifiers")
    resources = replace(
        found,
        detectors=detectors.with_reservations(cpus["detector"], gpus["detector"]),
        classifiers=classifiers.with_reservations(cpus["classifier"], gpus["classifier"]),
        threads=values[flags.THREADS] or found.threads,
    )
    if lack := shortage(ray.nodes(), resources):  # an autoscaling cluster may still grow
        logging.warning(
            "%s: the run waits until machines are added; alternatively, restart it with lower values of "
            "--detectors and --classifiers or of the CPUs and GPUs that each reserves.",
            lack,
        )
    return resources


def _print_plan(values: flags.Values, folder: Folder, model: SpeciesNet) -> None:
    from speciesnet.run.distributed import runner
    from speciesnet.run.distributed.work_list import SeenImages

    def predict(filepaths: Sequence[str]) -> Predictions | None:
        return model.predict(filepaths=filepaths, batch_size=values[flags.BATCH_SIZE])

    with SeenImages() as seen:
        finished = runner.add_finished(seen, folder).images
        unfinished = seen.unseen(_instances(values))
        sample = [instance.filepath for instance in itertools.islice(unfinished, DRY_RUN_SAMPLE)]
        for _ in unfinished:  # this counts them
            pass
    planning.print_estimate(values, finished + seen.new, finished, sample, predict)


COMMAND = console.Command(main, USAGE, topics=TOPICS)

if __name__ == "__main__":
    console.start(COMMAND)
