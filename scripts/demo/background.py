"""What the demo's detector mistakes for an object although nothing is there.

The program passes the detector's best box to the classifier, however low its confidence. So the
classifier must recognize the detector's mistakes as blank.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from demo.dataset import Example
from speciesnet.detector import letterbox, scale_boxes, select_boxes
from speciesnet.engines.select import load_detector_engine

Box = tuple[float, float, float, float]
OF_EMPTY, OF_OTHERS = 3, 1  # boxes of an empty picture and of one with an object


def background_boxes(examples: Sequence[Example], detector: Path) -> list[list[Box]]:
    """For each picture, the detector's best boxes (x0, y0, x1, y1 in pixels) that touch no object."""
    engine = load_detector_engine(detector)
    found = []
    for example in examples:
        with Image.open(example.path) as file:
            image = np.asarray(file.convert("RGB"))
        fitted = letterbox(image, engine.image_size, engine.stride)
        boxes, _, _ = select_boxes(engine(fitted[None])[0])
        boxes = scale_boxes(boxes, fitted.shape[:2], image.shape[:2])
        free = [
            box for box in boxes.tolist() if not any(_touch(box, t.box) for t in example.things)
        ]
        found.append([tuple(box) for box in free[: OF_OTHERS if example.things else OF_EMPTY]])
    return found


def _touch(a: Sequence[float], b: Sequence[float]) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])
