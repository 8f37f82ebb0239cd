"""The description of a run, and what a run needs from a model and an output."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from speciesnet.constants import (
    RUN_MODES,
    TOP_CLASSES,
    Components,
    OutputFormat,
    RunMode,
)
from speciesnet.ensemble import SpeciesNetEnsemble
from speciesnet.ensemble.thresholds import Thresholds
from speciesnet.errors import InputError
from speciesnet.files.extensions import is_film_name
from speciesnet.files.packages.info import ModelInfo
from speciesnet.images.films import Sampling
from speciesnet.pipeline import PastResults
from speciesnet.pipeline.networks import Networks, ReducedNetworks
from speciesnet.predictions.format5 import DEFAULT_CLASSES
from speciesnet.predictions.settings import RunSettings
from speciesnet.predictions.tally import Tally
from speciesnet.records import Instance, Record
from speciesnet.records.boxes import BoxSelection

STAGES: dict[Components, tuple[str, ...]] = {
    "all": ("Detector", "Classifier", "Ensemble"),
    "detector": ("Detector",),
    "classifier": ("Classifier",),
    "ensemble": ("Ensemble",),
}
DETECTIONS = "detections_json"  # the flag of a file with the results of the detector


def networks_of(components: Components) -> list[str]:
    """The networks that a run uses, by name."""
    return [stage.lower() for stage in STAGES[components] if stage != "Ensemble"]


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
        boxes: The boxes that get their own answers; None answers only for images.
        films: Which frames of films to examine; None skips films.
        thresholds: The minimum scores of species; None keeps all answers.
        past: Results of earlier steps, for runs with only the classifier or the ensemble.
        input_files: Files that the answers depend on, by the flag that names them.
        predictions_json: Path or URL of the output file; None keeps the records in memory.
        ignore_existing: Whether to start over, keeping an existing output file as ``*.bak``.
        shard: The part of the images that is in ``instances``, such as "3/8", or None.
        output_format: The format of the records in the output.
        max_classifications_per_detection: In format 5, the maximum number of classes per box; None
            means all.
        run_mode: How images are read and networks run; see ``pipeline.run``.
        batch_size: Images per batch.
        readers: Threads or processes that read images; None chooses their number.
        progress_bars: Whether to show progress bars.

    Raises:
        InputError: ``components``, ``run_mode``, ``batch_size`` or ``readers`` is invalid, or a run
            without the ensemble has thresholds.
    """

    instances: Sequence[Instance] = ()
    components: Components = "all"
    country: str | None = None
    admin1_region: str | None = None
    country_from_coordinates: bool = False
    exif_gps: bool = False
    metadata: bool = False
    boxes: BoxSelection | None = None
    films: Sampling | None = None
    thresholds: Thresholds | None = None
    past: PastResults = field(default_factory=PastResults)
    input_files: Mapping[str, str | None] = field(default_factory=dict)
    predictions_json: str | None = None
    ignore_existing: bool = False
    shard: str | None = None
    output_format: OutputFormat = 4
    max_classifications_per_detection: int | None = DEFAULT_CLASSES
    run_mode: RunMode = "multi_thread"
    batch_size: int = 8
    readers: int | None = None
    progress_bars: bool = False

    def __post_init__(self) -> None:
        if self.components not in STAGES:
            raise InputError(f"components is {self.components!r}; it must be {', '.join(STAGES)}.")
        if self.thresholds is not None and "Ensemble" not in STAGES[self.components]:
            raise InputError(
                f"Thresholds are for answers, which a run of the {self.components} alone does not give; "
                "pass them to the run of the ensemble."
            )
        if self.run_mode not in RUN_MODES:
            raise InputError(
                f"run_mode is {self.run_mode!r}; it must be one of {', '.join(RUN_MODES)}."
            )
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; it must be at least 1.")
        if self.readers is not None and self.readers < 1:
            raise InputError(f"readers is {self.readers}; it must be at least 1.")

    @property
    def has_films(self) -> bool:
        """Whether the run examines films and has any, judging by their names."""
        return self.films is not None and any(
            is_film_name(instance.filepath) for instance in self.instances
        )

    @property
    def num_classes(self) -> int | None:
        """How many classes the classifier returns; None means all."""
        count = self.max_classifications_per_detection
        if self.output_format == 4:
            return TOP_CLASSES
        return None if count is None else max(count, TOP_CLASSES)


class Model(Protocol):
    """What a run needs from a model; ``SpeciesNet`` provides it."""

    @property
    def model_info(self) -> ModelInfo:
        """The model package."""
        ...

    @property
    def networks(self) -> Networks:
        """The networks, loaded on first use."""
        ...

    @property
    def can_be_guarded(self) -> bool:
        """Whether guards know the limits of its answers."""
        ...

    @property
    def ensemble(self) -> SpeciesNetEnsemble:
        """The ensemble, loaded on first use."""
        ...

    def run_settings(self, run: Run) -> RunSettings:
        """The settings that two runs must share to write to the same file."""
        ...

    def precision_key(self, lower: ReducedNetworks, components: Components) -> list[object]:
        """What the errors of networks in a lower precision depend on, apart from the machine."""
        ...

    def quantize(self, components: Components, paths: Sequence[str]) -> None:
        """With ``precision="int8"``, makes the networks that a run needs, using its photographs."""
        ...

    def load(self, components: Components) -> None:
        """Loads the networks that a run needs."""
        ...


class Output(Protocol):
    """Where the records of a run go: a file on a disk or in a bucket, or a list in memory."""

    @property
    def tally(self) -> Tally:
        """Counts of its records, including those of earlier runs."""
        ...

    @property
    def path(self) -> Path | None:
        """The file that the run writes on this machine, or None."""
        ...

    @property
    def pending(self) -> list[str]:
        """Images without a finished record, once each, in the order of the instances."""
        ...

    @property
    def finished(self) -> list[str]:
        """Images with a record, once each, in the order of the instances."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about the output for the end of the run."""
        ...

    def instances_of(self, filepath: str) -> list[Instance]:
        """The instances with the same path: more than one if it was passed more than once."""
        ...

    def write(self, records: Sequence[Record]) -> None:
        """Adds the records of all instances of one image."""
        ...

    def replace(self, filepaths: Collection[str]) -> None:
        """Replaces the records of images with those that are written next."""
        ...
