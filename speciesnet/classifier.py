"""Classifier: names the species in a photograph or in a crop."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
from absl import logging
from numpy.typing import NDArray
from PIL import Image

from speciesnet.constants import TOP_CLASSES, Failure
from speciesnet.engines.base import ClassifierEngine, Engine, EngineOptions, Precision
from speciesnet.engines.select import load_classifier_engine
from speciesnet.ensemble.taxonomy import LABEL_PARTS
from speciesnet.errors import InputError, ModelError
from speciesnet.files.input_notes import counted, plural
from speciesnet.files.packages.info import ModelInfo
from speciesnet.files.storage import read_text
from speciesnet.images.decoding import PreprocessedImage, to_array
from speciesnet.records import Classifications, Record, make_record
from speciesnet.records.boxes import BBox

IMAGE_SIZE = 480  # pixels, both sides of the network's input
MAX_CROPPED_ROWS = 400  # the full-image model drops at most this many rows ...
KEPT_TENTHS = 7  # ... and keeps at least this many tenths of them
MAX_INPUTS = 8  # images with a list of inputs that the network takes together

# The classifier's input for an image: a single one, or one for each box.
ClassifierInput: TypeAlias = "PreprocessedImage | Sequence[PreprocessedImage] | None"


def crop_to_box(image: NDArray[np.uint8], bboxes: Sequence[BBox]) -> NDArray[np.uint8]:
    """The part of an image (H, W, 3) inside the first box; the whole image if there are no boxes."""
    if not bboxes:
        return image
    left, top, width, height = bboxes[0].crop(image.shape[1], image.shape[0])
    return image[top : top + height, left : left + width]


def crop_rows(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle rows of an image (H, W, 3), without the strips that cameras print."""
    height = image.shape[0]
    rows = max(height * KEPT_TENTHS // 10, height - MAX_CROPPED_ROWS, 1)
    top = (height - rows) // 2
    return image[top : top + rows]


def resize_bilinear(image: NDArray[np.uint8], size: int = IMAGE_SIZE) -> NDArray[np.uint8]:
    """Resizes as ``tf.image.resize`` does by default: bilinear, half-pixel centers, no antialiasing.

    Args:
        image: Shape (H, W, 3).
        size: Width and height of the result, in pixels.

    Returns:
        Shape (size, size, 3).

    Examples:
        >>> resize_bilinear(np.full((2, 4, 3), 7, np.uint8), size=1).tolist()
        [[[7, 7, 7]]]
    """
    top, bottom, y = _interpolation(image.shape[0], size)
    left, right, x = _interpolation(image.shape[1], size)
    y, x = y[:, None, None], x[None, :, None]

    def scaled(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        # Multiplication, not division: for some values they differ in the last bit.
        numbers = pixels.astype(np.float32)
        numbers *= np.float32(1 / 255)
        return numbers

    def between(
        first: NDArray[np.float32], second: NDArray[np.float32], weight: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        second -= first  # in place: half the time
        second *= weight
        second += first
        return second

    def across(rows: NDArray[np.intp]) -> NDArray[np.float32]:
        part = image[rows]
        return between(scaled(part[:, left]), scaled(part[:, right]), x)

    resized = between(across(top), across(bottom), y)
    resized *= np.float32(255.5)
    return resized.astype(np.uint8)


def _interpolation(
    old: int, new: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Neighbors of each new pixel along one axis, and the weight of the second one."""
    scale = np.float32(old) / np.float32(new)
    position = (np.arange(new, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    floor = np.floor(position)
    first = np.maximum(floor.astype(np.intp), 0)
    second = np.minimum(np.ceil(position).astype(np.intp), old - 1)
    return first, second, position - floor


def fit(
    img: Image.Image | NDArray[np.uint8] | None,
    bboxes: Sequence[BBox] | None = None,
    *,
    always_crop: bool,
    resize: bool = True,
) -> PreprocessedImage | None:
    """Crops and resizes an RGB image; None stays None.

    Args:
        img: The image at full resolution.
        bboxes: Detections, most confident first.
        always_crop: Whether to crop to the first detection; if False, the two strips are cut off.
        resize: Whether to resize the crop to the size of the network's input.
    """
    if img is None:
        return None
    array = to_array(img)
    height, width = array.shape[:2]
    part = crop_to_box(array, bboxes or []) if always_crop else crop_rows(array)
    return PreprocessedImage(resize_bilinear(part) if resize else part, width, height)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities along the last axis."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


class SpeciesNetClassifier:
    """The classifier of a model package.

    Args:
        model_name: See ``ModelInfo``.
        target_species_txt: File with one label per line, whose logits are reported for every image;
            labels that the model does not have are left out.
        device: "cpu", "cuda", "mps", or None for the best device available.
        force_model_download: Downloads the package again.
        engine: Name of the engine; see ``EngineOptions``.
        precision: Numeric precision of the network; see ``EngineOptions``.
        threads: CPU threads; see ``EngineOptions``.

    Raises:
        ModelError: The package or its classifier cannot be read.
        InputError: The file of target species cannot be read.
    """

    def __init__(
        self,
        model_name: str | ModelInfo,
        target_species_txt: str | None = None,
        device: str | None = None,
        force_model_download: bool = False,
        *,
        engine: Engine = "auto",
        precision: Precision = "fp32",
        threads: int | None = None,
    ) -> None:
        self.model_info = ModelInfo.of(model_name, force_download=force_model_download)
        self.labels = self.model_info.read_lines("classifier_labels")
        _check_labels(self.labels, self.model_info.classifier_labels)
        self.target_labels = _read_targets(target_species_txt, self.labels)
        self.engine: ClassifierEngine = load_classifier_engine(
            self.model_info.classifier, EngineOptions(engine, precision, device, threads)
        )
        if self.engine.classes != len(self.labels):
            raise ModelError(
                f"The classifier {self.model_info.classifier} has {self.engine.classes} outputs but "
                f"{self.model_info.classifier_labels} has {len(self.labels)} labels; "
                "the numbers must be equal."
            )

    def preprocess(
        self,
        img: Image.Image | NDArray[np.uint8] | None,
        bboxes: Sequence[BBox] | None = None,
        resize: bool = True,
    ) -> PreprocessedImage | None:
        """Crops and resizes an image as this model requires; see ``fit``."""
        return fit(img, bboxes, always_crop=self.model_info.always_crops, resize=resize)

    def preprocess_boxes(
        self,
        img: Image.Image | NDArray[np.uint8] | None,
        bboxes: Sequence[BBox],
        resize: bool = True,
    ) -> list[PreprocessedImage] | None:
        """One input for each box of an image, for ``predict``; None for an image that cannot be read.

        For a model that classifies whole images, each input is the whole image.
        """
        if img is None:
            return None
        array = to_array(img)
        inputs = (self.preprocess(array, [bbox], resize) for bbox in bboxes)
        return [cropped for cropped in inputs if cropped is not None]

    def predict(
        self, filepath: str, img: ClassifierInput, num_classes: int | None = TOP_CLASSES
    ) -> Record:
        """Classifies one image.

        Args:
            filepath: The image.
            img: Its input, or a list with one input per box; None if it cannot be read.
            num_classes: The number of classes, best first; None means all.

        Returns:
            ``{"filepath", "classifications", "classifications_list"}``, or ``{"filepath",
            "failures"}`` for None. The list contains only the classifications, for programs written
            for version 5.0.6 or later of the published package. For a list of inputs, the result has
            only the path and the list.
        """
        return self.batch_predict([filepath], [img], num_classes)[0]

    def batch_predict(
        self,
        filepaths: Sequence[str],
        imgs: Sequence[ClassifierInput],
        num_classes: int | None = TOP_CLASSES,
    ) -> list[Record]:
        """Does the same as ``predict`` for several images."""
        inputs = [[img] if isinstance(img, PreprocessedImage) else list(img or ()) for img in imgs]
        found: list[Classifications] = []
        flat = [each for several in inputs for each in several]
        has_lists = any(isinstance(img, list | tuple) for img in imgs)
        size = MAX_INPUTS if has_lists else len(flat) or 1
        for start in range(0, len(flat), size):
            found += self.classify(flat[start : start + size], num_classes)
        answers = iter(found)
        return [
            make_record(filepath, [Failure.CLASSIFIER])
            if img is None
            else _record_of(filepath, img, [next(answers) for _ in several])
            for filepath, img, several in zip(filepaths, imgs, inputs, strict=True)
        ]

    def classify(
        self, imgs: Sequence[PreprocessedImage], num_classes: int | None = TOP_CLASSES
    ) -> list[Classifications]:
        """``{"classes", "scores"[, "target_classes", "target_logits"]}`` of preprocessed images.

        Args:
            imgs: The images.
            num_classes: The number of classes, best first; None means all.
        """
        if not imgs:
            return []
        logits = self.engine(np.stack([img.arr for img in imgs]))
        rows = zip(logits, softmax(logits), strict=True)
        return [self._top_classes(*row, num_classes) for row in rows]

    def _top_classes(
        self, logits: NDArray[np.float32], scores: NDArray[np.float32], count: int | None
    ) -> Classifications:
        best = np.argsort(-scores, kind="stable")[:count]
        classifications: Classifications = {
            "classes": [self.labels[index] for index in best],
            "scores": scores[best].tolist(),
        }
        if self.target_labels is not None:
            classifications["target_classes"] = list(self.target_labels)
            classifications["target_logits"] = [
                float(logits[index]) for index in self.target_labels.values()
            ]
        return classifications


def _record_of(filepath: str, img: ClassifierInput, found: list[Classifications]) -> Record:
    is_one = isinstance(img, PreprocessedImage)
    record = make_record(filepath, classifications=found[0] if is_one else None)
    # Published since 5.0.6, but never written to a predictions file.
    return cast("Record", record | {"classifications_list": found})


def _check_labels(labels: Sequence[str], path: Path) -> None:
    for number, label in enumerate(labels, start=1):
        parts = len(label.split(";"))
        if parts != LABEL_PARTS:
            raise ModelError(
                f"Line {number} of {path} is {label!r}, with {parts} parts; a label has {LABEL_PARTS}."
            )


def _read_targets(target_species_txt: str | None, labels: Sequence[str]) -> dict[str, int] | None:
    """Class index of each target label that the model knows, in the order of the file."""
    if target_species_txt is None:
        return None
    if note := note_on_targets(target_species_txt, labels):
        logging.warning("%s", note)
    indices = {label: index for index, label in enumerate(labels)}
    return {line: indices[line] for line in _targets_in(target_species_txt) if line in indices}


def note_on_targets(target_species_txt: str | None, labels: Collection[str]) -> str:
    """A sentence on target labels that the model does not know; empty if it knows all of them.

    Args:
        target_species_txt: File with one label per line; None if there are no target labels.
        labels: The labels of the model.

    Raises:
        InputError: The file cannot be read, or is empty.
    """
    if target_species_txt is None:
        return ""
    lines, known = _targets_in(target_species_txt), set(labels)
    unknown = [line for line in lines if line not in known]
    if not unknown:
        return ""
    are = plural(
        len(unknown),
        "is not a label of this model and is left out",
        "are not labels of this model and are left out",
    )
    return (
        f"{len(unknown)} of {counted(len(lines), 'line')} of {target_species_txt} {are}; the first is "
        f"{unknown[0]!r}."
    )


def _targets_in(target_species_txt: str) -> list[str]:
    try:
        text = read_text(target_species_txt)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The target species file {target_species_txt} cannot be read ({error}); "
            "it must be a UTF-8 text file with one label per line."
        ) from error
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not lines:
        raise InputError(
            f"The target species file {target_species_txt} is empty; it must have one label per line."
        )
    return lines
