"""Detector: finds animals, humans and vehicles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from speciesnet.constants import SCORE_THRESHOLD, Detection, Failure
from speciesnet.engines.base import DetectorEngine, Engine, EngineOptions, Precision
from speciesnet.engines.select import load_detector_engine
from speciesnet.files.packages.info import ModelInfo
from speciesnet.images.decoding import PreprocessedImage, to_array
from speciesnet.records import Box, Record, make_record
from speciesnet.records.boxes import Boxes, corners
from speciesnet.records.non_maximum_suppression import IOU_THRESHOLD, non_maximum_suppression

# MegaDetector's own settings, as the published ensemble uses them.
CLASS_OFFSET = 7680.0  # pixels by which each class is shifted, so that classes never overlap
MAX_CANDIDATES = 30_000  # boxes before non-maximum suppression
MAX_DETECTIONS = 300
PADDING_VALUE = 114


def letterbox(image: NDArray[np.uint8], size: int, stride: int) -> NDArray[np.uint8]:
    """Scales an image to ``size`` pixels and pads both axes to a multiple of ``stride``.

    Args:
        image: Shape (H, W, 3).
        size: Longest side of the scaled image, in pixels; smaller images are scaled up.
        stride: Both sides of the result are multiples of this many pixels.

    Returns:
        Shape (H', W', 3), with half of the gray padding on each side and an odd pixel at the bottom
        or right.

    Examples:
        >>> letterbox(np.zeros((1080, 1920, 3), np.uint8), size=1280, stride=64).shape
        (768, 1280, 3)
    """
    height, width = image.shape[:2]
    ratio = min(size / height, size / width)
    new_height, new_width = max(round(height * ratio), 1), max(round(width * ratio), 1)
    if (new_height, new_width) != (height, width):
        image = cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    top, bottom = _halves(-new_height % stride)
    left, right = _halves(-new_width % stride)
    padded = np.full(
        (new_height + top + bottom, new_width + left + right, 3), PADDING_VALUE, dtype=np.uint8
    )
    padded[top : top + new_height, left : left + new_width] = image
    return padded


@dataclass(frozen=True)
class InputShape:
    """How images are fitted to a detector's input.

    Attributes:
        size: Longest side, in pixels.
        stride: Both sides are multiples of this many pixels.
        stretched: Whether images are stretched into squares instead of letterboxed.
    """

    size: int
    stride: int
    stretched: bool = False

    def fit(self, image: NDArray[np.uint8]) -> PreprocessedImage:
        """The network's input for an image of shape (H, W, 3)."""
        if self.stretched:
            fitted = cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        else:
            fitted = letterbox(image, self.size, self.stride)
        return PreprocessedImage(cast("NDArray[np.uint8]", fitted), image.shape[1], image.shape[0])


def _halves(padding: int) -> tuple[int, int]:
    return round(padding / 2 - 0.1), round(padding / 2 + 0.1)


def select_boxes(
    raw: NDArray[np.float32], threshold: float = SCORE_THRESHOLD
) -> tuple[Boxes, NDArray[np.float32], NDArray[np.intp]]:
    """The boxes of one image that survive the thresholds and non-maximum suppression.

    Args:
        raw: Shape (boxes, 5 + classes): x and y of the center, width and height in pixels of the
            letterboxed image, objectness, class probabilities.
        threshold: The value that objectness and confidence must exceed.

    Returns:
        Corners in pixels (n, 4), scores (n,) and classes (n,), best first, n at most 300.
    """
    raw = raw[raw[:, 4] > threshold]
    class_scores = raw[:, 5:] * raw[:, 4:5]
    classes = class_scores.argmax(axis=1)
    scores = class_scores[np.arange(len(raw)), classes]
    above = scores > threshold
    raw, classes, scores = raw[above], classes[above], scores[above]
    if len(raw) > MAX_CANDIDATES:
        best = np.argsort(-scores, kind="stable")[:MAX_CANDIDATES]
        raw, classes, scores = raw[best], classes[best], scores[best]
    boxes = corners(raw[:, :4])
    shifted = boxes + (classes.astype(np.float32) * np.float32(CLASS_OFFSET))[:, None]
    kept = non_maximum_suppression(shifted, scores, IOU_THRESHOLD, MAX_DETECTIONS)
    return boxes[kept], scores[kept], classes[kept]


def scale_boxes(boxes: Boxes, padded: tuple[int, int], original: tuple[int, int]) -> Boxes:
    """Converts corners in the letterboxed image to whole pixels of the original.

    Args:
        boxes: Shape (boxes, 4).
        padded: Height and width of the letterboxed image.
        original: Height and width of the original.
    """
    gain = min(padded[0] / original[0], padded[1] / original[1])
    pad_x = (padded[1] - original[1] * gain) / 2
    pad_y = (padded[0] - original[0] * gain) / 2
    scaled = boxes.copy()
    scaled[:, [0, 2]] -= pad_x
    scaled[:, [1, 3]] -= pad_y
    scaled /= gain
    scaled[:, [0, 2]] = scaled[:, [0, 2]].clip(0, original[1])
    scaled[:, [1, 3]] = scaled[:, [1, 3]].clip(0, original[0])
    return scaled.round()


