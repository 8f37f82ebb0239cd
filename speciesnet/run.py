"""One run: what it predicts, into which output, and how; and the one function that executes it.

The command line, the Python API, the server and the cluster describe a run with ``Run``. On one machine
``execute`` carries it out; a server's workers and a cluster's stages, which get their images in other
ways, call ``decide`` for each of them. So a record is made in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace
from typing import Protocol, cast

from absl import logging

from speciesnet import pipeline
from speciesnet.boxes import CLASSIFIED_FROM, BoxSelection
from speciesnet.classifier import SpeciesNetClassifier
from speciesnet.constants import (
    RUN_MODES,
    TOP_CLASSES,
    Classify,
    Components,
    Failure,
    OutputFormat,
    RunMode,
)
from speciesnet.detector import SpeciesNetDetector
from speciesnet.ensemble import SpeciesNetEnsemble
from speciesnet.errors import InputError
from speciesnet.files.input_notes import counted, plural
from speciesnet.geolocation import with_coordinates
from speciesnet.packages.info import ModelInfo
from speciesnet.pipeline import PastResults, Photo
from speciesnet.pipeline.earlier_steps import (
    has_failed_detections,
    lacks_classes,
    past_errors,
    without_detections,
)
from speciesnet.pipeline.findings import Findings
from speciesnet.predictions.bucket import open_predictions
from speciesnet.predictions.file import PredictionsList
from speciesnet.predictions.format5 import DEFAULT_CLASSES, Form, to_format5
from speciesnet.predictions.lookup import RecordsByFile
from speciesnet.predictions.settings import RunSettings
from speciesnet.progress import Profile, ProgressBars
from speciesnet.records import Box, Instance, Record, Tally, make_record

STAGES: dict[Components, tuple[str, ...]] = {
    "all": ("Detector", "Classifier", "Ensemble"),
    "detector": ("Detector",),
    "classifier": ("Classifier",),
    "ensemble": ("Ensemble",),
}
DETECTIONS = "detections_json"  # the flag of a file with the results of the detector
TRIAL_IMAGES = 16
WORTH_A_TRIAL = 100  # images; with fewer, a trial takes more time than it saves


@dataclass(frozen=True, kw_only=True)
class Run:
    """The description of a run.

    Attributes:
        instances: The images, with their places as ``resolve_locations`` returns them.
        components: "all", or the one step to run: "detector", "classifier" or "ensemble".
        country: The country given for all images, ISO 3166-1 alpha-3, or None.
        admin1_region: The state or province given for all images, or None.
        country_from_coordinates: Whether countries are looked up from coordinates.
        exif_gps: Whether images without a position take it from their EXIF.
        metadata: Whether records keep date, position and camera from EXIF.
        boxes: The boxes that get answers of their own; None answers for each image only.
        past: Results of earlier steps, for runs of the classifier or the ensemble alone.
        input_files: Files that the answers depend on, by the flag that names them.
        predictions_json: Path or URL of the output file; None keeps the records in memory.
        ignore_existing: Whether to start over, keeping an existing output file as ``*.bak``.
        output_format: The format of the records in the output.
        max_classifications_per_detection: In format 5, how many classes of a box at most; None is all.
        run_mode: How images are read and networks run; see ``pipeline.run``.
        batch_size: Images that a network takes together.
        readers: Threads or processes that read images; None chooses.
        progress_bars: Whether to show progress bars.

    Raises:
        InputError: ``components``, ``run_mode``, ``batch_size`` or ``readers`` is invalid.
    """

    instances: Sequence[Instance] = ()
    components: Components = "all"
    country: str | None = None
    admin1_region: str | None = None
    country_from_coordinates: bool = False
    exif_gps: bool = False
    metadata: bool = False
    boxes: BoxSelection | None = None
    past: PastResults = field(default_factory=PastResults)
    input_files: Mapping[str, str | None] = field(default_factory=dict)
    predictions_json: str | None = None
    ignore_existing: bool = False
    output_format: OutputFormat = 4
    max_classifications_per_detection: int | None = DEFAULT_CLASSES
    run_mode: RunMode = "multi_thread"
    batch_size: int = 8
    readers: int | None = None
    progress_bars: bool = False

    def __post_init__(self) -> None:
        if self.components not in STAGES:
            raise InputError(f"components is {self.components!r}; it must be {', '.join(STAGES)}.")
        if self.run_mode not in RUN_MODES:
            raise InputError(
                f"run_mode is {self.run_mode!r}; it must be one of {', '.join(RUN_MODES)}."
            )
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; it must be at least 1.")
        if self.readers is not None and self.readers < 1:
            raise InputError(f"readers is {self.readers}; it must be at least 1.")

    @property
    def num_classes(self) -> int | None:
        """How many classes the classifier returns, for the output and the rules; None is all."""
        count = self.max_classifications_per_detection
        if self.output_format == 4:
            return TOP_CLASSES
        return None if count is None else max(count, TOP_CLASSES)


def selected_boxes(
    classify: Classify, threshold: float | None = None, limit: int | None = None
) -> BoxSelection | None:
    """The boxes that get answers of their own; None for "best".

    Args:
        classify: "best" or "all".
        threshold: The lowest confidence of such a box; None is ``CLASSIFIED_FROM``.
        limit: How many boxes of an image at most; None or a negative number is all.

    Raises:
        InputError: An argument is invalid, or "best" is given with a threshold or a limit.
    """
    if classify not in ("best", "all"):
        raise InputError(f"classify is {classify!r}; it must be best or all.")
    if threshold is not None and not 0 <= threshold <= 1:
        raise InputError(
            f"detection_threshold_for_classification is {threshold}; it must be from 0 to 1."
        )
    if classify == "best":
        if threshold is not None or limit is not None:
            raise InputError(
                "detection_threshold_for_classification and max_classifications_per_image choose boxes, "
                "but only images get answers; add classify all, or leave them out."
            )
        return None
    at_most = None if limit is None or limit < 0 else limit
    return BoxSelection(CLASSIFIED_FROM if threshold is None else threshold, at_most)


class Model(Protocol):
    """What a run needs of a model; ``SpeciesNet`` provides it."""

    @property
    def model_info(self) -> ModelInfo:
        """Its package."""
        ...

    @property
    def detector(self) -> SpeciesNetDetector:
        """The detector, loaded on first use."""
        ...

    @property
    def classifier(self) -> SpeciesNetClassifier:
        """The classifier, loaded on first use."""
        ...

    @property
    def ensemble(self) -> SpeciesNetEnsemble:
        """The ensemble, loaded on first use."""
        ...

    def run_settings(self, run: Run) -> RunSettings:
        """What two runs must share to write into one file."""
        ...

    def choose_precision(
        self, components: Components, trial: Callable[[], list[Record]] | None
    ) -> None:
        """Settles the precision of the networks, by a trial where one is given and needed."""
        ...

    def quantize(self, components: Components, paths: Sequence[str]) -> None:
        """With ``precision="int8"``, makes the networks that a run needs, from its photographs."""
        ...

    def load(self, components: Components) -> None:
        """Loads the networks that a run needs."""
        ...


class Output(Protocol):
    """Where the records of a run go: a file on a disk or in a bucket, or a list in memory."""

    @property
    def tally(self) -> Tally:
        """Counts of its records, those of earlier runs included."""
        ...

    @property
    def pending(self) -> list[str]:
        """Images without a finished record, once each, in the order of the instances."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about the output for the end of the run."""
        ...

    def instances_of(self, filepath: str) -> list[Instance]:
        """The instances that share a path: more than one if it was given more than once."""
        ...

    def write(self, records: Sequence[Record]) -> None:
        """Adds the records of all instances of one image."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What a run has done.

    Attributes:
        tally: Counts of all records of the output.
        earlier: How many of them were finished before this run.
        records: One record for each instance, in order; None where they went into a file.
        notes: Sentences on what the user should know about the results; they are in the log as well.
        lasting: How many images fail again if the run is repeated; None if that is unknown.
    """

    tally: Tally
    earlier: int = 0
    records: list[Record] | None = None
    notes: Sequence[str] = ()
    lasting: int | None = None

    def check(self) -> None:
        """Raises ``InputError`` if not a single image of the run has a result."""
        if self.tally.images and self.tally.failed == self.tally.images:
            many = f"All {self.tally.images} images"
            everything = plural(self.tally.images, "The only image", many)
            raise InputError(
                f"{everything} failed. Fix the cause, which the log names, and run the "
                "same command again."
            )


