"""A run: its images, its output and its settings, and the one function that executes it.

The command line, the Python API, the server and the cluster describe a run with ``Run``. On one
machine, ``execute`` carries it out; a server's workers and a cluster's stages, which receive their
images differently, call ``decide`` for each image. So records are made in only one place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import cast

from absl import logging

from speciesnet.errors import InputError
from speciesnet.files.input_notes import counted, plural
from speciesnet.files.packages.info import ModelInfo
from speciesnet.pipeline import Photo
from speciesnet.pipeline.earlier_steps import (
    has_failed_detections,
    lacks_classes,
    without_detections,
)
from speciesnet.pipeline.films import split_films, with_frames
from speciesnet.pipeline.findings import Findings, noted
from speciesnet.pipeline.guard.guards import Guards
from speciesnet.pipeline.guard.ledger import Ledger
from speciesnet.pipeline.progress import Profile, ProgressBars
from speciesnet.predictions.bucket import open_predictions
from speciesnet.predictions.file import PredictionsList
from speciesnet.predictions.format5 import Form, to_format5
from speciesnet.predictions.lookup import RecordsByFile
from speciesnet.predictions.settings import add_to_settings
from speciesnet.predictions.tally import Tally
from speciesnet.records import Record
from speciesnet.records.boxes import BoxSelection
from speciesnet.run.deciding import (
    decide,
    decide_film,
    elsewhere,
    guards_of,
    guards_of_output,
    photos_of,
    place_of,
)
from speciesnet.run.description import DETECTIONS, STAGES, Model, Output, Run
from speciesnet.run.flaws import KeptFlaws

__all__ = [
    "DETECTIONS",
    "STAGES",
    "Model",
    "Outcome",
    "Output",
    "Run",
    "decide",
    "decide_film",
    "execute",
    "guards_of",
    "notes_on_thresholds",
    "photos_of",
    "place_of",
]


@dataclass(frozen=True)
class Outcome:
    """The result of a run.

    Attributes:
        tally: Counts of all records of the output.
        earlier: How many of them were finished before this run.
        records: One record for each instance, in order; None if they were written to a file.
        notes: Sentences that the user should read about the results; they are also in the log.
        lasting: How many images fail again if the run is repeated; None if that is unknown.
    """

    tally: Tally
    earlier: int = 0
    records: list[Record] | None = None
    notes: Sequence[str] = ()
    lasting: int | None = None

    def check(self) -> None:
        """Raises ``InputError`` if none of the images has a result."""
        if self.tally.images and self.tally.failed == self.tally.images:
            many = f"All {self.tally.images} images"
            everything = plural(self.tally.images, "The only image", many)
            raise InputError(
                f"{everything} failed. Fix the cause, which the log names, and run the "
                "same command again."
            )


def execute(run: Run, model: Model, profile: Profile | None = None) -> Outcome:
    """Predicts the images that are still missing from the output of a run.

    Args:
        run: The run.
        model: Its networks and rules.
        profile: Collects the seconds spent in each stage.

    Raises:
        InputError: An option or a past result is invalid.
        ModelError: A network cannot be loaded.
        OutputError: The output cannot be written, or belongs to another run.
        KeyboardInterrupt: The user interrupted the run; the message says how to continue.
    """
    if not model.model_info.always_crops:
        run = replace(run, boxes=None)  # it classifies none
    form = _form(run, model.model_info)
    if run.thresholds is not None:
        run.thresholds.check_names(model.ensemble.labels)
    if run.predictions_json is None:
        results = PredictionsList(run.instances)
        found = _fill(run, model, results, profile or Profile())
        found.notes += notes_on_thresholds(run, results.tally)
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
                    "%d of %s %s already done.", earlier, images, plural(earlier, "was", "were")
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
        if run.country_from_coordinates and output.tally.placeless.count:
            found.notes.append(noted(str(output.tally.placeless)))
        found.notes += notes_on_thresholds(run, output.tally)
    return Outcome(output.tally, earlier, notes=found.notes, lasting=found.lasting)


def notes_on_thresholds(run: Run, tally: Tally) -> list[str]:
    """A sentence on the images whose answers were replaced, if there are any."""
    below = tally.below_threshold
    if run.thresholds is None or not below:
        return []
    return [noted(run.thresholds.note_on_images(below))]


def _form(run: Run, model_info: ModelInfo) -> Form | None:
    """How the run writes format 5; None for format 4."""
    if run.output_format == 4:
        return None
    crops = model_info.always_crops
    if crops and run.components == "classifier" and not run.past.detections:
        raise InputError(
            "Format 5 contains the classes of boxes, and this run has none; use --detections_json, or "
            "leave out --output_format 5."
        )
    count = run.max_classifications_per_detection
    if run.components == "classifier":
        count = run.num_classes  # the ensemble needs them
    return Form(count, run.boxes or BoxSelection(), whole_image=not crops)


def _fill(run: Run, model: Model, output: Output, profile: Profile) -> Findings:
    """Predicts the missing images, and returns notes on them for the user."""
    findings, flaws, ledger = Findings(), KeptFlaws(output), Ledger(output.path)
    for path, flaw in flaws:
        findings.add_flawed(path, flaw)
    for records in (run.past.detections, run.past.classifications):
        if isinstance(records, RecordsByFile):
            findings.notes += records.notes
    findings.notes += output.notes
    guards = guards_of_output(run, model, output, ledger, profile)
    if output.pending or (guards and guards.has_unsettled):
        _predict(run, model, output, guards, findings, flaws, profile)
    ledger.delete()
    findings.finish()
    return findings


def _predict(
    run: Run,
    model: Model,
    output: Output,
    guards: Guards | None,
    findings: Findings,
    flaws: KeptFlaws,
    profile: Profile,
) -> None:
    paths = output.pending
    has_ensemble = "Ensemble" in STAGES[run.components]

    def decided(*photos: Photo) -> list[Record]:
        ensemble = model.ensemble if has_ensemble else None
        instances = output.instances_of(photos[0].filepath)
        return [decide_film(photos, i, run, ensemble) for i in instances]

    if _needs_boxes(run, model):
        detections = run.past.detections
        lacking = dict.fromkeys(without_detections(paths, detections))
        whole = [path for path in paths if has_failed_detections(path, detections)]
        for path in lacking:
            output.write(decided(Photo(path)))
        paths = [path for path in paths if path not in lacking]
        findings.add_undetected([*lacking], whole, run.input_files[DETECTIONS] or "")
    with profile.timing("loading"):
        if guards is None:
            model.quantize(run.components, split_films(paths)[0])
            model.load(run.components)
        else:
            guards.load()
    total = None if run.has_films else len(paths)  # how many frames there are is not known yet
    with (
        flaws,
        ProgressBars(STAGES[run.components], total, run.progress_bars) as bars,
        closing(photos_of(run, model, guards, paths, bars.update, profile)) as photos,
    ):
        for frames in with_frames(photos):
            photo = frames[-1]
            findings.add(
                photo,
                lacks_classes=run.output_format == 4 and lacks_classes(photo, run.past),
                is_past=run.components == "ensemble",
                keeps_date=run.metadata,
            )
            with profile.timing("deciding"):
                records = decided(*frames)
            with profile.timing("writing"):
                output.write(records)
            flaws.add(photo)
            if has_ensemble:
                for instance in output.instances_of(photo.filepath):
                    findings.add_place(instance, elsewhere(photo, instance, run))
                bars.update("Ensemble", len(frames))
        if guards is not None:
            findings.notes += _settled(guards, output, decided)


def _needs_boxes(run: Run, model: Model) -> bool:
    """Whether a classifier of crops needs the boxes in a file, so that it must not get whole images."""
    is_given = run.input_files.get(DETECTIONS) is not None
    return run.components == "classifier" and is_given and model.model_info.always_crops


def _settled(guards: Guards, output: Output, decided: Callable[..., list[Record]]) -> list[str]:
    """Processes finished images again, in float32, if a wider band has reached them.

    Returns:
        A note on how the images were processed, which is also in the settings of the output.
    """
    if paths := guards.reached(output.finished):
        output.replace(paths)
        for frames in with_frames(guards.again(paths)):
            output.write(decided(*frames))
    guards.keep_evidence()
    if not guards.used and not guards.replaced:
        return []
    if output.path is not None:
        add_to_settings(output.path, "precision", guards.as_dict())
    return [guards.decided.summary()]
