"""SpeciesNet: a model package that can detect, classify, combine the results, or do all of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypedDict, cast

from typing_extensions import Unpack

from speciesnet.classifier import SpeciesNetClassifier
from speciesnet.constants import Classify, Components, RunMode
from speciesnet.detector import SpeciesNetDetector
from speciesnet.engines.base import Precision
from speciesnet.engines.select import engine_of_each_stage
from speciesnet.ensemble import (
    PredictionCombiner,
    SpeciesNetEnsemble,
    combine_predictions_for_single_item,
)
from speciesnet.ensemble.thresholds import read_thresholds
from speciesnet.errors import InputError
from speciesnet.files.packages.info import ModelInfo
from speciesnet.files.storage import sha256
from speciesnet.geolocation import resolve_locations
from speciesnet.images.films import Sampling
from speciesnet.images.instances import Given, prepare_instances
from speciesnet.pipeline import PastResults
from speciesnet.pipeline.networks import NetworkOptions, Networks, ReducedNetworks
from speciesnet.predictions.format5 import (
    DEFAULT_CLASSES,
    checked_classes,
    checked_format,
    make_predictions_dict,
)
from speciesnet.predictions.settings import (
    RunSettings,
    detector_of_detections,
    settings_of_films,
)
from speciesnet.records import Record
from speciesnet.records.boxes import BoxSelection, selected_boxes
from speciesnet.run import DETECTIONS, STAGES, Run, execute
from speciesnet.run.description import networks_of
from speciesnet.run.options import RunOptions
from speciesnet.run.tables import Table, with_answers

Predictions = dict[str, list[Record]]
PastRecords = Mapping[str, Mapping[str, object]]  # from any source; their fields are checked on use


class SpeciesNet:
    """A model package, ready to predict. Networks are loaded when they are first needed.

    Args:
        model_name: See ``ModelInfo``.
        components: The steps that will be used; methods that need other steps raise ``InputError``.
        geofence: Whether geofencing is on.
        target_species_txt: File with one label per line, whose logits are added to every record.
        species_list: File with the taxa that can occur at the site, a Latin name or a label per line; an
            answer outside this list is rolled up to its nearest ancestor that the list implies.
        species_list_fill: Whether a group with a single listed taxon below it becomes that taxon.
        combine_predictions_fn: The function that determines the answer for one image; see
            ``PredictionCombiner``.
        multiprocessing: Makes ``multi_process`` the default run mode.
        engine: The engine of the networks, one name for both, or the detector's and the classifier's
            separated by a comma: ``auto``, ``torch``, ``tensorflow`` or ``openvino``; see
            ``EngineOptions``.
        precision: ``fp32``, the reference; ``bf16``, ``fp16`` or ``int8``; or ``auto``: the fastest
            of them if it makes a run of many images faster, with doubtful images processed in float32.
        device: "cpu", "cuda", "mps" or None for the best one available.
        threads: Processor threads of a network on the CPU; None means all cores.
        force_model_download: Whether to download the package again.

    Raises:
        ModelError: The package cannot be found or is broken.
        InputError: One of the names is unknown.

    Examples:
        >>> from speciesnet import SpeciesNet
        >>> model = SpeciesNet("demo", precision="fp32")
        >>> predictions = model.predict(folders=["demo"])
        >>> len(predictions["predictions"])
        19
    """

    def __init__(
        self,
        model_name: str,
        *,
        components: Components = "all",
        geofence: bool = True,
        target_species_txt: str | None = None,
        species_list: str | None = None,
        species_list_fill: bool = False,
        combine_predictions_fn: PredictionCombiner = combine_predictions_for_single_item,
        multiprocessing: bool = False,
        engine: str = "auto",
        precision: Precision | Literal["auto"] = "auto",
        device: str | None = None,
        threads: int | None = None,
        force_model_download: bool = False,
    ) -> None:
        if components not in STAGES:
            raise InputError(f"components is {components!r}; it must be {', '.join(STAGES)}.")
        if species_list_fill and species_list is None:
            raise InputError("species_list_fill requires a species_list; add one or leave it out.")
        self.model_info = ModelInfo(model_name, force_download=force_model_download)
        self.components: Components = components
        self.networks = Networks(
            NetworkOptions(
                self.model_info, engine_of_each_stage(engine), device, threads, target_species_txt
            ),
            precision,
        )
        self._geofence = geofence
        self._target_species_txt = target_species_txt
        self._species_list, self._species_list_fill = species_list, species_list_fill
        self._combine_predictions_fn = combine_predictions_fn
        self._run_mode: RunMode = "multi_process" if multiprocessing else "multi_thread"
        self._ensemble: SpeciesNetEnsemble | None = None

    @property
    def detector(self) -> SpeciesNetDetector:
        """The detector, loaded on first use."""
        return self.networks.detector

    @property
    def classifier(self) -> SpeciesNetClassifier:
        """The classifier, loaded on first use."""
        return self.networks.classifier

    @property
    def whole_image_classifier(self) -> bool:
        """Whether the classifier takes whole images instead of crops."""
        return not self.model_info.always_crops

    @property
    def ensemble(self) -> SpeciesNetEnsemble:
        """The ensemble, loaded on first use."""
        if self._ensemble is None:
            self._ensemble = SpeciesNetEnsemble(
                self.model_info,
                self._geofence,
                self._combine_predictions_fn,
                species_list=self._species_list,
                species_list_fill=self._species_list_fill,
            )
        return self._ensemble

    def predict(self, **options: Unpack[RunOptions]) -> Predictions | None:
        """Detects, classifies and combines the results.

        Returns:
            ``{"predictions": [record, ...]}`` in the order of the instances, or None if the records
            are written to ``predictions_json``.

        Raises:
            InputError: The input is missing or wrong.
            ModelError: A network cannot be loaded.
            OutputError: ``predictions_json`` cannot be written, or belongs to another run.
        """
        return self._run("all", options)

    def detect(self, **options: Unpack[RunOptions]) -> Predictions | None:
        """Finds animals, humans and vehicles; otherwise like ``predict``."""
        return self._run("detector", options)

    def classify(
        self, *, detections_dict: PastRecords | None = None, **options: Unpack[RunOptions]
    ) -> Predictions | None:
        """Names species; otherwise like ``predict``.

        Args:
            detections_dict: Records of ``detect`` by filepath, for models that crop. Images without a
                record are classified as a whole.
            **options: See ``RunOptions``.
        """
        return self._run("classifier", options, _past_results(detections_dict))

    def ensemble_from_past_runs(
        self,
        *,
        detections_dict: PastRecords | None = None,
        classifications_dict: PastRecords | None = None,
        **options: Unpack[RunOptions],
    ) -> Predictions | None:
        """Combines the records of ``detect`` and ``classify``, by filepath; reads no images."""
        past = _past_results(detections_dict, classifications_dict)
        return self._run("ensemble", options, past)

    def __call__(self, batch: Table) -> dict[str, Any]:
        """Predicts a table of images, for ``map_batches`` of Ray Data and the like.

        Args:
            batch: Columns of equal length: ``filepath``, and optionally ``country``,
                ``admin1_region``, ``latitude`` and ``longitude``. None and NaN mean unknown.

        Returns:
            These columns and four more: ``prediction``, ``prediction_score`` and ``prediction_source``,
            as returned by ``answer_of``, and ``record``, the whole record as JSON.

        Raises:
            InputError: A column is missing, or one of its values is invalid.
        """
        return with_answers(batch, self.predict)

    def _run(
        self, components: Components, options: RunOptions, past: PastResults | None = None
    ) -> Predictions | None:
        if unknown := options.keys() - RunOptions.__optional_keys__:
            raise TypeError(f"SpeciesNet has no option {', '.join(sorted(unknown))}.")
        if self.components not in ("all", components):
            raise InputError(
                f"This SpeciesNet was made with components={self.components!r}; make one with "
                f"components={components!r} or 'all'."
            )
        run = _run_of(options, components, self._run_mode, past or PastResults())
        records = execute(run, self, options.get("profile")).records
        if records is None:
            return None
        if run.output_format == 5:
            # There is "info" as well, which callers of this format expect.
            return cast("Predictions", make_predictions_dict(records))
        return {"predictions": records}

    def run_settings(self, run: Run) -> RunSettings:
        """The settings that a later run must share to continue the predictions file of ``run``.

        Raises:
            InputError: One of the files that the answers depend on cannot be read.
        """
        detections = run.input_files.get(DETECTIONS)
        has_boxes = self.model_info.always_crops and run.components != "detector"
        classes = run.max_classifications_per_detection if run.output_format == 5 else None
        files = {"target_species_txt": self._target_species_txt, **run.input_files}
        return RunSettings(
            components=run.components,
            model=self.model_info.fingerprint,
            geofence=self._geofence,
            country=run.country,
            admin1_region=run.admin1_region,
            country_from_coordinates=run.country_from_coordinates,
            exif_gps=run.exif_gps,
            metadata=run.metadata,
            **_settings_of_boxes(run.boxes if has_boxes else None),
            shard=run.shard,
            output_format=run.output_format,
            max_classifications_per_detection=classes,
            **self._settings_of_list(run.components),
            **settings_of_films(run.films if run.has_films else None),
            thresholds=run.thresholds and run.thresholds.as_setting,
            inputs={name: _digest(path) for name, path in files.items() if path is not None},
            model_name=self.model_info.lasting_name,
            detector_name=self.model_info.detector_name,
            given_detector=(detections and detector_of_detections(detections)) or "",
        )

    @property
    def can_be_guarded(self) -> bool:
        """Whether the thresholds of the answers are known: the caller's own function may have any."""
        return self._combine_predictions_fn is combine_predictions_for_single_item

    def precision_key(self, lower: ReducedNetworks, components: Components = "all") -> list[object]:
        """What the errors and margins of networks depend on, apart from the machine."""
        options = self.networks.options
        return [
            lower.precisions,
            lower.calibrations,
            self.model_info.fingerprint,
            options.engines,
            options.device,
            self._geofence,
            self._settings_of_list(components),
        ]

    def quantize(self, components: Components, paths: Sequence[str]) -> None:
        """With ``precision="int8"``, makes the networks that a run needs; see ``Networks``."""
        self.networks.quantize(networks_of(components), paths)

    def _settings_of_list(self, components: Components) -> _ListSettings:
        is_used = self._species_list is not None and "Ensemble" in STAGES[components]
        species = self.ensemble.species_list if is_used else None
        return {
            "species_list": None if species is None else list(species.names),
            "species_list_fill": species is not None and species.fill,
        }

    def load(self, components: Components = "all") -> None:
        """Loads the networks and the rules that a run needs, before the first image is read.

        Raises:
            ModelError: A network or the rules cannot be loaded.
        """
        self.networks.load(networks_of(components))
        if components in ("all", "ensemble"):
            _ = self.ensemble


