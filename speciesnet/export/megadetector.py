"""The MegaDetector format, which Timelapse imports.

https://github.com/agentmorris/MegaDetector/tree/main/megadetector/api/batch_processing#megadetector-batch-output-format
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping
from typing import IO, Any

import orjson
from absl import logging

import speciesnet
from speciesnet.constants import Classification, Detection
from speciesnet.export.files import written_whole
from speciesnet.predictions.layout import encode_record
from speciesnet.records import Record, answer_of, is_failed, named
from speciesnet.taxonomy import species_name, split_label

FORMAT_VERSION = "1.5"
UNKNOWN_CATEGORY = "4"  # of a box that stands for a whole image
_WHOLE_IMAGE = [0.0, 0.0, 1.0, 1.0]


class MegaDetectorConverter:
    """Turns records into images of the MegaDetector format, one at a time.

    Args:
        base_folder: Paths under it become relative to it; others stay as they are.

    Attributes:
        outside: How many paths were not under it.
    """

    def __init__(self, base_folder: str | None = None) -> None:
        self._base = None if base_folder is None else _plain(base_folder)
        self._classes: dict[str, str] = {}
        self._has_unknown = False
        self.outside = 0

    def image(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The image of a record, ``{"file", "detections"[, "failure"]}``.

        Every box carries the image's answer, also that it is blank. An answer other than blank without
        any box gets a box around the whole image, of the category "unknown".

        Raises:
            InputError: The record is malformed.
        """
        with named(record):
            file = self._relative(record["filepath"])
            if is_failed(record):
                failure = ", ".join(map(str, record["failures"]))
                return {"file": file, "failure": failure, "detections": None}
            label, score, _ = answer_of(record)
            boxes = [
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
                    box["classifications"] = [[number, score]]
        return {"file": file, "detections": boxes}

    def _relative(self, filepath: str) -> str:
        path = _with_slashes(filepath)
        if self._base is None:
            return path
        plain, base = _plain(filepath), self._base
        if os.path.isabs(plain) != os.path.isabs(base) and "://" not in path:  # noqa: PTH117
            plain, base = (_plain(os.path.abspath(p)) for p in (plain, base))  # noqa: PTH100
        start = "" if base == "." else base.rstrip("/") + "/"
        is_inside = plain.startswith(start) if start else not plain.startswith("../")
        if not is_inside:
            self.outside += 1
            return path
        return plain[len(start) :]

    @property
    def categories(self) -> dict[str, Any]:
        """What the numbers in all images so far mean."""
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


def _with_slashes(path: str) -> str:
    return path.replace("\\", "/")


def _plain(path: str) -> str:
    """A path in the spelling that can be compared: ``./survey/`` is ``survey``."""
    return posixpath.normpath(_with_slashes(path))


def write_megadetector(
    records: Iterable[Record], path: str | os.PathLike[str], base_folder: str | None = None
) -> int:
    """Writes records as a file of the MegaDetector format, one at a time, at once or not at all.

    Args:
        records: Of any run.
        path: The file.
        base_folder: See ``MegaDetectorConverter``.

    Returns:
        How many images it holds.

    Raises:
        InputError: A record is malformed.
        OutputError: The file cannot be written.
    """
    converter = MegaDetectorConverter(base_folder)
    with written_whole(path) as part, part.open("wb") as file:
        count = _write(records, file, converter)
    if converter.outside:
        logging.warning(
            "%d of %d files are not under %s: their paths stay as they are.",
            converter.outside,
            count,
            base_folder,
        )
    return count


def _write(records: Iterable[Record], file: IO[bytes], converter: MegaDetectorConverter) -> int:
    info = {
        "format_version": FORMAT_VERSION,
        "detector": f"speciesnet {speciesnet.__version__}",
    }
    file.write(b'{\n"info": ' + orjson.dumps(info) + b',\n"images": [')
    count = 0
    for count, record in enumerate(records, start=1):
        file.write((b",\n" if count > 1 else b"\n") + encode_record(converter.image(record)))
    file.write(b"\n]")
    for name, meanings in converter.categories.items():
        file.write(b",\n" + orjson.dumps(name) + b": " + orjson.dumps(meanings))
    file.write(b"\n}\n")
    return count
