"""The MegaDetector format, which Timelapse imports.

https://github.com/agentmorris/MegaDetector/tree/main/megadetector/api/batch_processing#megadetector-batch-output-format
"""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

import orjson
from absl import logging
from typing_extensions import NotRequired

from speciesnet.constants import Detection
from speciesnet.ensemble.taxonomy import BLANK, UNKNOWN, category_of
from speciesnet.export.files import output_file
from speciesnet.export.megadetector_info import (
    DETECTION_CATEGORIES,
    UNKNOWN_CATEGORY,
    ClassNumbers,
    Origin,
    file_info,
    is_human,
)
from speciesnet.files.input_notes import counted
from speciesnet.files.paths import with_slashes
from speciesnet.predictions.layout import encode_record
from speciesnet.records import (
    Box,
    Record,
    answer_of,
    bare_box,
    is_classified,
    record_errors,
)
from speciesnet.records.failures import is_failed
from speciesnet.survey.counts import answer_of_box
from speciesnet.survey.people import kind_of, unmentioned
from speciesnet.survey.smoothing import follows_sequence

_WHOLE_IMAGE = [0.0, 0.0, 1.0, 1.0]
# The category of the boxes that carry an answer; animal boxes carry all other answers.
_CARRIERS = {Detection.HUMAN.value: Detection.HUMAN, Detection.VEHICLE.value: Detection.VEHICLE}
_SHOWN = {Detection.HUMAN: "people", Detection.VEHICLE: "vehicles"}
_VIDEO_ENDINGS = (".mp4", ".avi", ".mpeg", ".mpg", ".mov", ".mkv", ".flv")


class MegaDetectorBox(TypedDict):
    """A detection in the MegaDetector format; each classification is [class number, score]."""

    category: str
    conf: float
    bbox: Sequence[float]
    frame_number: NotRequired[int]
    classifications: NotRequired[list[tuple[str, float]]]


class MegaDetectorImage(TypedDict):
    """An image in the MegaDetector format; one that failed has no detections."""

    file: str
    failure: NotRequired[str]
    frame_rate: NotRequired[float]
    frames_processed: NotRequired[list[int]]
    detections: list[MegaDetectorBox] | None


