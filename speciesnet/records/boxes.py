"""Geometry of bounding boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speciesnet.constants import EDGE_TOLERANCE, Classify
from speciesnet.errors import InputError

MIRRORED = (2, 4, 5, 7)  # EXIF orientations

CLASSIFIED_FROM = 0.1  # lowest confidence of a box that gets its own answer, as in SpeciesNet 5.0.6

# How far boxes in files from other programs, some of which do not clip, may exceed their image. In a file
# with another unit, or with right and bottom instead of width and height, some boxes exceed it by more.
UNCLIPPED = 0.1
# Rounding in format 5 can make left and width together exceed 1 by this; such boxes stay unchanged.
ROUNDED_ENDS = 1e-4 + 1e-9

Boxes = NDArray[np.float32]


@dataclass(frozen=True)
class BBox:
    """A box relative to the image: left, top, width and height in [0, 1]."""

    xmin: float
    ymin: float
    width: float
    height: float

    def crop(self, image_width: int, image_height: int) -> tuple[int, int, int, int]:
        """Converts to whole pixels (left, top, width, height), truncated, but at least one pixel in size.

        Examples:
            >>> BBox(0.25, 0.5, 0.5, 0.25).crop(image_width=640, image_height=480)
            (160, 240, 320, 120)
        """
        left = min(max(int(self.xmin * image_width), 0), image_width - 1)
        top = min(max(int(self.ymin * image_height), 0), image_height - 1)
        width = min(max(int(self.width * image_width), 1), image_width - left)
        height = min(max(int(self.height * image_height), 1), image_height - top)
        return left, top, width, height


@dataclass(frozen=True)
class BoxSelection:
    """Selects the boxes that get their own answers: those that SpeciesNet 5.0.6 classifies.

    Attributes:
        threshold: The lowest confidence, in [0, 1].
        limit: The maximum number of boxes per image, most confident first; None means all.

    Examples:
        >>> BoxSelection(limit=1).positions([0.05, 0.3, 0.8])
        [2]
    """

    threshold: float = CLASSIFIED_FROM
    limit: int | None = None

    def positions(self, confidences: Sequence[float]) -> list[int]:
        """The positions of the selected boxes, most confident first."""
        ranked = sorted(range(len(confidences)), key=lambda position: -confidences[position])
        return [i for i in ranked if confidences[i] >= self.threshold][: self.limit]


def selected_boxes(
    classify: Classify, threshold: float | None = None, limit: int | None = None
) -> BoxSelection | None:
    """The selection of boxes that get their own answers; None for "best".

    Args:
        classify: "best" or "all".
        threshold: The lowest confidence of such a box; None means ``CLASSIFIED_FROM``.
        limit: The maximum number of boxes per image; None or a negative number means all.

    Raises:
        InputError: An argument is invalid, or "best" is given with a threshold or a limit.
    """
    if classify not in ("best", "all"):
        raise InputError(f"classify is {classify!r}; it must be best or all.")
    if threshold is not None and not 0 <= threshold <= 1:
        raise InputError(
            f"detection_threshold_for_classification is {threshold}; it must be from 0 to 1."
        )
    if classify == "best":
        if threshold is not None or limit is not None:
            raise InputError(
                "detection_threshold_for_classification and max_classifications_per_image select "
                "boxes, but only images get answers; add classify all, or leave them out."
            )
        return None
    at_most = None if limit is None or limit < 0 else limit
    return BoxSelection(CLASSIFIED_FROM if threshold is None else threshold, at_most)


def inside_image(bbox: Sequence[float], tolerance: float = EDGE_TOLERANCE) -> Sequence[float]:
    """Clips a box that exceeds its image a little; the one rule for boxes from files.

    Args:
        bbox: Left, top, width and height relative to the image.
        tolerance: How far it may exceed the image, relative to it; by default, as far as rounding can.

    Returns:
        The same object for a box inside the image; otherwise its part inside.

    Raises:
        ValueError: A side is NaN or negative, or the box exceeds the image by more: its sides are in
            pixels or in percent, or are left, top, right and bottom.

    Examples:
        >>> inside_image([0.5, 0.2, 0.5003, 0.4])
        [0.5, 0.2, 0.5, 0.4]
    """
    left, top, width, height = bbox
    right, bottom = left + width, top + height
    is_positive = left >= 0 and top >= 0 and width >= 0 and height >= 0  # faster than min()
    if is_positive and right <= 1 + ROUNDED_ENDS and bottom <= 1 + ROUNDED_ENDS:
        return bbox
    is_near = min(left, top) >= -tolerance and max(right, bottom) <= 1 + tolerance
    if not (is_near and min(width, height) >= -EDGE_TOLERANCE):
        raise ValueError(
            f"bbox is {[*bbox]}; it must be left, top, width and height relative to the image, from 0 "
            "to 1"
        )
    left, top = min(max(left, 0.0), 1.0), min(max(top, 0.0), 1.0)
    width, height = min(right, 1.0) - left, min(bottom, 1.0) - top
    return [float(round(max(side, 0.0), 9)) for side in (left, top, width, height)]


def upright_box(bbox: Sequence[float], orientation: int | None) -> list[float]:
    """Converts a box in a mirrored picture, as stored, to a box in the upright picture.

    Args:
        bbox: Left, top, width and height relative to the stored picture.
        orientation: The EXIF orientation. All but the mirrored ones, 2, 4, 5 and 7, change nothing:
            MegaDetector itself turns pictures with 3, 6 and 8.

    Returns:
        The box relative to the upright picture.

    Examples:
        >>> upright_box([0.1, 0.2, 0.3, 0.4], 2)  # mirrored from left to right
        [0.6, 0.2, 0.3, 0.4]
    """
    left, top, width, height = bbox
    right, bottom = (max(round(1 - side, 9), 0.0) for side in (left + width, top + height))
    if orientation == 2:
        return [right, top, width, height]
    if orientation == 4:
        return [left, bottom, width, height]
    if orientation == 5:
        return [top, left, height, width]
    if orientation == 7:
        return [bottom, right, height, width]
    return [left, top, width, height]


def intersection_over_union(one: Sequence[float], other: Sequence[float]) -> float:
    """How much two boxes overlap, in [0, 1]: the area of their intersection over that of their union.

    Args:
        one: Left, top, width and height, in any unit.
        other: Another box in the same unit.

    Examples:
        >>> round(intersection_over_union([0.0, 0.0, 0.2, 0.2], [0.1, 0.0, 0.2, 0.2]), 3)
        0.333
    """
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (one[2] * one[3] + other[2] * other[3] - width * height)


def corners(centres: Boxes) -> Boxes:
    """Converts (x center, y center, width, height) to (x1, y1, x2, y2); shape (boxes, 4)."""
    half = centres[:, 2:4] / 2
    return np.concatenate((centres[:, :2] - half, centres[:, :2] + half), axis=1, dtype=np.float32)
