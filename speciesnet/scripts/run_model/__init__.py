"""Predicts the species in camera-trap images: ``speciesnet``, or ``speciesnet run``."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, TypedDict

from speciesnet.constants import RUN_MODES, Components, RunMode
from speciesnet.errors import InputError
from speciesnet.scripts import console, flags, planning
from speciesnet.scripts.summary import print_profile, print_summary, target_notes

if TYPE_CHECKING:
    from speciesnet.constants import OutputFormat
    from speciesnet.files.input_notes import InputNotes
    from speciesnet.images.instances import Instance
    from speciesnet.records import Record
    from speciesnet.records.boxes import BoxSelection
    from speciesnet.run import Run
    from speciesnet.run.model import Predictions, SpeciesNet

FOLDERS = flags.text(
    "folders",
    "Comma-separated folders, on a disk or in a bucket, searched for images at any depth; demo: the "
    "package's sample images.",
).but(several=True)
FOLDERS_TXT = flags.text("folders_txt", "Text file with one folder per line.")
FILEPATHS = flags.text("filepaths", "Comma-separated images: paths or URLs.").but(several=True)
FILEPATHS_TXT = flags.text("filepaths_txt", "Text file with one image per line.")
INSTANCES_JSON = flags.text(
    "instances_json", "JSON file with images and their locations; see docs/input_format.md."
)
SHARD = flags.text(
    "shard",
    "I/N, such as 3/8: only the third of eight parts of the images, for parallel jobs; merge joins "
    "their outputs.",
)
INPUT = (FOLDERS, FOLDERS_TXT, FILEPATHS, FILEPATHS_TXT, INSTANCES_JSON, SHARD)
EXIF_GPS = flags.EXIF_GPS.but(
    help=f"{flags.EXIF_GPS.help} With --ensemble_only, the earlier steps must have used --metadata."
)
PREDICTIONS_JSON = flags.text(
    "predictions_json",
    "File to write, on a disk or in a bucket. If it exists, its finished images are kept and only the "
    "others are processed.",
)
IGNORE_EXISTING = flags.switch(
    "ignore_existing", "Start over; keep an existing file as *.bak."
).but(alias="ignore_existing_predictions")

DETECTOR_ONLY = flags.switch("detector_only", "Only find animals, humans and vehicles.")
CLASSIFIER_ONLY = flags.switch(
    "classifier_only", "Only name species; with --detections_json, inside those boxes."
)
ENSEMBLE_ONLY = flags.switch(
    "ensemble_only", "Only combine the results of the other two steps; read no images."
)
DETECTIONS_JSON = flags.text(
    "detections_json",
    "Output of --detector_only, or of MegaDetector's own tools. The first folders of its paths "
    "may differ.",
)
CLASSIFICATIONS_JSON = flags.text("classifications_json", "Output of --classifier_only.")
STEPS = (DETECTOR_ONLY, CLASSIFIER_ONLY, ENSEMBLE_ONLY, DETECTIONS_JSON, CLASSIFICATIONS_JSON)

RUN_MODE: flags.Flag[RunMode] = flags.choice(
    "run_mode", RUN_MODES, "How images are read: in threads or processes, or one at a time."
).but(default="multi_thread")
PROFILE = flags.switch("profile", "At the end, print where the time went.")
BYPASS_PROMPTS = flags.switch("bypass_prompts", "Answer yes to all questions.")

USAGE = """\
Finds and names the animals in camera-trap images.

  speciesnet --folders IMAGES --predictions_json OUT.json --country KEN
  speciesnet --model demo --folders demo --predictions_json OUT.json

