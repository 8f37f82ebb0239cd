"""Draws boxes on photographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from speciesnet.constants import Detection
from speciesnet.records.boxes import BBox

COLOURS = {
    Detection.ANIMAL.value: "#ff3b30",
    Detection.HUMAN.value: "#0a60ff",
    Detection.VEHICLE.value: "#c724b1",
}
RELATIVE_LINE_WIDTH = 1 / 300  # of the image's longest side
RELATIVE_TEXT_SIZE = 1 / 60
LEAST_TEXT_SIZE = 12  # pixels


def draw_bboxes(
    img: Image.Image,
    detections: Sequence[BBox | Mapping[str, Any]],
    names: Sequence[str] | None = None,
) -> Image.Image:
    """Draws the outline of each box on a copy of an image, the first box on top.

    Args:
        img: An image of a mode that supports colors, such as RGB.
        detections: Boxes relative to the image, or detections of a record, which are drawn in the color
            of their label with label and confidence.
        names: The text for each detection, instead of its label and confidence.

    Examples:
        >>> image = Image.new("RGB", (400, 300))
        >>> draw_bboxes(image, [BBox(0.25, 0.25, 0.5, 0.5)]).getpixel((100, 75))
        (255, 59, 48)
    """
    drawn = img.copy()
    draw = ImageDraw.Draw(drawn)
    line = max(round(max(img.size) * RELATIVE_LINE_WIDTH), 2)
    font = ImageFont.load_default(max(round(max(img.size) * RELATIVE_TEXT_SIZE), LEAST_TEXT_SIZE))
    for number, detection in reversed(list(enumerate(detections))):
        is_named = not isinstance(detection, BBox)
        bbox = BBox(*detection["bbox"]) if is_named else detection
        colour = COLOURS.get(detection["label"] if is_named else "", COLOURS["animal"])
        left, top, width, height = bbox.crop(*img.size)
        draw.rectangle((left, top, left + width - 1, top + height - 1), outline=colour, width=line)
        if is_named:
            text = (
                f"{detection['label']} {detection['conf']:.2f}" if names is None else names[number]
            )
            # A long name starts further to the left, so that it ends inside the image.
            width = draw.textbbox((0, 0), text, font=font)[2] + 2 * line
            left = max(min(left, img.width - int(width)), 0)
            around = draw.textbbox((left + line, top + line), text, font=font)
            draw.rectangle((left, top, around[2] + line, around[3] + line), fill=colour)
            draw.text((left + line, top + line), text, fill="white", font=font)
    return drawn
