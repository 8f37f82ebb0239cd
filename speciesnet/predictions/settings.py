"""The settings of the run that writes a predictions file, kept in a file next to it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar
from urllib.parse import urlsplit

from absl import logging

from speciesnet.constants import FLAWS, RUN_ENDING, Classify, Components, Flaw, OutputFormat
from speciesnet.ensemble.geofence.species_list import SpeciesList
from speciesnet.errors import DamagedError, NoListError, TooDeepError
from speciesnet.files import storage
from speciesnet.files.atomic import write_atomically
from speciesnet.predictions.megadetector import detector_of_file
from speciesnet.records import (
    BOX_TOLERANCE,
    Instance,
    Record,
    components_of,
    is_below_threshold,
    is_classified,
)
from speciesnet.records.boxes import BoxSelection

if TYPE_CHECKING:
    from speciesnet.images.films import Sampling

_T = TypeVar("_T")

# What settings without these keys mean.
_BEFORE_ALL_BOXES = {
    "classify": "best",
    "detection_threshold_for_classification": None,
    "max_classifications_per_image": None,
}
_OF_FORMAT_5 = {"output_format": 4, "max_classifications_per_detection": None}
_WITHOUT_LIST = {"species_list": None, "species_list_fill": False}
_WITHOUT_THRESHOLDS = {"thresholds": None}
_OF_FILMS = ("video_fps", "max_frames_per_video", "frames")
_ABSENT = {**_BEFORE_ALL_BOXES, **_OF_FORMAT_5, **_WITHOUT_LIST, **_WITHOUT_THRESHOLDS}
FLAWED = "flawed_images"  # a result of a run: the flaws of images by path


@dataclass(frozen=True)
class RunSettings:
    """The settings that two runs must share to write to the same file.

    Attributes:
        components: "all", "detector", "classifier" or "ensemble".
        model: Identifies the model package; see ``ModelInfo.fingerprint``.
        geofence: Whether the geofence is on.
        country: The country given for all images, or None.
        admin1_region: The region given for all images, or None.
        country_from_coordinates: Whether countries are looked up by coordinates.
        exif_gps: Whether positions are taken from the photographs.
        metadata: Whether records contain the metadata of the cameras.
        classify: "best", or "all" for an answer to every box.
        detection_threshold_for_classification: With "all", the lowest confidence of these boxes.
        max_classifications_per_image: With "all", the maximum number of these boxes, or None.
        output_format: 4 or 5.
        max_classifications_per_detection: In format 5, the maximum number of classes per box, or
            None.
        species_list: The names of the taxa that can occur at the site, sorted; None if there is no list.
        species_list_fill: Whether a group with a single listed taxon below it becomes that taxon.
        video_fps: In a run with films, the frames examined per second; None if there are no films.
        max_frames_per_video: In a run with films, the maximum number of frames per film, or None.
        frames: In a run with films, the numbers of the frames to examine instead, or None.
        thresholds: The minimum scores of species by name, sorted; None if there are no thresholds.
        inputs: Digests of the files that the answers depend on (past results, target labels), by flag.
        model_name: Where later programs find the rules and labels; it may differ between the runs.
        detector_name: The file name of the detector, for other programs; it may differ as well.
        given_detector: The file name of the detector that found the boxes of ``--detections_json``, if it
            is known; it may differ as well.
        shard: The part of the images, such as "3/8", or None; it differs between the parts of a run.
    """

    components: Components
    model: Mapping[str, Any]
    geofence: bool = True
    country: str | None = None
    admin1_region: str | None = None
    country_from_coordinates: bool = False
    exif_gps: bool = False
    metadata: bool = False
    classify: Classify = "best"
    detection_threshold_for_classification: float | None = None
    max_classifications_per_image: int | None = None
    output_format: OutputFormat = 4
    max_classifications_per_detection: int | None = None
    species_list: list[str] | None = None
    species_list_fill: bool = False
    video_fps: float | None = None
    max_frames_per_video: int | None = None
    frames: list[int] | None = None
    thresholds: dict[str, float] | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    model_name: str = ""
    detector_name: str = ""
    given_detector: str = ""
    shard: str | None = None

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> RunSettings:
        """The settings in a file, which may also contain results of its run."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in settings.items() if name in known})

    def as_dict(self) -> dict[str, Any]:
        """The settings as written to a file.

        Those of a species list, thresholds, format 5 and films are only in the files of runs that use
        them.
        """
        left_out: set[str] = set() if self.species_list is not None else {*_WITHOUT_LIST}
        if self.output_format == 4:
            left_out |= _OF_FORMAT_5.keys()
        if self.video_fps is None:
            left_out |= {*_OF_FILMS}
        if self.thresholds is None:
            left_out |= {*_WITHOUT_THRESHOLDS}
        if self.shard is None:
            left_out.add("shard")
        return {key: value for key, value in asdict(self).items() if key not in left_out}

    def differences(self, earlier: Mapping[str, Any]) -> list[str]:
        """Describes how the settings of an earlier run, as read from its file, differ."""
        found = []
        for key, here in asdict(self).items():
            there = earlier.get(key, _ABSENT.get(key, here))
            if key in ("model_name", "detector_name", "given_detector", "shard"):
                continue
            if key in _OF_FILMS and (self.video_fps is None or "video_fps" not in earlier):
                continue  # there are no films here, or none there
            if key == "model" and there != here:
                there, here = there.get("version"), here["version"]
                here = "the same with other files" if here == there else here
                found.append(f"model {there} there, {here} here")
            elif key == "inputs":
                changed = [name for name in {**there, **here} if there.get(name) != here.get(name)]
                found += [f"a different --{name}" for name in changed]
            elif key in ("species_list", "thresholds") and there != here:
                found.append(f"a different --{key}")
            elif there != here:
                found.append(f"{key} {_word(there)} there, {_word(here)} here")
        return found

    def difference_in(self, record: Record, instance: Instance | None) -> str | None:
        """Describes how a record shows that a different run wrote it; None if this run may have.

        Args:
            record: The record.
            instance: Its image; None if it is not in this run, so that its place is unknown.
        """
        wanted = "all" if self.components == "ensemble" else self.components
        found = components_of(record)
        if self.output_format == 5 and wanted == "classifier" and found == "detector":
            found = None  # images without a box to classify have boxes only
        if found not in (None, wanted):
            names = {"all": "the ensemble", "detector": "the detector alone"}
            return (
                f"it was written by {names.get(found, 'the classifier alone')}, this is a run of "
                f"{names.get(wanted, 'the classifier alone')}"
            )
        if (there := self._classify_of(record)) != self.classify:
            return f"{record['filepath']} has classify {there} there, {self.classify} here"
        if wanted != "all":
            return None
        if self.species_list is None and "+species_list" in (record.get("prediction_source") or ""):
            return f"{record['filepath']} has a species_list there, none here"
        if self.thresholds is None and is_below_threshold(record):
            return f"{record['filepath']} has thresholds there, none here"
        version = self.model.get("version")
        if (there := record.get("model_version", version)) != version:
            return f"model {there} there, {version} here"
        # With --exif_gps the place is known once the photograph is read.
        if instance is None or self.exif_gps or found != "all":
            return None
        for name in ("country", "admin1_region"):
            there, here = record.get(name), getattr(instance, name)
            if there != here:
                return f"{record['filepath']} has {name} {_word(there)} there, {_word(here)} here"
        return None

    def _classify_of(self, record: Record) -> Classify:
        """The setting that a record shows; that of this run if it shows none."""
        boxes = record.get("detections") or ()
        if any(map(is_classified, boxes)):
            return "all"
        threshold = self.detection_threshold_for_classification
        if self.components == "detector" or threshold is None or record.get("failures"):
            return self.classify
        selection = BoxSelection(threshold, self.max_classifications_per_image)
        confidences = [box["conf"] - BOX_TOLERANCE for box in boxes]
        return "best" if selection.positions(confidences) else "all"


