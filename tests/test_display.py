from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from speciesnet import BBox, draw_bboxes


def test_outline_is_drawn_on_a_copy() -> None:
    image = Image.new("RGB", (100, 50))
    drawn = np.asarray(draw_bboxes(image, [BBox(0.2, 0.2, 0.5, 0.6)]))
    assert not np.asarray(image).any()
    assert drawn[10, 20].any() and drawn[39, 69].any()
    assert not drawn[25, 45].any() and not drawn[5, 5].any()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_detections_are_drawn_in_colours_with_their_names(mode: str) -> None:
    image = Image.new(mode, (300, 200))
    detections = [
        {"category": "1", "label": label, "conf": conf, "bbox": [left, 0.1, 0.4, 0.8]}
        for label, conf, left in (("animal", 0.9, 0.1), ("human", 0.5, 0.5))
    ]
    drawn = draw_bboxes(image, detections)
    colours = {drawn.getpixel((x, 179)) for x in (100, 200)}
    assert len(colours) == 2
    assert drawn.mode == mode
    plain = draw_bboxes(image, [BBox(*detection["bbox"]) for detection in detections])
    named, unnamed = (np.asarray(one.convert("L"))[22:40, 34:90] for one in (drawn, plain))
    assert named.any() and not unnamed.any()