def execute(run: Run, model: Model, profile: Profile | None = None) -> Outcome:
    """Predicts the images that the output of a run still lacks.

    Args:
        run: The run.
        model: Its networks and rules.
        profile: Collects the seconds of each stage.

    Raises:
        InputError: An option or a past result is invalid.
        ModelError: A network cannot be loaded.
        OutputError: The output cannot be written, or belongs to another run.
        KeyboardInterrupt: The user interrupted the run; the message says how to continue.
    """
    if not model.model_info.always_crops:
        run = replace(run, boxes=None)  # it classifies none
    form = _form(run, model.model_info)
    if run.predictions_json is None:
        results = PredictionsList(run.instances)
        found = _fill(run, model, results, profile or Profile())
        records = results.records
        if form is not None:
            records = [cast("Record", to_format5(record, form)) for record in records]
        return Outcome(results.tally, records=records, notes=found.notes, lasting=found.lasting)
    output = open_predictions(
        run.predictions_json,
        run.instances,
        model.run_settings(run),
        ignore_existing=run.ignore_existing,
        form=form,
    )
    try:
        with output:
            earlier = output.tally.images
            if earlier:
                images = counted(len(run.instances), "image")
                logging.info(
                    "%d of %s %s done before.", earlier, images, plural(earlier, "was", "were")
                )
            found = _fill(run, model, output, profile or Profile())
    except KeyboardInterrupt:
        without = ", without --ignore_existing," if run.ignore_existing else ""
        raise KeyboardInterrupt(
            f"{output.tally.images} of {counted(len(run.instances), 'image')} "
            f"{plural(output.tally.images, 'is', 'are')} in {run.predictions_json}. Run "
            f"the same command again{without} to continue."
        ) from None
    if "Ensemble" in STAGES[run.components]:
        found.notes += model.ensemble.notes(output.tally.countries)
    return Outcome(output.tally, earlier, notes=found.notes, lasting=found.lasting)


