"""SpeciesNet: detect, classify, decide, or all of it, over the pipeline."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cached_property
from typing import Any, Literal, TypedDict

import numpy as np
from absl import logging
from typing_extensions import Unpack

from speciesnet import pipeline
from speciesnet.classifier import SpeciesNetClassifier
from speciesnet.constants import RUN_MODES, Components, Failure, RunMode
from speciesnet.detector import SpeciesNetDetector
from speciesnet.engines import (
    PRECISIONS,
    EngineOptions,
    Precision,
    engine_of_each_stage,
    reduced_precision,
)
from speciesnet.engines.precision import (
    NEEDED_IMAGES,
    TRIAL_IMAGES,
    WORTH_A_TRIAL,
    Difference,
    Verdict,
    first_difference,
)
from speciesnet.ensemble import (
    PredictionCombiner,
    SpeciesNetEnsemble,
    combine_predictions_for_single_item,
)
from speciesnet.errors import InputError
from speciesnet.files.storage import sha256
from speciesnet.instances import (
    COLUMNS,
    Instance,
    at_position,
    prepare_instances,
    resolve_locations,
)
from speciesnet.metadata import PhotoMetadata
from speciesnet.packages.info import ModelInfo
from speciesnet.pipeline import Photo
from speciesnet.predictions.bucket import open_predictions
from speciesnet.predictions.file import PredictionsFile, PredictionsList
from speciesnet.predictions.layout import encode_record
from speciesnet.predictions.settings import RunSettings
from speciesnet.profile import Profile
from speciesnet.progress import ProgressBars
from speciesnet.records import Record, answer_of, make_record

Predictions = dict[str, list[Record]]
PastRecords = Mapping[str, Record]

_STAGES: dict[Components, tuple[str, ...]] = {
    "all": ("Detector", "Classifier", "Ensemble"),
    "detector": ("Detector",),
    "classifier": ("Classifier",),
    "ensemble": ("Ensemble",),
}


class RunOptions(TypedDict, total=False):
    """Keyword arguments of every verb of ``SpeciesNet``; exactly one of the first six.

    Attributes:
        instances_dict: ``{"instances": [{"filepath": ..., "country": ...}, ...]}``.
        instances_json: A JSON file that holds the same.
        filepaths: Images.
        filepaths_txt: A file with one image a line.
        folders: Folders, searched for images at any depth.
        folders_txt: A file with one folder a line.
        country: ISO 3166-1 alpha-3 code of all images.
        admin1_region: State or province of all images; needs a country.
        run_mode: ``multi_thread`` (default), ``multi_process`` or ``single_thread``.
        batch_size: Images that a network takes at once (default 8).
        readers: Threads or processes that read images; None is as many as there are cores, at most 8,
            or more where images come over a network.
        progress_bars: Whether to show them (default False).
        profile: Where the seconds of each stage are added up.
        predictions_json: File to write, on a disk or in a bucket, which a later run goes on with; the
            default answers a dict.
        ignore_existing: Begins that file anew and keeps the old one as ``*.bak`` (default False).
        country_from_coordinates: Looks missing countries up, and corrects wrong ones (default False).
        exif_gps: Takes the position of images that have none from their EXIF (default False).
        metadata: Records keep date, position and camera from EXIF as ``metadata`` (default False).
    """

    instances_dict: Mapping[str, Any] | None
    instances_json: str | None
    filepaths: Sequence[str] | None
    filepaths_txt: str | None
    folders: Sequence[str] | None
    folders_txt: str | None
    country: str | None
    admin1_region: str | None
    run_mode: RunMode
    batch_size: int
    readers: int | None
    progress_bars: bool
    profile: Profile | None
    predictions_json: str | None
    ignore_existing: bool
    country_from_coordinates: bool
    exif_gps: bool
    metadata: bool


class SpeciesNet:
    """A model package, ready to predict. Networks are loaded when they are first needed.

    Args:
        model_name: See ``ModelInfo``.
        components: What will be asked of it; verbs that need more raise ``InputError``.
        geofence: False turns geofencing off.
        target_species_txt: File with a label a line, whose logits are reported for every image.
        combine_predictions_fn: What decides on one image; see ``PredictionCombiner``.
        multiprocessing: Makes ``multi_process`` the default run mode.
        engine: What runs the networks, one name for both or the detector's and the classifier's with a
            comma: ``auto``, ``torch``, ``tensorflow``, ``openvino``; see ``EngineOptions``.
        precision: ``fp32``, the reference; ``bf16`` or ``fp16``; or ``auto``: a lower one where this
            machine computes in it and it decides as float32 does on the first images of a run.
        device: "cpu", "cuda", "mps" or None for the best there is.
        threads: Of the processor, for a network on it; None is all cores.

    Raises:
        ModelError: The package cannot be found or is broken.
        InputError: One of the names is unknown.
    """

    def __init__(
        self,
        model_name: str,
        *,
        components: Components = "all",
        geofence: bool = True,
        target_species_txt: str | None = None,
        combine_predictions_fn: PredictionCombiner = combine_predictions_for_single_item,
        multiprocessing: bool = False,
        engine: str = "auto",
        precision: Precision | Literal["auto"] = "auto",
        device: str | None = None,
        threads: int | None = None,
    ) -> None:
        if components not in _STAGES:
            raise InputError(f"components is {components!r}; it must be {', '.join(_STAGES)}.")
        if precision not in ("auto", *PRECISIONS):
            raise InputError(
                f"precision is {precision!r}; it must be auto, {', '.join(PRECISIONS)}."
            )
        self.model_info = ModelInfo(model_name)
        self.components: Components = components
        self._geofence = geofence
        self._target_species_txt = target_species_txt
        self._combine_predictions_fn = combine_predictions_fn
        self._run_mode: RunMode = "multi_process" if multiprocessing else "multi_thread"
        self._engines = engine_of_each_stage(engine)
        self._device = device
        self._threads = threads
        self._wants_trial = precision == "auto"
        chosen: Precision = "fp32" if precision == "auto" else precision
        self._precisions: dict[str, Precision] = dict.fromkeys(("detector", "classifier"), chosen)

    @cached_property
    def detector(self) -> SpeciesNetDetector:
        """The detector, loaded on first use."""
        return SpeciesNetDetector(
            self.model_info,
            self._device,
            engine=self._engines[0],
            precision=self._precisions["detector"],
            threads=self._threads,
        )

    @cached_property
    def classifier(self) -> SpeciesNetClassifier:
        """The classifier, loaded on first use."""
        return SpeciesNetClassifier(
            self.model_info,
            self._target_species_txt,
            self._device,
            engine=self._engines[1],
            precision=self._precisions["classifier"],
            threads=self._threads,
        )

    @cached_property
    def ensemble(self) -> SpeciesNetEnsemble:
        """The ensemble, loaded on first use."""
        return SpeciesNetEnsemble(self.model_info, self._geofence, self._combine_predictions_fn)

    def predict(self, **options: Unpack[RunOptions]) -> Predictions | None:
        """Detects, classifies and decides.

        Returns:
            ``{"predictions": [record, ...]}`` in the order of the instances, or None when it went to
            ``predictions_json``.

        Raises:
            InputError: The input is missing or wrong.
            ModelError: A network cannot be loaded.
            OutputError: ``predictions_json`` cannot be written, or belongs to another run.
        """
        return self._run("all", options)

    def detect(self, **options: Unpack[RunOptions]) -> Predictions | None:
        """Finds animals, humans and vehicles; otherwise as ``predict``."""
        return self._run("detector", options)

    def classify(
        self, *, detections_dict: PastRecords | None = None, **options: Unpack[RunOptions]
    ) -> Predictions | None:
        """Names species; otherwise as ``predict``.

        Args:
            detections_dict: Records of ``detect`` by filepath, for models that crop. Images without
                any are classified whole.
            **options: See ``RunOptions``.
        """
        return self._run("classifier", options, detections=detections_dict)

    def ensemble_from_past_runs(
        self,
        *,
        detections_dict: PastRecords | None = None,
        classifications_dict: PastRecords | None = None,
        **options: Unpack[RunOptions],
    ) -> Predictions | None:
        """Decides from records of ``detect`` and ``classify``, by filepath; reads no image."""
        return self._run(
            "ensemble", options, detections=detections_dict, classifications=classifications_dict
        )

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Predicts a table of images, as ``map_batches`` of Ray Data and others ask for it.

        Args:
            batch: Columns of one length: ``filepath``, and those of ``country``, ``admin1_region``,
                ``latitude`` and ``longitude`` that there are. What is None or NaN is not known.

        Returns:
            These columns and four more: ``prediction``, ``prediction_score`` and ``prediction_source``,
            as ``answer_of`` has them, and ``record``, the whole record as JSON.

        Raises:
            InputError: A column is missing, or one of its values is wrong.
        """
        if "filepath" not in batch:
            raise InputError("The table has no column filepath; add one with the images' paths.")
        names = [name for name in COLUMNS if name in batch]
        instances = [
            dict(zip(names, map(_plain, row), strict=True))
            for row in zip(*(batch[name] for name in names), strict=True)
        ]
        predictions = self.predict(instances_dict={"instances": instances}) if instances else None
        records = (predictions or {"predictions": []})["predictions"]
        answers = [answer_of(record) for record in records]
        return {
            **batch,
            "prediction": np.array([label for label, _, _ in answers], dtype=object),
            "prediction_score": np.array([score for _, score, _ in answers]),
            "prediction_source": np.array([source for _, _, source in answers], dtype=object),
            "record": np.array([encode_record(r).decode() for r in records], dtype=object),
        }

    def _run(
        self,
        components: Components,
        options: RunOptions,
        detections: PastRecords | None = None,
        classifications: PastRecords | None = None,
    ) -> Predictions | None:
        inputs: dict[str, Any] = dict(options)
        run_options = {
            key: inputs.pop(key)
            for key in ("run_mode", "batch_size", "readers", "progress_bars", "profile")
            if key in inputs
        }
        predictions_json = inputs.pop("predictions_json", None)
        ignore_existing = inputs.pop("ignore_existing", False)
        choices = {
            key: inputs.pop(key)
            for key in ("country_from_coordinates", "exif_gps", "metadata")
            if key in inputs
        }
        choices |= {key: inputs.get(key) for key in ("country", "admin1_region")}
        instances = resolve_locations(
            prepare_instances(**inputs),
            country_from_coordinates=choices.get("country_from_coordinates", False),
        )
        if predictions_json is None:
            output = PredictionsList(instances)
            settings = RunSettings(components, model={}, **choices)
            self.fill(output, settings, detections, classifications, **run_options)
            return {"predictions": output.records}
        settings = self.run_settings(components, **choices)
        with open_predictions(
            predictions_json, instances, settings, ignore_existing=ignore_existing
        ) as file:
            self.fill(file, settings, detections, classifications, **run_options)
        return None

    def run_settings(
        self, components: Components, inputs: Mapping[str, str | None] | None = None, **choices: Any
    ) -> RunSettings:
        """What a later run must share to go on with the predictions file of this one.

        Args:
            components: What is run.
            inputs: Files that the answers depend on, by the flag that names them.
            **choices: ``country`` and so on, as ``RunSettings`` has them.

        Raises:
            InputError: One of the files cannot be read.
        """
        files = {"target_species_txt": self._target_species_txt, **(inputs or {})}
        return RunSettings(
            components=components,
            model=self.model_info.fingerprint,
            geofence=self._geofence,
            inputs={name: _digest(path) for name, path in files.items() if path is not None},
            model_name=self.model_info.lasting_name,
            **choices,
        )

    def fill(
        self,
        output: PredictionsFile | PredictionsList,
        settings: RunSettings,
        detections: PastRecords | None = None,
        classifications: PastRecords | None = None,
        *,
        run_mode: RunMode | None = None,
        batch_size: int = 8,
        readers: int | None = None,
        progress_bars: bool = False,
        profile: Profile | None = None,
    ) -> None:
        """Predicts the images that an output still lacks; arguments as those of the verbs."""
        components = settings.components
        self._check_options(components, run_mode, batch_size, readers)
        paths = output.pending
        if not paths:
            return
        pipeline_options: dict[str, Any] = {
            "known_detections": detections,
            "run_mode": run_mode or self._run_mode,
            "batch_size": batch_size,
            "readers": readers,
        }
        if self._wants_trial and components != "ensemble":
            self._settle_precision(output, paths, settings, pipeline_options)
        profile = profile or Profile()
        with profile.timing("loading"):
            self._load(components)
        with ProgressBars(_STAGES[components], len(paths), progress_bars) as bars:
            if components == "ensemble":
                photos = _past_photos(paths, detections or {}, classifications or {})
            else:
                photos = self._photos(
                    paths, components, progress=bars.update, profile=profile, **pipeline_options
                )
            with closing(photos):
                for photo in photos:
                    if photo.error is not None:
                        logging.warning("Cannot read image %s: %s.", photo.filepath, photo.error)
                    instances = output.instances_of(photo.filepath)
                    with profile.timing("deciding"):
                        records = [self.record_of(photo, settings, i) for i in instances]
                    with profile.timing("writing"):
                        output.write(records)
                    if components in ("all", "ensemble"):
                        bars.update("Ensemble")

    def _photos(
        self, paths: Sequence[str], components: Components, **options: Any
    ) -> Generator[Photo, None, None]:
        return pipeline.run(
            paths,
            detector=self.detector if components != "classifier" else None,
            classifier=self.classifier if components != "detector" else None,
            **options,
        )

    def _settle_precision(
        self,
        output: PredictionsFile | PredictionsList,
        paths: Sequence[str],
        settings: RunSettings,
        pipeline_options: Mapping[str, Any],
    ) -> None:
        """Chooses a lower precision where it is known, or now seen, to decide as float32 does."""
        reduced: dict[str, Precision] = {}
        for stage, engine in zip(("detector", "classifier"), self._engines, strict=True):
            if settings.components in ("all", stage):
                lower = reduced_precision(EngineOptions(engine, device=self._device))
                reduced[stage] = lower or "fp32"
        if all(precision == "fp32" for precision in reduced.values()):
            self._wants_trial = False
            return
        verdict = Verdict(
            reduced, self.model_info.fingerprint, self._engines, self._device, self._geofence
        )
        decides_the_same = verdict.read()
        if decides_the_same is None and len(paths) >= WORTH_A_TRIAL:
            difference = self._try_out(reduced, output, paths, settings, pipeline_options)
            decides_the_same = difference is None
            if difference is None or difference.for_good:
                verdict.write(difference and difference.what)
        if decides_the_same is not None:
            self._use(reduced if decides_the_same else dict.fromkeys(reduced, "fp32"))
            self._wants_trial = False

    def _try_out(
        self,
        reduced: dict[str, Precision],
        output: PredictionsFile | PredictionsList,
        paths: Sequence[str],
        settings: RunSettings,
        pipeline_options: Mapping[str, Any],
    ) -> Difference | None:
        """What lower precisions decide otherwise on the first images; None if nothing."""
        sample = paths[:TRIAL_IMAGES]
        names = ", ".join(f"{stage} {precision}" for stage, precision in reduced.items())
        logging.info("%s: tried out on the first %d images, once.", names, len(sample))

        def records() -> list[Record]:
            self._load(settings.components)
            with closing(self._photos(sample, settings.components, **pipeline_options)) as photos:
                return [
                    self.record_of(p, settings, output.instances_of(p.filepath)[0]) for p in photos
                ]

        reference = records()
        if sum(not record.get("failures") for record in reference) < NEEDED_IMAGES:
            found = Difference("too few of the first images can be read", for_good=False)
        else:
            self._use(reduced)
            try:
                what = first_difference(reference, records())
                found = Difference(what) if what else None
            except Exception as error:  # whatever it is, float32 has just worked
                found = Difference(f"{type(error).__name__}: {error}", for_good=False)
        if found:
            logging.warning("%s: not used, as it decides otherwise (%s).", names, found.what)
        return found

    def _use(self, precisions: Mapping[str, Precision]) -> None:
        """Networks in another precision are let go of; they are loaded anew when they are needed."""
        for stage, precision in precisions.items():
            if precision != self._precisions[stage]:
                self._precisions[stage] = precision
                self.__dict__.pop(stage, None)

    def _load(self, components: Components) -> None:
        """Loads what a run needs, all at once: frameworks take seconds each to import."""
        needed = [stage.lower() for stage in _STAGES[components]]
        if "detector" in needed:  # a download shows its progress, and can be interrupted
            _ = self.model_info.detector
        with ThreadPoolExecutor(len(needed)) as executor:
            for loading in [executor.submit(getattr, self, name) for name in needed]:
                loading.result()
        for stage in ("detector", "classifier"):
            if stage in needed:
                logging.info("The %s runs on %s.", stage, getattr(self, stage).engine.name)

    def _check_options(
        self,
        components: Components,
        run_mode: RunMode | None,
        batch_size: int,
        readers: int | None,
    ) -> None:
        if self.components not in ("all", components):
            raise InputError(
                f"This SpeciesNet was made with components={self.components!r}; make one with "
                f"components={components!r} or 'all'."
            )
        if run_mode is not None and run_mode not in RUN_MODES:
            raise InputError(f"run_mode is {run_mode!r}; it must be one of {', '.join(RUN_MODES)}.")
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; it must be at least 1.")
        if readers is not None and readers < 1:
            raise InputError(f"readers is {readers}; it must be at least 1.")

    def record_of(self, photo: Photo, settings: RunSettings, instance: Instance) -> Record:
        """The record of an image that has left the last stage.

        Args:
            photo: With what its stages have found.
            settings: Of the run.
            instance: Where it was taken, after ``resolve_locations``.

        Raises:
            InputError: Past detections or classifications are malformed.
        """
        if settings.exif_gps and photo.metadata:
            instance = at_position(
                instance,
                photo.metadata.latitude,
                photo.metadata.longitude,
                country_from_coordinates=settings.country_from_coordinates,
            )
        record = self._answer(photo, settings.components, instance)
        if settings.metadata and photo.metadata:
            record["metadata"] = photo.metadata.as_dict()
        return record

    def _answer(self, photo: Photo, components: Components, instance: Instance) -> Record:
        if components == "detector":
            failures = [Failure.DETECTOR] if photo.detections is None else []
            return make_record(photo.filepath, failures, detections=photo.detections)
        if components == "classifier":
            failures = [Failure.CLASSIFIER] if photo.classifications is None else []
            return make_record(photo.filepath, failures, classifications=photo.classifications)
        try:
            return self.ensemble.combine_one(
                photo.filepath, photo.classifications, photo.detections, instance.location
            )
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            if components != "ensemble":
                raise
            raise InputError(
                f"The detections or classifications of {photo.filepath} are malformed "
                f"({type(error).__name__}: {error}); make them again."
            ) from error


def _plain(value: Any) -> Any:
    """A value of a table as Python has it; None for what says that there is none."""
    value = value.item() if isinstance(value, np.generic) else value
    try:
        return value if value == value else None
    except TypeError:  # pandas' NA is neither
        return None


def _digest(path: str) -> str:
    """SHA-256 of a file; raises ``InputError``."""
    try:
        return sha256(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); mend that, or give another file."
        ) from error


def _past_photos(
    paths: Sequence[str], detections: PastRecords, classifications: PastRecords
) -> Generator[Photo, None, None]:
    for path in paths:
        detected, classified = detections.get(path, {}), classifications.get(path, {})
        metadata = detected.get("metadata", classified.get("metadata"))
        yield Photo(
            path,
            detections=detected.get("detections"),
            classifications=classified.get("classifications"),
            metadata=PhotoMetadata.from_dict(metadata) if isinstance(metadata, Mapping) else None,
        )