The second command runs offline on sample images. Repeat a command to continue
its run.
"""
TOPICS: console.Topics = {
    "input": ("which images, exactly one of these", INPUT),
    "place": (
        "where the images were taken",
        (
            flags.COUNTRY,
            flags.ADMIN1_REGION,
            flags.COUNTRY_FROM_COORDINATES,
            EXIF_GPS,
            *flags.SITE,
        ),
    ),
    "films": ("which frames to examine", flags.FILMS),
    "boxes": (
        "which boxes get answers, and the minimum scores of species",
        (*flags.BOXES, flags.THRESHOLDS),
    ),
    "output": (
        "where to write, and how to continue",
        (
            PREDICTIONS_JSON,
            IGNORE_EXISTING,
            flags.OUTPUT_FORMAT,
            flags.MAX_CLASSES,
            flags.METADATA,
        ),
    ),
    "steps": ("detector, classifier and ensemble one at a time", STEPS),
    "model": (
        "which model",
        (flags.MODEL, flags.TARGET_SPECIES_TXT, flags.FORCE_MODEL_DOWNLOAD),
    ),
    "speed": ("what runs the networks, and how images are read", (*flags.SPEED, RUN_MODE, PROFILE)),
    "planning": ("how long a run will take", flags.PLANNING),
    "running": ("progress, prompts, log", (flags.PROGRESS_BARS, BYPASS_PROMPTS, *flags.LOG)),
}


def main(values: flags.Values) -> None:
    """Checks everything that can be wrong before the first image is read, then runs."""
    from speciesnet.files.input_notes import InputNotes
    from speciesnet.pipeline.progress import Profile
    from speciesnet.predictions.bucket import check_output
    from speciesnet.run import execute

    components = _components(values)
    _check(values, components)
    output = _output_options(values)
    if path := values[PREDICTIONS_JSON]:
        check_output(path)
    notes = InputNotes()
    instances = _instances(values, notes)
    if not instances:
        sys.stdout.write(f"Part {values[SHARD]} contains no images; nothing is written.\n")
        return
    model = _model(values, components)
    run = _run(values, components, instances, output)
    if values[flags.DRY_RUN]:
        _print_plan(values, run, model)
        return
    started = time.monotonic()
    profile = Profile()
    outcome = execute(run, model, profile)
    seconds = time.monotonic() - started
    found = [*notes.lines(), *outcome.notes]
    if components in ("all", "classifier"):
        found += target_notes(values[flags.TARGET_SPECIES_TXT], model.model_info)
    print_summary(outcome.tally, outcome.earlier, seconds, path or "", found, outcome.lasting)
    if values[PROFILE]:
        print_profile(profile, seconds)
    outcome.check()


def _components(values: flags.Values) -> Components:
    switches: dict[Components, flags.Flag[bool]] = {
        "detector": DETECTOR_ONLY,
        "classifier": CLASSIFIER_ONLY,
        "ensemble": ENSEMBLE_ONLY,
    }
    chosen: list[Components] = [name for name, flag in switches.items() if values[flag]]
    if len(chosen) > 1:
        raise InputError(
            f"--{chosen[0]}_only and --{chosen[1]}_only cannot be combined; use at most one of them."
        )
    return chosen[0] if chosen else "all"


def _check(values: flags.Values, components: Components) -> None:
    """Raises ``InputError`` for flags that contradict each other."""
    planning.check(values)
    if not values[PREDICTIONS_JSON] and not values[flags.DRY_RUN]:
        raise InputError("No output is given; add --predictions_json OUT.json.")
    ending = PurePath(values[PREDICTIONS_JSON] or "").suffix.lower()
    if ending in (".csv", ".tsv", ".xls", ".xlsx", ".ods"):
        raise InputError(
            f"--predictions_json is {values[PREDICTIONS_JSON]}, but predictions are JSON; use a "
            "name that ends with .json, and convert that file to a table with speciesnet table."
        )
    if values[flags.DRY_RUN] and components != "all":
        raise InputError(
            f"--dry_run estimates whole runs; leave out --{components}_only or --dry_run."
        )
    if components in ("detector", "classifier") and values[flags.SPECIES_LIST] is not None:
        raise InputError(
            f"--species_list restricts answers, which --{components}_only does not give; pass it with "
            "--ensemble_only instead."
        )
    for flag, users in (
        (DETECTIONS_JSON, ("classifier", "ensemble")),
        (CLASSIFICATIONS_JSON, ("ensemble",)),
    ):
        is_given = values[flag] is not None
        if components == "ensemble" and not is_given:
            raise InputError(
                "--ensemble_only requires --detections_json and --classifications_json; add "
                f"--{flag.name}."
            )
        if is_given and components not in users:
            raise InputError(
                f"--{flag.name} is only for a run that continues from earlier steps; leave it out, "
                "or add --classifier_only or --ensemble_only."
            )


def _instances(values: flags.Values, notes: InputNotes) -> list[Instance]:
    """The images of the run; empty only if none is in the shard."""
    from speciesnet.images.instances import prepare_instances, split_paths, take_shard

    folders, filepaths = values[FOLDERS], values[FILEPATHS]
    instances = prepare_instances(
        instances_json=values[INSTANCES_JSON],
        filepaths=None if filepaths is None else split_paths(filepaths),
        filepaths_txt=values[FILEPATHS_TXT],
        folders=None if folders is None else split_paths(folders),
        folders_txt=values[FOLDERS_TXT],
        country=values[flags.COUNTRY],
        admin1_region=values[flags.ADMIN1_REGION],
        notes=notes,
        match_files=not values[ENSEMBLE_ONLY],  # it reads no image
        films=values[flags.VIDEOS] == "include",
    )
    shard = values[SHARD]
    return instances if shard is None else take_shard(instances, shard)


def _model(values: flags.Values, components: Components) -> SpeciesNet:
    """The model; asks the user first if it was trained on crops but is about to classify whole images."""
    from speciesnet.run.model import SpeciesNet

    model = SpeciesNet(
        values[flags.MODEL],
        components=components,
        geofence=values[flags.GEOFENCE],
        target_species_txt=values[flags.TARGET_SPECIES_TXT],
        species_list=values[flags.SPECIES_LIST],
        species_list_fill=values[flags.SPECIES_LIST_FILL],
        engine=values[flags.ENGINE],
        precision=values[flags.PRECISION],
        device=values[flags.DEVICE],
        threads=values[flags.THREADS],
        force_model_download=values[flags.FORCE_MODEL_DOWNLOAD],
    )
    lacks_boxes = components == "classifier" and values[DETECTIONS_JSON] is None
    if lacks_boxes and model.model_info.always_crops and not values[BYPASS_PROMPTS]:
        _confirm_whole_images(model.model_info.model_name)
    return model


def _confirm_whole_images(model_name: str) -> None:
    """Asks for confirmation, because a model trained on crops performs poorly on whole images."""
    warning = (
        f"The model {model_name} was trained on animals cropped from their images, and without "
        "--detections_json it gets whole images"
    )
    if not sys.stdin.isatty():
        raise InputError(
            f"{warning}; use --detections_json, or --bypass_prompts to continue anyway."
        )
    sys.stderr.write(f"{warning}.\nContinue anyway? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InputError("Nothing was done; run --detector_only first and pass --detections_json.")


class _OutputOptions(TypedDict):
    output_format: OutputFormat
    max_classifications_per_detection: int | None
    boxes: BoxSelection | None


def _output_options(values: flags.Values) -> _OutputOptions:
    """The format of the output, and what it contains; raises ``InputError``."""
    from speciesnet.predictions.format5 import DEFAULT_CLASSES, checked_classes, checked_format
    from speciesnet.records.boxes import selected_boxes

    count = values[flags.MAX_CLASSES]
    output_format, classify = checked_format(
        int(values[flags.OUTPUT_FORMAT]),
        values[flags.CLASSIFY] if values.is_given(flags.CLASSIFY) else None,
        has_classes=count is not None,
    )
    boxes = selected_boxes(classify, values[flags.CLASSIFIED_FROM], values[flags.CLASSIFIED_BOXES])
    return {
        "output_format": output_format,
        "max_classifications_per_detection": checked_classes(
            DEFAULT_CLASSES if count is None else count
        ),
        "boxes": boxes,
    }


def _run(
    values: flags.Values,
    components: Components,
    instances: list[Instance],
    output: _OutputOptions,
) -> Run:
    from speciesnet.geolocation import resolve_locations
    from speciesnet.pipeline import PastResults
    from speciesnet.predictions.lookup import RecordsByFile
    from speciesnet.run import Run

    def past(flag: flags.Flag[str | None]) -> Mapping[str, Record]:
        if (path := values[flag]) is None:
            return {}
        names, for_classes = (i.filepath for i in instances), flag is CLASSIFICATIONS_JSON
        return RecordsByFile(path, names, for_classes=for_classes)

    from_coordinates = values[flags.COUNTRY_FROM_COORDINATES]
    input_flags = (DETECTIONS_JSON, CLASSIFICATIONS_JSON)
    return Run(
        instances=resolve_locations(instances, country_from_coordinates=from_coordinates),
        components=components,
        country=values[flags.COUNTRY],
        admin1_region=values[flags.ADMIN1_REGION],
        country_from_coordinates=from_coordinates,
        exif_gps=values[flags.EXIF_GPS],
        metadata=values[flags.METADATA],
        **output,
        films=flags.sampling_of(values),
        thresholds=flags.thresholds_of(values),
        past=PastResults(*map(past, input_flags)),
        input_files={flag.name: values[flag] for flag in input_flags},
        predictions_json=values[PREDICTIONS_JSON],
        ignore_existing=values[IGNORE_EXISTING],
        shard=values[SHARD],
        run_mode=values[RUN_MODE],
        batch_size=values[flags.BATCH_SIZE],
        readers=values[flags.READERS],
        progress_bars=values[flags.PROGRESS_BARS],
    )


def _print_plan(values: flags.Values, run: Run, model: SpeciesNet) -> None:
    from speciesnet.files.input_notes import counted
    from speciesnet.predictions.reading import finished_images

    def predict(filepaths: Sequence[str]) -> Predictions | None:
        return model.predict(
            filepaths=filepaths,
            run_mode=run.run_mode,
            batch_size=run.batch_size,
            readers=run.readers,
        )

    from speciesnet.pipeline.films import split_films

    photographs, films = split_films(instance.filepath for instance in run.instances)
    if films:
        sys.stdout.write(f"The estimate leaves out {counted(len(films), 'film')}.\n")
    paths = dict.fromkeys(photographs)
    continued = None if run.ignore_existing else run.predictions_json
    finished = finished_images(continued) & paths.keys() if continued else set()
    unfinished = [filepath for filepath in paths if filepath not in finished]
    planning.print_estimate(values, len(paths), len(finished), unfinished, predict)


COMMAND = console.Command(main, USAGE, topics=TOPICS)


def cli() -> None:
    """Runs this command as a program."""
    console.start(COMMAND)
