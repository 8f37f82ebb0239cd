"""Predicts the species in camera-trap images.

python -m speciesnet.scripts.run_model --folders IMAGES --predictions_json OUT.json
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from absl import flags

from speciesnet.constants import RUN_MODES
from speciesnet.errors import InputError
from speciesnet.packages.info import DEFAULT_MODEL
from speciesnet.scripts import console, plan_flags, run_flags
from speciesnet.scripts.summary import print_summary

if TYPE_CHECKING:
    from speciesnet.constants import Components, RunMode
    from speciesnet.instances import Instance
    from speciesnet.model import SpeciesNet
    from speciesnet.progress import Profile
    from speciesnet.records import Record

_MODEL = flags.DEFINE_string(
    "model",
    DEFAULT_MODEL,
    "Model package: kaggle:OWNER/MODEL/FRAMEWORK/VARIATION[/N], hf:OWNER/REPO, a folder, or demo "
    "(embedded, knows rendered scenes only).",
)

_FOLDERS = flags.DEFINE_string(
    "folders",
    None,
    "Folders, comma-separated, on a disk or in a bucket, searched for images at any depth; demo is the "
    "package's own samples.",
)
_FOLDERS_TXT = flags.DEFINE_string("folders_txt", None, "Text file with one folder a line.")
_FILEPATHS = flags.DEFINE_string("filepaths", None, "Images, comma-separated: paths or URLs.")
_FILEPATHS_TXT = flags.DEFINE_string("filepaths_txt", None, "Text file with one image a line.")
_INSTANCES_JSON = flags.DEFINE_string(
    "instances_json", None, "JSON file with images and the place of each; see docs/input_format.md."
)

_SHARD = flags.DEFINE_string(
    "shard",
    None,
    "I/N, such as 3/8: only the third of eight parts of the images, for jobs beside each other; merge "
    "joins what they write.",
)

_COUNTRY_FROM_COORDINATES = flags.DEFINE_bool(
    "country_from_coordinates",
    False,
    "Look up missing countries, and correct wrong ones, by the coordinates in --instances_json.",
)
_EXIF_GPS = flags.DEFINE_bool(
    "exif_gps",
    False,
    "Take the position of images that have none from the photographs; --ensemble_only takes it from "
    "steps that were run with --metadata.",
)

_PREDICTIONS_JSON = flags.DEFINE_string(
    "predictions_json",
    None,
    "File to write, on a disk or in a bucket. If it exists, its finished images are kept and the rest is "
    "done.",
)
_IGNORE_EXISTING = flags.DEFINE_bool(
    "ignore_existing", False, "Begin anew; an existing file is kept as *.bak."
)
flags.DEFINE_alias("ignore_existing_predictions", "ignore_existing")

_DETECTOR_ONLY = flags.DEFINE_bool("detector_only", False, "Only find animals, humans, vehicles.")
_CLASSIFIER_ONLY = flags.DEFINE_bool(
    "classifier_only", False, "Only name species; with --detections_json, inside the boxes there."
)
_ENSEMBLE_ONLY = flags.DEFINE_bool(
    "ensemble_only",
    False,
    "Only decide, from --detections_json and --classifications_json; reads no image.",
)
_DETECTIONS_JSON = flags.DEFINE_string(
    "detections_json",
    None,
    "What a run with --detector_only, or MegaDetector's own tools, wrote.",
)
_CLASSIFICATIONS_JSON = flags.DEFINE_string(
    "classifications_json", None, "What a run with --classifier_only wrote."
)

_ENGINE = flags.DEFINE_string(
    "engine",
    "auto",
    "What runs the networks: auto (the fastest here), openvino, torch or tensorflow; two with a comma "
    "are the detector's and the classifier's.",
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "auto",
    ["auto", "fp32", "bf16", "fp16"],
    "Of the networks' numbers. auto: a lower one than fp32 where this machine has it and it decides the "
    "same on the first images.",
)
_DEVICE = flags.DEFINE_string(
    "device", None, "cpu, cuda, cuda:1, mps; the best there is without it."
)
_THREADS = flags.DEFINE_integer(
    "threads", None, "Processor threads of a network; all cores without it.", lower_bound=1
)
_READERS = flags.DEFINE_integer(
    "readers",
    None,
    "Threads or processes that read images; without it one a core, at most 8, or 32 threads for URLs.",
    lower_bound=1,
)
_PROFILE = flags.DEFINE_bool("profile", False, "Say in the end where the time went.")
_RUN_MODE = flags.DEFINE_enum(
    "run_mode",
    "multi_thread",
    list(RUN_MODES),
    "How images are read: beside the networks in threads or processes, or one after the other.",
)
_BYPASS_PROMPTS = flags.DEFINE_bool(
    "bypass_prompts", False, "Ask nothing and go on, as with yes to every question."
)

USAGE = """\
Finds and names the animals in camera-trap images.

  speciesnet --folders IMAGES --predictions_json OUT.json --country KEN

