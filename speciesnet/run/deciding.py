"""Makes the record of an image from the results of the stages, and sets up the guard."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import nullcontext
from dataclasses import replace

from speciesnet import pipeline
from speciesnet.constants import (
    TOP_CLASSES,
    Failure,
)
from speciesnet.ensemble import SpeciesNetEnsemble
from speciesnet.ensemble.geofence import Rules
from speciesnet.geolocation import contradicted_by, with_coordinates
from speciesnet.images.films import Sampling
from speciesnet.pipeline import Photo
from speciesnet.pipeline.earlier_steps import past_errors
from speciesnet.pipeline.films import in_turn, split_films
from speciesnet.pipeline.guard.cache import EvidenceCache
from speciesnet.pipeline.guard.guard import Guard
from speciesnet.pipeline.guard.guards import Guards
from speciesnet.pipeline.guard.ledger import Ledger
from speciesnet.pipeline.guard.passes import Passes
from speciesnet.pipeline.guard.stability import Decisions, Place
from speciesnet.pipeline.guard.upgrade import LONG_RUN, upgrade_for
from speciesnet.pipeline.networks import ReducedNetworks
from speciesnet.pipeline.progress import Profile
from speciesnet.pipeline.reading import readers_for
from speciesnet.records import Box, Instance, Record, make_record
from speciesnet.run.description import STAGES, Model, Output, Run, networks_of
from speciesnet.run.films import film_record


def decide(
    photo: Photo, instance: Instance, run: Run, ensemble: SpeciesNetEnsemble | None
) -> Record:
    """Makes the record of an image that has passed the last stage.

    Args:
        photo: The image with the results of the stages.
        instance: The instance of the image, after ``resolve_locations``.
        run: The run; only its components, EXIF options and thresholds are used.
        ensemble: The rules; may be None in a run with only the detector or the classifier.

    Raises:
        InputError: Past detections or classifications are malformed.
    """
    return _with_thresholds(_decided(photo, instance, run, ensemble), run)


def _decided(
    photo: Photo, instance: Instance, run: Run, ensemble: SpeciesNetEnsemble | None
) -> Record:
    record = _answer(photo, _located(photo, instance, run), run, ensemble)
    if run.metadata and photo.metadata:
        record["metadata"] = photo.metadata.as_dict()
    return record


def _with_thresholds(record: Record, run: Run) -> Record:
    return record if run.thresholds is None else run.thresholds.apply(record)


def decide_film(
    photos: Sequence[Photo], instance: Instance, run: Run, ensemble: SpeciesNetEnsemble | None
) -> Record:
    """Makes the record of a film from its frames, or that of a single photograph; see ``decide``."""
    records = [_decided(photo, instance, run, ensemble) for photo in photos]
    is_film = photos[0].frame is not None
    return _with_thresholds(film_record(photos, records, ensemble) if is_film else records[0], run)


def place_of(photo: Photo, instance: Instance, run: Run) -> Place:
    """The country and the region whose rules apply to an image."""
    location = _located(photo, instance, run).location
    return location.get("country"), location.get("admin1_region")


def elsewhere(photo: Photo, instance: Instance, run: Run) -> str | None:
    """The country of an image's coordinates, if the rules of a different country apply to it."""
    found = _located(photo, instance, run)
    point = found.latitude, found.longitude
    if None in point and photo.metadata:  # the run does not take EXIF positions as locations
        point = photo.metadata.latitude, photo.metadata.longitude
    return contradicted_by(found.country, *point)


def _located(photo: Photo, instance: Instance, run: Run) -> Instance:
    if not run.exif_gps or not photo.metadata:
        return instance
    return with_coordinates(
        instance,
        photo.metadata.latitude,
        photo.metadata.longitude,
        country_from_coordinates=run.country_from_coordinates,
    )


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
    """The detections with the classes of individual boxes; None if no box has any, unless ``always``."""
    found = photo.box_classifications
    if photo.detections is None or not (found or always):
        return None
    return [
        {**box, "classifications": found[position]} if position in found else box
        for position, box in enumerate(photo.detections)
    ]


def guards_of_output(
    run: Run, model: Model, output: Output, ledger: Ledger, profile: Profile
) -> Guards | None:
    """The guards that keep float32's decisions in a lower precision, if one is faster."""

    def places_of(photo: Photo) -> set[Place]:
        return {place_of(photo, i, run) for i in output.instances_of(photo.filepath)}

    paths = output.pending if run.films is None else split_films(output.pending)[0]
    return guards_of(run, model, places_of, ledger, paths, profile)


