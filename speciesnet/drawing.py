"""Boxes drawn over photographs."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from speciesnet.boxes import BBox

COLOUR = "#ff3b30"
RELATIVE_LINE_WIDTH = 1 / 300  # of the longest side


def draw_bboxes(img: Image.Image, bboxes: Sequence[BBox]) -> Image.Image:
    """A copy of an image with the outline of each box; boxes are relative to the image."""
    drawn = img.copy()
    draw = ImageDraw.Draw(drawn)
    line = max(round(max(img.size) * RELATIVE_LINE_WIDTH), 2)
    for bbox in bboxes:
        left, top, width, height = bbox.crop(*img.size)
        draw.rectangle((left, top, left + width - 1, top + height - 1), outline=COLOUR, width=line)
    return drawn