def _form(run: Run, model_info: ModelInfo) -> Form | None:
    """How the run writes format 5; None for format 4."""
    if run.output_format == 4:
        return None
    crops = model_info.always_crops
    if crops and run.components == "classifier" and not run.past.detections:
        raise InputError(
            "Format 5 contains the classes of boxes, and this run has none; give --detections_json, or "
            "leave out --output_format 5."
        )
    count = run.max_classifications_per_detection
    if run.components == "classifier":
        count = run.num_classes  # the ensemble needs them
    return Form(count, run.boxes or BoxSelection(), whole_image=not crops)


def _fill(run: Run, model: Model, output: Output, profile: Profile) -> Findings:
    """Predicts the missing images, and returns what the user should know about them."""
    past, findings = (run.past.detections, run.past.classifications), Findings()
    for records in past:
        if isinstance(records, RecordsByFile):
            findings.notes += records.notes
    findings.notes += output.notes
    paths = output.pending
    if not paths:
        return findings
    has_ensemble = "Ensemble" in STAGES[run.components]

    def decided(photo: Photo) -> list[Record]:
        ensemble = model.ensemble if has_ensemble else None
        return [decide(photo, i, run, ensemble) for i in output.instances_of(photo.filepath)]

    def trial() -> list[Record]:
        with _photos(run, model, paths[:TRIAL_IMAGES]) as photos:
            return [decided(photo)[0] for photo in photos]

    if _needs_boxes(run, model):
        detections, source = run.past.detections, run.input_files[DETECTIONS] or ""
        lacking = dict.fromkeys(without_detections(paths, detections))
        whole = [path for path in paths if has_failed_detections(path, detections)]
        for path in lacking:
            output.write(decided(Photo(path)))
        paths = [path for path in paths if path not in lacking]
        findings.add_undetected([*lacking], whole, source)
    if run.components != "ensemble":
        model.choose_precision(run.components, trial if len(paths) >= WORTH_A_TRIAL else None)
        model.quantize(run.components, paths)
    with profile.timing("loading"):
        model.load(run.components)
    with (
        ProgressBars(STAGES[run.components], len(paths), run.progress_bars) as bars,
        _photos(run, model, paths, bars.update, profile) as photos,
    ):
        for photo in photos:
            is_unclassified = run.output_format == 4 and lacks_classes(photo, run.past)
            is_past = run.components == "ensemble"
            findings.add(photo, lacks_classes=is_unclassified, is_past=is_past)
            with profile.timing("deciding"):
                records = decided(photo)
            with profile.timing("writing"):
                output.write(records)
            if has_ensemble:
                bars.update("Ensemble")
    findings.finish()
    return findings