def guards_of(
    run: Run,
    model: Model,
    places_of: Callable[[Photo], Collection[Place]],
    ledger: Ledger | None = None,
    paths: Sequence[str] | None = None,
    profile: Profile | None = None,
) -> Guards | None:
    """The guards that keep float32's decisions in a lower precision; None if none is faster.

    Args:
        run: The run.
        model: Its networks and rules.
        places_of: Where an image was taken.
        ledger: Keeps the margins of finished images.
        paths: The photographs of the run, for trials that determine what is faster; without them, only
            earlier runs are considered.
        profile: Collects the seconds spent in each stage.
    """
    if run.components == "ensemble":
        return None
    passes = _passes_of(run, model, places_of, paths, profile)
    ledger = Ledger() if ledger is None else ledger

    def guard_with(lower: ReducedNetworks) -> Guard | None:
        key = model.precision_key(lower, run.components)
        rules = () if run.thresholds is None else (run.thresholds.by_name,)
        cache = EvidenceCache(*key, run.components, run.boxes, *rules)
        return Guard.resumed(passes, model.networks, lower, cache, ledger)

    def guard_in_int8() -> Guard | None:
        made = [lower for lower in model.networks.reduced(names) if lower.calibrations]
        return guard_with(made[0]) if made else None

    names = networks_of(run.components) if model.can_be_guarded else []
    found = [guard_with(lower) for lower in model.networks.reduced(names)]
    candidates = [guard for guard in found if guard and (guard.is_fast or paths is not None)]
    if all(guard.is_fast for guard in candidates):
        candidates.sort(key=lambda guard: guard.cost)
    upgrade = None
    if paths is not None and len(paths) >= LONG_RUN and run.shard is None:
        lacking = model.networks.lacking_int8(names)
        upgrade = upgrade_for(model.networks.options, lacking, guard_in_int8)
    if not candidates and upgrade is None and not ledger.has_unsettled:
        return None
    return Guards(passes, model.networks, ledger, candidates, upgrade)


def _passes_of(
    run: Run,
    model: Model,
    places_of: Callable[[Photo], Collection[Place]],
    paths: Sequence[str] | None,
    profile: Profile | None,
) -> Passes:
    def rules_at(country: str | None) -> Rules:
        rules = model.ensemble.rules_at(country)
        return replace(rules, enforce_thresholds=enforce) if enforce else rules

    enforce = run.thresholds and run.thresholds.enforce
    crops, stages = model.model_info.always_crops, STAGES[run.components]
    readers = run.readers or (readers_for(paths, run.run_mode) if paths else None)
    return Passes(
        Decisions(rules_at, places_of, run.boxes, crops),
        has_detector="Detector" in stages,
        has_classifier="Classifier" in stages,
        past=run.past,
        films=run.films,
        num_classes=run.num_classes,
        run_mode=run.run_mode,
        batch_size=run.batch_size,
        readers=readers,
        profile=profile,
    )


def photos_of(
    run: Run,
    model: Model,
    guards: Guards | None,
    paths: Sequence[str],
    progress: pipeline.Progress = pipeline.no_progress,
    profile: Profile | None = None,
) -> Generator[Photo, None, None]:
    """Passes images through the stages of a run, with its guards if there are any; films come last."""

    def photos(paths: Sequence[str], *, films: bool) -> Generator[Photo, None, None]:
        if guards is None:
            return _photos_of(run, model, paths, progress, profile, run.films if films else None)
        return guards.films(paths, progress) if films else guards.photos(paths, progress)

    yield from in_turn(paths, photos) if run.films is not None else photos(paths, films=False)


def _photos_of(
    run: Run,
    model: Model,
    paths: Sequence[str],
    progress: pipeline.Progress,
    profile: Profile | None,
    films: Sampling | None = None,
) -> Generator[Photo, None, None]:
    networks = model.networks
    return pipeline.run(
        paths,
        films=films,
        detector=networks.detector if run.components in ("all", "detector") else None,
        classifier=networks.classifier if run.components in ("all", "classifier") else None,
        past=run.past,
        boxes=run.boxes,
        num_classes=run.num_classes,
        run_mode=run.run_mode,
        batch_size=run.batch_size,
        readers=run.readers,
        progress=progress,
        profile=profile,
    )
