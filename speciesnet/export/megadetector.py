"""The MegaDetector format, which Timelapse imports.

https://github.com/agentmorris/MegaDetector/tree/main/megadetector/api/batch_processing#megadetector-batch-output-format
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

import orjson
from absl import logging
from typing_extensions import NotRequired

import speciesnet
from speciesnet.constants import Classification, Detection
from speciesnet.export.files import output_file
from speciesnet.files.paths import with_slashes
from speciesnet.predictions.layout import encode_record
from speciesnet.records import Record, answer_of, is_failed, record_errors
from speciesnet.taxonomy import species_name, split_label

FORMAT_VERSION = "1.5"
UNKNOWN_CATEGORY = "4"  # of a box that covers a whole image
_WHOLE_IMAGE = [0.0, 0.0, 1.0, 1.0]


class MegaDetectorBox(TypedDict):
    """A detection in the MegaDetector format; each classification is [class number, score]."""

    category: str
    conf: float
    bbox: Sequence[float]
    classifications: NotRequired[list[tuple[str, float]]]


class MegaDetectorImage(TypedDict):
    """An image in the MegaDetector format; one that failed has no detections."""

    file: str
    failure: NotRequired[str]
    detections: list[MegaDetectorBox] | None


class MegaDetectorConverter:
    """Converts records to images of the MegaDetector format, one at a time.

    Args:
        base_folder: The folder that paths under it become relative to; other paths stay as they are.

    Attributes:
        outside: The number of paths that were not under it.
    """

    def __init__(self, base_folder: str | None = None) -> None:
        self._base = None if base_folder is None else _normalized(base_folder)
        self._classes: dict[str, str] = {}
        self._has_unknown = False
        self.outside = 0

    def image(self, record: Record) -> MegaDetectorImage:
        """Converts one record.

        Every box gets the answer of its image, even a blank one. An answer other than blank without any
        box gets a box around the whole image, with the category "unknown".

        Raises:
            InputError: The record is malformed.
        """
        with record_errors(record):
            file = self._relative(record["filepath"])
            if is_failed(record):
                failure = ", ".join(map(str, record.get("failures", ())))
                return {"file": file, "failure": failure, "detections": None}
            label, score, _ = answer_of(record)
            boxes: list[MegaDetectorBox] = [
                {
                    "category": box["category"],
                    "conf": float(box["conf"]),
                    "bbox": [float(side) for side in box["bbox"]],
                }
                for box in record.get("detections") or []
            ]
            if label is not None:
                if not boxes and label != Classification.BLANK:
                    self._has_unknown = True
                    boxes = [{"category": UNKNOWN_CATEGORY, "conf": score, "bbox": _WHOLE_IMAGE}]
                number = self._classes.setdefault(label, str(len(self._classes)))
                for box in boxes:
                    box["classifications"] = [(number, score)]
        return {"file": file, "detections": boxes}

    def _relative(self, filepath: str) -> str:
        path = with_slashes(filepath)
        if self._base is None:
            return path
        normalized, base = _normalized(filepath), self._base
        if os.path.isabs(normalized) != os.path.isabs(base) and "://" not in path:  # noqa: PTH117
            normalized, base = (_normalized(os.path.abspath(p)) for p in (normalized, base))  # noqa: PTH100
        start = "" if base == "." else base.rstrip("/") + "/"
        is_inside = normalized.startswith(start) if start else not normalized.startswith("../")
        if not is_inside:
            self.outside += 1
            return path
        return normalized[len(start) :]

    @property
    def categories(self) -> Mapping[str, Mapping[str, str]]:
        """The meanings of the numbers in all images so far."""
        detections = {kind.category: kind.value for kind in Detection}
        if self._has_unknown:
            detections[UNKNOWN_CATEGORY] = "unknown"
        return {
            "detection_categories": detections,
            "classification_categories": {
                number: split_label(label).common_name or species_name(label)
                for label, number in self._classes.items()
            },
            "classification_category_descriptions": {
                number: label for label, number in self._classes.items()
            },
        }


def _normalized(path: str) -> str:
    """A path in a spelling that can be compared: ``./survey/`` is ``survey``."""
    return posixpath.normpath(with_slashes(path))


def write_megadetector(
    records: Iterable[Record], path: str | os.PathLike[str], base_folder: str | None = None
) -> int:
    """Writes records as a file of the MegaDetector format, one at a time, whole or not at all.

    Args:
        records: Records of any run.
        path: The file.
        base_folder: See ``MegaDetectorConverter``.

    Returns:
        The number of images.

    Raises:
        InputError: A record is malformed.
        OutputError: The file cannot be written.

    Examples:
        >>> records = [{"filepath": "survey/a.jpg", "detections": []}]
        >>> write_megadetector(records, "md.json", "survey")
        1
    """
    converter = MegaDetectorConverter(base_folder)
    info = {
        "format_version": FORMAT_VERSION,
        "detector": f"speciesnet {speciesnet.__version__}",
    }
    count = 0
    with output_file(path) as part, part.open("wb") as file:
        file.write(b'{\n"info": ' + orjson.dumps(info) + b',\n"images": [')
        for count, record in enumerate(records, start=1):
            image = converter.image(record)
            file.write((b",\n" if count > 1 else b"\n") + encode_record(image))
        file.write(b"\n]")
        for name, meanings in converter.categories.items():
            file.write(b",\n" + orjson.dumps(name) + b": " + orjson.dumps(meanings))
        file.write(b"\n}\n")
    if converter.outside:
        logging.warning(
            "%d of %d files are not under %s: their paths stay as they are.",
            converter.outside,
            count,
            base_folder,
        )
    return count
