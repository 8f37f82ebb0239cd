from __future__ import annotations

import numpy as np
from PIL import Image

from speciesnet import BBox, draw_bboxes


def test_outline_is_drawn_on_a_copy() -> None:
    image = Image.new("RGB", (100, 50))
    drawn = np.asarray(draw_bboxes(image, [BBox(0.2, 0.2, 0.5, 0.6)]))
    assert not np.asarray(image).any()
    assert drawn[10, 20].any() and drawn[39, 69].any()
    assert not drawn[25, 45].any() and not drawn[5, 5].any()