def _word(value: object) -> str:
    words: dict[object, str] = {None: "none", True: "on", False: "off"}
    return words.get(value) or str(value)  # a TypeError for a list: the settings are damaged


class FilmSettings(TypedDict):
    """The settings that only films need; see ``RunSettings``."""

    video_fps: float | None
    max_frames_per_video: int | None
    frames: list[int] | None


def settings_of_films(sampling: Sampling | None) -> FilmSettings:
    """The film settings of a run; all None for a run without films."""
    return {
        "video_fps": sampling.fps if sampling else None,
        "max_frames_per_video": sampling.max_frames if sampling else None,
        "frames": [*sampling.frames] if sampling and sampling.frames else None,
    }


def flawed_images_of(path: Path) -> dict[str, Flaw]:
    """The images that the runs on a predictions file decoded although they have flaws, and the flaws."""
    found = _setting(path, FLAWED, dict) or {}
    return {filepath: flaw for filepath, flaw in found.items() if flaw in FLAWS}


def film_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run that only films need."""
    return {key: settings[key] for key in _OF_FILMS if key in settings}


def settings_path(path: Path) -> Path:
    """The path of the settings file next to a predictions file."""
    return path.with_name(f"{path.name}{RUN_ENDING}")


def write_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Atomically writes the settings of a run next to its predictions file.

    Args:
        path: The predictions file.
        settings: The fields of ``RunSettings``.

    Raises:
        OSError: The settings cannot be written.
    """
    with write_atomically(settings_path(path), unique=False) as part:
        part.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def add_to_settings(path: Path, name: str, value: object) -> None:
    """Adds a result of a run to the settings next to its predictions file."""
    try:
        write_settings(path, {**read_settings(path), name: value})
    except (OSError, ValueError) as error:
        logging.warning("%s cannot be written (%s).", settings_path(path), error)