The same command again goes on where it stopped. Try it offline, without any
download, on the sample images that come with it:

  speciesnet --model demo --folders demo --predictions_json OUT.json
"""
TOPICS = {
    "input": (
        "which images, exactly one of these",
        ("folders", "folders_txt", "filepaths", "filepaths_txt", "instances_json", "shard"),
    ),
    "place": (
        "where they were taken",
        ("country", "admin1_region", "country_from_coordinates", "exif_gps", "geofence"),
    ),
    "output": (
        "where predictions go, and going on",
        ("predictions_json", "ignore_existing", "metadata"),
    ),
    "steps": (
        "detector, classifier and ensemble one at a time",
        (
            "detector_only",
            "classifier_only",
            "ensemble_only",
            "detections_json",
            "classifications_json",
        ),
    ),
    "model": ("which model", ("model", "target_species_txt")),
    "speed": (
        "what runs the networks, and how images are read",
        (
            "engine",
            "precision",
            "device",
            "threads",
            "batch_size",
            "readers",
            "run_mode",
            "profile",
        ),
    ),
    "planning": ("how long it will take", plan_flags.FLAGS),
    "running": (
        "progress, prompts, log",
        ("progress_bars", "bypass_prompts", "log_level", "version"),
    ),
}


def main() -> None:
    """Checks everything that can be wrong before the first image is read, then runs."""
    from speciesnet.geolocation import resolve_locations
    from speciesnet.instances import prepare_instances, take_shard
    from speciesnet.model import SpeciesNet
    from speciesnet.pipeline import PastResults
    from speciesnet.predictions.bucket import check_output
    from speciesnet.progress import Profile
    from speciesnet.run import Run, execute

    components = _components()
    _check_flags(components)
    path = _PREDICTIONS_JSON.value or ""
    if path:
        check_output(path)
    instances = prepare_instances(
        instances_json=_INSTANCES_JSON.value,
        filepaths=_split(_FILEPATHS.value),
        filepaths_txt=_FILEPATHS_TXT.value,
        folders=_split(_FOLDERS.value),
        folders_txt=_FOLDERS_TXT.value,
        country=run_flags.COUNTRY.value,
        admin1_region=run_flags.ADMIN1_REGION.value,
    )
    if _SHARD.value is not None:
        instances = take_shard(instances, _SHARD.value)
        if not instances:
            sys.stdout.write(f"No image falls into part {_SHARD.value}; nothing is written.\n")
            return
    model = SpeciesNet(
        _MODEL.value,
        components=components,
        geofence=run_flags.GEOFENCE.value,
        target_species_txt=run_flags.TARGET_SPECIES_TXT.value,
        engine=_ENGINE.value,
        precision=cast("Any", _PRECISION.value),
        device=_DEVICE.value,
        threads=_THREADS.value,
    )
    if components == "classifier" and _DETECTIONS_JSON.value is None:
        _confirm_without_detections(model)
    from_coordinates = _COUNTRY_FROM_COORDINATES.value
    instances = resolve_locations(instances, country_from_coordinates=from_coordinates)
    if plan_flags.DRY_RUN.value:
        _print_plan(model, instances, path)
        return
    run = Run(
        instances=instances,
        components=components,
        country=run_flags.COUNTRY.value,
        admin1_region=run_flags.ADMIN1_REGION.value,
        country_from_coordinates=from_coordinates,
        exif_gps=_EXIF_GPS.value,
        metadata=run_flags.METADATA.value,
        past=PastResults(
            _past_records(_DETECTIONS_JSON.value, instances),
            _past_records(_CLASSIFICATIONS_JSON.value, instances),
        ),
        input_files={
            "detections_json": _DETECTIONS_JSON.value,
            "classifications_json": _CLASSIFICATIONS_JSON.value,
        },
        predictions_json=path,
        ignore_existing=_IGNORE_EXISTING.value,
        run_mode=cast("RunMode", _RUN_MODE.value),
        batch_size=run_flags.BATCH_SIZE.value,
        readers=_READERS.value,
        progress_bars=run_flags.PROGRESS_BARS.value,
    )
    started = time.monotonic()
    profile = Profile()
    outcome = execute(run, model, profile)
    seconds = time.monotonic() - started
    print_summary(outcome.tally, outcome.earlier, seconds, path)
    if _PROFILE.value:
        _print_profile(profile, seconds)


def _print_plan(model: SpeciesNet, instances: Sequence[Instance], path: str) -> None:
    from speciesnet.predictions.reading import finished_images
    from speciesnet.scripts import planning

    paths = dict.fromkeys(instance.filepath for instance in instances)
    goes_on = path and not _IGNORE_EXISTING.value
    finished = finished_images(path) & paths.keys() if goes_on else set()
    left = [filepath for filepath in paths if filepath not in finished]
    rate = None
    if left and plan_flags.IMAGES_PER_SECOND.value is None:
        rate = planning.measure(
            model,
            left,
            run_mode=_RUN_MODE.value,
            batch_size=run_flags.BATCH_SIZE.value,
            readers=_READERS.value,
        )
    plan_flags.print_estimate(len(paths), len(finished), rate)


def _components() -> Components:
    switches: dict[Components, bool] = {
        "detector": _DETECTOR_ONLY.value,
        "classifier": _CLASSIFIER_ONLY.value,
        "ensemble": _ENSEMBLE_ONLY.value,
    }
    chosen: list[Components] = [name for name, on in switches.items() if on]
    if len(chosen) > 1:
        raise InputError(
            f"--{chosen[0]}_only and --{chosen[1]}_only exclude each other; give at most one of them."
        )
    return chosen[0] if chosen else "all"


def _check_flags(components: Components) -> None:
    plan_flags.check()
    if not _PREDICTIONS_JSON.value and not plan_flags.DRY_RUN.value:
        raise InputError("No output is given; add --predictions_json OUT.json.")
    if plan_flags.DRY_RUN.value and components != "all":
        raise InputError(
            f"--dry_run is for whole runs; leave --{components}_only out, or give the run itself."
        )
    wants = {
        "detections_json": components in ("classifier", "ensemble"),
        "classifications_json": components == "ensemble",
    }
    for name, wanted in wants.items():
        given = flags.FLAGS[name].value is not None
        if components == "ensemble" and not given:
            raise InputError(
                f"--ensemble_only needs --detections_json and --classifications_json; add --{name}."
            )
        if given and not wanted:
            raise InputError(
                f"--{name} is the input of a later step and this run makes its own; leave it out, or "
                "add --classifier_only or --ensemble_only."
            )


def _split(text: str | None) -> list[str] | None:
    from speciesnet.instances import split_paths

    return None if text is None else split_paths(text)


def _past_records(path: str | None, instances: Sequence[Instance]) -> Mapping[str, Record]:
    from speciesnet.predictions.lookup import RecordsByFile

    return {} if path is None else RecordsByFile(path, (i.filepath for i in instances))


def _confirm_without_detections(model: SpeciesNet) -> None:
    """A model trained on crops sees whole images badly: that should be no accident."""
    if not model.model_info.always_crops or _BYPASS_PROMPTS.value:
        return
    warning = (
        f"The model {model.model_info.model_name} was trained on animals cut out of their images, and "
        "without --detections_json it sees whole images"
    )
    if not sys.stdin.isatty():
        raise InputError(
            f"{warning}; give --detections_json, or --bypass_prompts to go on all the same."
        )
    sys.stderr.write(f"{warning}.\nGo on all the same? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InputError("Nothing was done; run --detector_only first and give --detections_json.")


def _print_profile(profile: Profile, seconds: float) -> None:
    lines = [f"Of {seconds:.1f} s (what runs side by side is counted apart):"]
    for what, spent in profile.seconds.items():
        lines.append(f"{spent:>10.1f} s  {what}")
    sys.stdout.write("\n".join(lines) + "\n")


def cli() -> None:
    """The console command."""
    sys.exit(console.run(main, sys.argv, lambda topic: console.topics_help(USAGE, TOPICS, topic)))