def _needs_boxes(run: Run, model: Model) -> bool:
    """Whether a classifier of crops must get the boxes of a file, and so no whole images instead."""
    is_given = run.input_files.get(DETECTIONS) is not None
    return run.components == "classifier" and is_given and model.model_info.always_crops


def _photos(
    run: Run,
    model: Model,
    paths: Sequence[str],
    progress: pipeline.Progress = pipeline.no_progress,
    profile: Profile | None = None,
) -> AbstractContextManager[Generator[Photo, None, None]]:
    return closing(
        pipeline.run(
            paths,
            detector=model.detector if run.components in ("all", "detector") else None,
            classifier=model.classifier if run.components in ("all", "classifier") else None,
            past=run.past,
            boxes=run.boxes,
            num_classes=run.num_classes,
            run_mode=run.run_mode,
            batch_size=run.batch_size,
            readers=run.readers,
            progress=progress,
            profile=profile,
        )
    )


def decide(
    photo: Photo, instance: Instance, run: Run, ensemble: SpeciesNetEnsemble | None
) -> Record:
    """Makes the record of an image that has passed the last stage.

    Args:
        photo: The image with what the stages found.
        instance: The image as it was given, after ``resolve_locations``.
        run: The run; its components and its choices about EXIF count here.
        ensemble: The rules; may be None in a run of the detector or the classifier alone.

    Raises:
        InputError: Past detections or classifications are malformed.
    """
    if run.exif_gps and photo.metadata:
        instance = with_coordinates(
            instance,
            photo.metadata.latitude,
            photo.metadata.longitude,
            country_from_coordinates=run.country_from_coordinates,
        )
    record = _answer(photo, instance, run, ensemble)
    if run.metadata and photo.metadata:
        record["metadata"] = photo.metadata.as_dict()
    return record


def _answer(
    photo: Photo, instance: Instance, run: Run, ensemble: SpeciesNetEnsemble | None
) -> Record:
    components, is_format5 = run.components, run.output_format == 5
    if components == "detector":
        failures = [Failure.DETECTOR] if photo.detections is None else []
        return make_record(photo.filepath, failures, detections=photo.detections)
    if components == "classifier":
        failures = [Failure.CLASSIFIER] if photo.classifications is None else []
        record = make_record(
            photo.filepath,
            failures,
            classifications=photo.classifications,
            detections=_with_classes(photo, always=is_format5 and run.boxes is not None),
        )
        if photo.mirrored is not None:  # the ensemble reads no image, so it could not know
            record["orientation"] = photo.mirrored
        return record
    assert ensemble is not None
    is_past = components == "ensemble"  # what this run found itself is not malformed
    with past_errors(photo.filepath) if is_past else nullcontext():
        return ensemble.combine_one(
            photo.filepath,
            photo.classifications,
            photo.detections,
            instance.location,
            photo.box_classifications,
            top=TOP_CLASSES if is_format5 else None,
        )


def _with_classes(photo: Photo, *, always: bool) -> list[Box] | None:
    """The detections with the classes of single boxes; None if no box has any, unless ``always``."""
    found = photo.box_classifications
    if photo.detections is None or not (found or always):
        return None
    return [
        {**box, "classifications": found[position]} if position in found else box
        for position, box in enumerate(photo.detections)
    ]