def relative_boxes(boxes: Boxes, original: tuple[int, int]) -> list[list[float]]:
    """Converts corners in pixels to [xmin, ymin, width, height] in [0, 1].

    Center and size are computed in float32, the rest in float64: crops truncate, so the last bit matters.
    """
    height, width = original
    centre_x = (boxes[:, 0] + boxes[:, 2]) / 2 / width
    centre_y = (boxes[:, 1] + boxes[:, 3]) / 2 / height
    widths = (boxes[:, 2] - boxes[:, 0]) / width
    heights = (boxes[:, 3] - boxes[:, 1]) / height
    return [
        [x - w / 2, y - h / 2, w, h]
        for x, y, w, h in zip(
            centre_x.tolist(), centre_y.tolist(), widths.tolist(), heights.tolist(), strict=True
        )
    ]


def unstretch_boxes(boxes: Boxes, stretched: tuple[int, int], original: tuple[int, int]) -> Boxes:
    """Does the same as ``scale_boxes`` for an image that was stretched."""
    factors = np.array(
        [original[1] / stretched[1], original[0] / stretched[0]] * 2, dtype=np.float32
    )
    limits = np.array([original[1], original[0]] * 2, dtype=np.float32)
    return (boxes * factors).clip(0, limits).round()


def to_detections(
    raw: NDArray[np.float32],
    padded: tuple[int, int],
    original: tuple[int, int],
    *,
    stretched: bool = False,
    threshold: float = SCORE_THRESHOLD,
) -> list[Box]:
    """Turns the network's output for one image into detections, most confident first.

    Args:
        raw: See ``select_boxes``.
        padded: Height and width of the letterboxed image.
        original: Height and width of the original.
        stretched: Whether the image was stretched instead of letterboxed.
        threshold: The value that the confidence of a detection must exceed.
    """
    boxes, scores, classes = select_boxes(raw, threshold)
    scale = unstretch_boxes if stretched else scale_boxes
    relative = relative_boxes(scale(boxes, padded, original), original)
    detections: list[Box] = []
    for bbox, score, index in zip(relative, scores.tolist(), classes.tolist(), strict=True):
        category = str(index + 1)
        label = Detection.from_category(category).value
        detections.append({"category": category, "label": label, "conf": score, "bbox": bbox})
    return detections


class SpeciesNetDetector:
    """The detector of a model package.

    Args:
        model_name: See ``ModelInfo``.
        device: "cpu", "cuda", "mps", or None for the best device available.
        force_model_download: Downloads the package again.
        engine: Name of the engine; see ``EngineOptions``.
        precision: Numeric precision of the network; see ``EngineOptions``.
        threads: CPU threads; see ``EngineOptions``.

    Raises:
        ModelError: The package or its detector cannot be read.
    """

    def __init__(
        self,
        model_name: str | ModelInfo,
        device: str | None = None,
        force_model_download: bool = False,
        *,
        engine: Engine = "auto",
        precision: Precision = "fp32",
        threads: int | None = None,
    ) -> None:
        self.model_info = ModelInfo.of(model_name, force_download=force_model_download)
        self.engine: DetectorEngine = load_detector_engine(
            self.model_info.detector, EngineOptions(engine, precision, device, threads)
        )

    @property
    def input_shape(self) -> InputShape:
        """How images are fitted to the network's input."""
        return InputShape(self.engine.image_size, self.engine.stride, self.engine.stretches)

    def preprocess(self, img: Image.Image | NDArray[np.uint8] | None) -> PreprocessedImage | None:
        """Fits an RGB image to the network's input; None stays None."""
        if img is None:
            return None
        return self.input_shape.fit(to_array(img))

    def predict(self, filepath: str, img: PreprocessedImage | None) -> Record:
        """``{"filepath", "detections"}`` of one image, or ``{"filepath", "failures"}`` for None."""
        return self.batch_predict([filepath], [img])[0]

    def batch_predict(
        self, filepaths: Sequence[str], imgs: Sequence[PreprocessedImage | None]
    ) -> list[Record]:
        """Does the same as ``predict`` for several images with the same letterboxed shape."""
        readable = [img for img in imgs if img is not None]
        detections = iter(self.detect(readable))
        return [
            make_record(filepath, [Failure.DETECTOR])
            if img is None
            else make_record(filepath, detections=next(detections))
            for filepath, img in zip(filepaths, imgs, strict=True)
        ]

    def detect(
        self, imgs: Sequence[PreprocessedImage], threshold: float = SCORE_THRESHOLD
    ) -> list[list[Box]]:
        """Finds the boxes in letterboxed images of the same shape, most confident first.

        Args:
            imgs: The images.
            threshold: The value that the confidence of a box must exceed.
        """
        if not imgs:
            return []
        raw = self.engine(np.stack([img.arr for img in imgs]))
        return [
            to_detections(
                boxes,
                img.arr.shape[:2],
                (img.orig_height, img.orig_width),
                stretched=self.input_shape.stretched,
                threshold=threshold,
            )
            for boxes, img in zip(raw, imgs, strict=True)
        ]