class _ListSettings(TypedDict):
    species_list: list[str] | None
    species_list_fill: bool


class _BoxSettings(TypedDict):
    classify: Classify
    detection_threshold_for_classification: float | None
    max_classifications_per_image: int | None


def _settings_of_boxes(boxes: BoxSelection | None) -> _BoxSettings:
    return {
        "classify": "all" if boxes else "best",
        "detection_threshold_for_classification": boxes.threshold if boxes else None,
        "max_classifications_per_image": boxes.limit if boxes else None,
    }


def _run_of(
    options: RunOptions, components: Components, run_mode: RunMode, past: PastResults
) -> Run:
    """The run that keyword arguments describe.

    Args:
        options: The keyword arguments.
        components: "all", or the one step to run.
        run_mode: How images are read, unless ``options`` name another mode.
        past: Results of earlier steps.

    Raises:
        InputError: The input is missing or wrong.
    """
    output_format, classify = checked_format(
        options.get("output_format"),
        options.get("classify"),
        has_classes="max_classifications_per_detection" in options,
    )
    from_coordinates = options.get("country_from_coordinates", False)
    given = {name: options[name] for name in Given.__annotations__ if name in options}
    instances = prepare_instances(
        **cast("Given", given),
        match_files=components != "ensemble",  # the ensemble reads no images
        films=options.get("videos", "include") != "skip",
    )
    return Run(
        instances=resolve_locations(instances, country_from_coordinates=from_coordinates),
        components=components,
        country=options.get("country"),
        admin1_region=options.get("admin1_region"),
        country_from_coordinates=from_coordinates,
        exif_gps=options.get("exif_gps", False),
        metadata=options.get("metadata", False),
        boxes=selected_boxes(
            classify,
            options.get("detection_threshold_for_classification"),
            options.get("max_classifications_per_image"),
        ),
        films=_sampling_of(options),
        past=past,
        predictions_json=options.get("predictions_json"),
        ignore_existing=options.get("ignore_existing", False),
        output_format=output_format,
        max_classifications_per_detection=checked_classes(
            options.get("max_classifications_per_detection", DEFAULT_CLASSES)
        ),
        run_mode=options.get("run_mode") or run_mode,
        batch_size=options.get("batch_size", 8),
        readers=options.get("readers"),
        progress_bars=options.get("progress_bars", False),
        thresholds=None if (path := options.get("thresholds")) is None else read_thresholds(path),
    )