def read_settings(path: Path) -> Any:
    """The content of the settings file next to a predictions file.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not valid JSON.
        RecursionError: It is nested too deeply.
    """
    return json.loads(settings_path(path).read_text(encoding="utf-8"))


def model_of_run(predictions: str | os.PathLike[str]) -> str | None:
    """The name of the model that made a predictions file; None if it is unknown."""
    return _setting(predictions, "model_name", str) or None


def detector_of_run(predictions: str | os.PathLike[str]) -> str | None:
    """The file name of the detector that made a predictions file; None if it is unknown.

    Settings of earlier versions contain only the URL of a detector.
    """
    components = _setting(predictions, "components", str)
    inputs = _setting(predictions, "inputs", dict) or {}
    if "detections_json" in inputs:  # the boxes are those of another run
        return _setting(predictions, "given_detector", str) or None
    if components == "classifier":
        return None
    if name := _setting(predictions, "detector_name", str):
        return name
    files = (_setting(predictions, "model", dict) or {}).get("files")
    source = files.get("detector") if isinstance(files, dict) else None
    if not isinstance(source, str) or "://" not in source:
        return None
    return PurePosixPath(urlsplit(source).path).name or None


def detector_of_detections(path: str) -> str | None:
    """The file name of the detector that found the boxes in a file; None if it is unknown.

    Args:
        path: Path or URL of a predictions file, next to the settings of its run, or of a file in
            MegaDetector's format.
    """
    with suppress(OSError, ValueError, DamagedError, NoListError, TooDeepError):
        if storage.scheme_of(path) is None:
            return detector_of_run(path) or detector_of_file(Path(path))
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            copy = Path(folder) / "detections.json"
            with suppress(OSError):
                text = storage.read_text(f"{path}{RUN_ENDING}")
                settings_path(copy).write_text(text, encoding="utf-8")
            if name := detector_of_run(copy):
                return name
        with storage.local_file(path) as local:
            return detector_of_file(local)
    return None


def is_geofenced(predictions: str | os.PathLike[str]) -> bool:
    """Whether a predictions file was made with the geofence; True if unknown."""
    geofence = _setting(predictions, "geofence", bool)
    return True if geofence is None else geofence


def species_list_of_run(predictions: str | os.PathLike[str]) -> SpeciesList | None:
    """The species list of the run that made a predictions file, without labels; None if there is none."""
    names = _setting(predictions, "species_list", list)
    if names is None or not all(isinstance(name, str) for name in names):
        return None
    return SpeciesList(tuple(names), fill=bool(_setting(predictions, "species_list_fill", bool)))


def thresholds_of_run(predictions: str | os.PathLike[str]) -> dict[str, float] | None:
    """The thresholds of the run that made a predictions file, by name; None if there are none."""
    found = _setting(predictions, "thresholds", dict)
    return found if found and all(isinstance(one, int | float) for one in found.values()) else None


def _setting(predictions: str | os.PathLike[str], name: str, kind: type[_T]) -> _T | None:
    """One setting of the run that made a predictions file; None if it is unknown."""
    try:
        value = read_settings(Path(predictions)).get(name)
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return value if isinstance(value, kind) else None
