"""Non-maximum suppression of bounding boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speciesnet.records.boxes import Boxes

IOU_THRESHOLD = 0.45  # for the detector, as in MegaDetector


def non_maximum_suppression(
    boxes: Boxes, scores: NDArray[np.float32], iou_threshold: float, at_most: int
) -> NDArray[np.intp]:
    """Greedily suppresses boxes that overlap a better one.

    Args:
        boxes: Corners, shape (boxes, 4), in any unit.
        scores: Shape (boxes,).
        iou_threshold: A box is dropped if its intersection over union with a kept box is greater.
        at_most: Maximum number of boxes to keep.

    Returns:
        Indices of the boxes kept, best first.
    """
    candidates = np.argsort(-scores, kind="stable")
    sizes = boxes[:, 2:] - boxes[:, :2]
    areas = sizes[:, 0] * sizes[:, 1]
    kept: list[int] = []
    while candidates.size and len(kept) < at_most:
        best, candidates = candidates[0], candidates[1:]
        kept.append(int(best))
        top_left = np.maximum(boxes[best, :2], boxes[candidates, :2])
        bottom_right = np.minimum(boxes[best, 2:], boxes[candidates, 2:])
        overlap = np.maximum(bottom_right - top_left, 0)
        intersection = overlap[:, 0] * overlap[:, 1]
        union = areas[best] + areas[candidates] - intersection
        with np.errstate(invalid="ignore"):  # 0 / 0: boxes without area suppress nothing
            overlaps_too_much = (intersection / union).astype(np.float64) > iou_threshold
        candidates = candidates[~overlaps_too_much]
    return np.array(kept, dtype=np.intp)
