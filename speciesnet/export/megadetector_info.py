"""The header of a file in the MegaDetector format: its detector, its classes, a summary."""

from __future__ import annotations

import html
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import speciesnet
from speciesnet.constants import Classification, Detection
from speciesnet.ensemble.taxonomy import UNKNOWN, category_of, species_name, split_label
from speciesnet.predictions.settings import detector_of_run
from speciesnet.survey.people import PERSON

FORMAT_VERSION = "1.6"
UNKNOWN_DETECTOR = "unknown"
UNKNOWN_CATEGORY = "4"  # the category of a box around the whole image
DETECTION_CATEGORIES = {
    kind.category: PERSON if kind is Detection.HUMAN else kind.value for kind in Detection
}
_CATEGORY_NAMES = {*DETECTION_CATEGORIES.values(), Detection.HUMAN.value, UNKNOWN}
_TIME = "%Y-%m-%d %H:%M:%S"

# Part of the detector's file name, its version, and its typical threshold: known_models of the package
# megadetector 10.0.28.
_DETECTORS = (
    ("v5a", "v5a.0.1", 0.2),
    ("v5b", "v5b.0.1", 0.2),
    ("redwood", "v1000.0.0-redwood", 0.3),
)
_TYPICAL, _CONSERVATIVE = 0.2, 0.05


@dataclass(frozen=True)
class Origin:
    """Where predictions come from.

    Attributes:
        detector: The file name of the detector, by which other programs choose their thresholds.
        completed: When the predictions were complete, or None.
    """

    detector: str = UNKNOWN_DETECTOR
    completed: datetime | None = None

    @classmethod
    def of(cls, predictions: str | os.PathLike[str]) -> Origin:
        """The origin of a predictions file, from the settings of its run and its modification time."""
        completed = None
        with suppress(OSError):
            changed = Path(predictions).stat().st_mtime
            completed = datetime.fromtimestamp(changed).astimezone()
        return cls(detector_of_run(predictions) or UNKNOWN_DETECTOR, completed)

    @property
    def detector_metadata(self) -> dict[str, str | float]:
        """The version and the thresholds of the detector; the defaults of MegaDetector if unknown."""
        name = self.detector.lower()
        known = ((version, typical) for part, version, typical in _DETECTORS if part in name)
        version, typical = next(known, (UNKNOWN_DETECTOR, _TYPICAL))
        return {
            "megadetector_version": version,
            "typical_detection_threshold": typical,
            "conservative_detection_threshold": _CONSERVATIVE,
        }


class ClassNumbers:
    """Numbers and names of the classes of a file.

    Timelapse reports a file as partially compatible if the class with the lowest number has the name
    of a detection category, so such a class never gets "0".
    """

    def __init__(self) -> None:
        self._numbers: dict[str, str] = {}
        self._is_zero_taken = False
        self._following = itertools.count(1)

    def number_of(self, label: str) -> str:
        """The number of a label's class; all labels of humans share one."""
        label = Classification.HUMAN.value if is_human(label) else label
        if label not in self._numbers:
            can_be_first = _common_name(label).casefold() not in _CATEGORY_NAMES
            is_first = can_be_first and not self._is_zero_taken
            self._is_zero_taken |= is_first
            self._numbers[label] = "0" if is_first else str(next(self._following))
        return self._numbers[label]

    @property
    def labels(self) -> dict[str, str]:
        """The label of each class by its number."""
        labels = {number: label for label, number in self._numbers.items()}
        if labels and not self._is_zero_taken:
            labels["0"] = Classification.BLANK.value  # no image has it
        return {number: labels[number] for number in sorted(labels, key=int)}

    @property
    def names(self) -> dict[str, str]:
        """The name of each class by its number: as short as possible, and unique."""
        labels = self.labels
        names = {number: _common_name(label) for number, label in labels.items()}
        longer = (
            {number: _long_name(label) for number, label in labels.items()},
            {number: _identified(number, label) for number, label in labels.items()},
        )
        for alternatives in longer:
            counts = Counter(name.casefold() for name in names.values())
            for number, name in names.items():
                if counts[name.casefold()] > 1:
                    names[number] = alternatives[number]
        return names


def is_human(label: str) -> bool:
    """Whether a label stands for humans, as in MegaDetector's own converter."""
    return category_of(label) == Detection.HUMAN or "homo species" in label.lower()


def _common_name(label: str) -> str:
    return split_label(label).common_name.strip() or _long_name(label)


def _long_name(label: str) -> str:
    return species_name(label).strip() or UNKNOWN


def _identified(number: str, label: str) -> str:
    return f"{_long_name(label)} [{split_label(label).uuid or number}]"


def file_info(
    origin: Origin, *, classifier: str | None, counts: Mapping[str, int]
) -> dict[str, object]:
    """The value of "info".

    Args:
        origin: Where the predictions come from.
        classifier: The name of the classifier, or None if there was none.
        counts: The number of images by what they show.
    """
    completed = None if origin.completed is None else origin.completed.strftime(_TIME)
    info: dict[str, object] = {"format_version": FORMAT_VERSION, "detector": origin.detector}
    if completed is not None:
        info["detection_completion_time"] = completed
    info["detector_metadata"] = origin.detector_metadata
    if classifier is not None:
        info["classifier"] = classifier
        if completed is not None:
            info["classification_completion_time"] = completed
    program = f"speciesnet {speciesnet.__version__}"
    detector = None if origin.detector == UNKNOWN_DETECTOR else f"detector {origin.detector}"
    info["summary_report"] = _summary([program, classifier, detector], counts)
    info["custom_metadata"] = {"converter": program}
    return info


def _summary(programs: Iterable[str | None], counts: Mapping[str, int]) -> str:
    """A short page that Timelapse shows when it imports the file."""
    made_by = html.escape(", ".join(filter(None, programs)))
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{count:,}</td></tr>" for name, count in counts.items()
    )
    return f"<html><body><p>{made_by}</p><table>{rows}</table></body></html>"