def _past_results(
    detections: PastRecords | None, classifications: PastRecords | None = None
) -> PastResults:
    # The stages name the image whose record is malformed, so nothing is checked here.
    return PastResults(
        cast("Mapping[str, Record]", detections or {}),
        cast("Mapping[str, Record]", classifications or {}),
    )


@dataclass(frozen=True)
class ModelOptions:
    """The arguments of ``SpeciesNet`` in a form that can be sent to other processes."""

    model_name: str
    geofence: bool = True
    target_species_txt: str | None = None
    species_list: str | None = None
    species_list_fill: bool = False
    engine: str = "auto"
    precision: Precision | Literal["auto"] = "fp32"
    device: str | None = None
    threads: int | None = None

    def load(self) -> SpeciesNet:
        """Creates the model; its networks are loaded on first use.

        Raises:
            InputError: An option is invalid.
            ModelError: The package cannot be found or is broken.
        """
        return SpeciesNet(**asdict(self))


def _digest(path: str) -> str:
    """SHA-256 of a file; raises ``InputError``."""
    try:
        return sha256(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}). Fix the cause or pass a different file."
        ) from error


def _sampling_of(options: RunOptions) -> Sampling | None:
    """The frames of films to examine; None if films are skipped."""
    if options.get("videos") == "skip":
        return None
    return Sampling(
        options.get("video_fps", 1.0),
        options.get("max_frames_per_video"),
        tuple(options.get("frames") or ()),
    )