class MegaDetectorConverter:
    """Converts records to images in the MegaDetector format, one at a time.

    Args:
        base_folder: Paths under this folder become relative to it; other paths stay unchanged.

    Attributes:
        outside: The number of paths outside ``base_folder``.
        classifier: The name of the classifier, or None until an image has an answer.
        counts: The number of images by what they show.
    """

    def __init__(self, base_folder: str | None = None) -> None:
        self._base = None if base_folder is None else _normalized(base_folder)
        self._classes = ClassNumbers()
        self._has_unknown = False
        self.outside = 0
        self.classifier: str | None = None
        self.counts: Counter[str] = Counter(images=0)

    def image(self, record: Record) -> MegaDetectorImage:
        """Converts one record.

        A box with its own answer keeps it, even if it is blank; if some boxes were classified, the
        others have no answer. If no box was classified, the image's answer goes to the boxes of the
        same
        category: animals, people or vehicles. If no box has the image's answer, and that answer is
        not blank, a box around the whole image is added for it, with the category "unknown".

        Raises:
            InputError: The record is malformed.
        """
        self.counts["images"] += 1
        with record_errors(record):
            file = self._relative(record["filepath"])
            label, score, _ = answer_of(record)
            if is_failed(record) or (label is None and record.get("detections") is None):
                return self._failed_image(file, record)
            detections = record.get("detections") or []
            boxes = [self._box(box) for box in detections]
            if label is not None:
                self._add_answer(boxes, label, score, detections)
            elif not boxes:
                self.counts["without boxes"] += 1
            if label is not None or any("classifications" in box for box in boxes):
                self.classifier = f"speciesnet {record.get('model_version', '')}".rstrip()
            boxes += [self._stone(box) for box in record.get("stones") or ()]
            for kind in unmentioned(record):
                self.counts[f"{_SHOWN[kind]} next to a different answer"] += 1
        return self._with_frames({"file": file, "detections": boxes}, record)

    @staticmethod
    def _with_frames(image: MegaDetectorImage, record: Record) -> MegaDetectorImage:
        """Adds what the format requires of a film."""
        shown = record.get("frame")
        if shown is None:
            return image
        for box in image["detections"] or ():  # a box around the whole image has no frame yet
            box.setdefault("frame_number", shown["frame_number"])
        return {
            "file": image["file"],
            "frame_rate": float(record.get("frame_rate", 1.0)),
            "frames_processed": record.get("frames_processed", []),
            "detections": image["detections"],
        }

    def _box(self, box: Box) -> MegaDetectorBox:
        """Converts one box, with its own answer if it has one."""
        found = MegaDetectorBox(
            category=kind_of(box).category,
            conf=float(box["conf"]),
            bbox=[float(side) for side in box["bbox"]],
        )
        if "frame_number" in box:
            found["frame_number"] = box["frame_number"]
        label, score, _ = answer_of_box(box)
        if label is not None:
            found["classifications"] = [(self._classes.number_of(label), score)]
        return found

    def _stone(self, box: Box) -> MegaDetectorBox:
        """A box that never moves; MegaDetector's tools make the confidence of such boxes negative."""
        found = self._box(bare_box(box))
        return {**found, "conf": -found["conf"]}

    def _failed_image(self, file: str, record: Record) -> MegaDetectorImage:
        self.counts["failed"] += 1
        failure = ", ".join(map(str, record.get("failures") or ["no result"]))
        image: MegaDetectorImage = {"file": file, "failure": failure, "detections": None}
        if file.lower().endswith(_VIDEO_ENDINGS):  # the format requires these values for films
            image["frame_rate"], image["frames_processed"] = -1.0, []
        return image

    def _add_answer(
        self, boxes: list[MegaDetectorBox], label: str, score: float, detections: Sequence[Box]
    ) -> None:
        """Adds the answer for an image to its boxes, which were converted from ``detections``."""
        kind = Detection.HUMAN.value if is_human(label) else category_of(label)
        self.counts[kind] += 1
        if any(map(follows_sequence, detections)):
            return  # the box that had the answer still does, or follows others to a better one
        carrier = _CARRIERS.get(kind, Detection.ANIMAL).category
        number = self._classes.number_of(label)
        are_classified = any(map(is_classified, detections))
        answered = [box["classifications"][0] for box in boxes if "classifications" in box]
        carrying = [
            box
            for box in boxes
            if not are_classified and box["category"] == carrier and "classifications" not in box
        ]
        if not carrying and kind != BLANK and all(own != number for own, _ in answered):
            self._has_unknown = True
            whole = MegaDetectorBox(category=UNKNOWN_CATEGORY, conf=score, bbox=_WHOLE_IMAGE)
            boxes.append(whole)
            carrying = [whole]
        for box in carrying:
            box["classifications"] = [(number, score)]

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
        """The meanings of the class and category numbers in all images so far."""
        unknown = {UNKNOWN_CATEGORY: UNKNOWN} if self._has_unknown else {}
        return {
            "detection_categories": DETECTION_CATEGORIES | unknown,
            "classification_categories": self._classes.names,
            "classification_category_descriptions": self._classes.labels,
        }


def _normalized(path: str) -> str:
    """A path in a form that can be compared: ``./survey/`` becomes ``survey``."""
    return posixpath.normpath(with_slashes(path))


def write_megadetector(
    records: Iterable[Record],
    path: str | os.PathLike[str],
    base_folder: str | None = None,
    origin: Origin | None = None,
) -> int:
    """Atomically writes records as a file in the MegaDetector format, one record at a time.

    Args:
        records: Records from any run.
        path: The file.
        base_folder: See ``MegaDetectorConverter``.
        origin: Where the records come from; unknown by default.

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
    count = 0
    with output_file(path) as part, part.open("wb") as file:
        file.write(b'{\n"images": [')
        for count, record in enumerate(records, start=1):
            image = converter.image(record)
            file.write((b",\n" if count > 1 else b"\n") + encode_record(image))
        file.write(b"\n]")
        info = file_info(
            origin or Origin(), classifier=converter.classifier, counts=converter.counts
        )
        for name, value in {**converter.categories, "info": info}.items():
            file.write(b",\n" + orjson.dumps(name) + b": " + encode_record(value))
        file.write(b"\n}\n")
    if converter.outside:
        logging.warning(
            "%d of %s not under %s: their paths stay unchanged.",
            converter.outside,
            counted(count, "file is", "files are"),
            base_folder,
        )
    return count
