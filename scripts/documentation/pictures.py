"""Makes the pictures of the documentation from the demo's own sample images.

PYTHONPATH=scripts python -m documentation.pictures

Every picture shows an answer of the demo model, with the boxes that it is based on.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from speciesnet import BBox, SpeciesNet, draw_bboxes, load_rgb_image
from speciesnet.images.instances import SAMPLE_IMAGES
from speciesnet.records import Record

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDTH = 640  # pixels
MAX_BYTES = 60_000
QUALITIES = range(85, 30, -5)
SHOWN_ABOVE = 0.2  # confidence of a box: below it the decision table takes none into account
CAPTION_HEIGHT = 56
FONT_SIZE = 19
DARK, LIGHT = "#1d2b22", "#ffffff"


@dataclass(frozen=True)
class Subject:
    """One picture.

    Attributes:
        name: Its file name, without the extension.
        sample: Path of the sample image, under the folder of the samples.
        country: The country passed to the model, or None.
        brightness: A factor for its values: dark pictures make a model uncertain.
    """

    name: str
    sample: str
    country: str | None = None
    brightness: float = 1.0


SUBJECTS = (
    Subject("classifier", "cam02_mill_creek/IMG_0002.jpg"),
    Subject("blank", "cam01_oak_ridge/IMG_0006.jpg"),
    Subject("detector_human", "cam03_forest_gate/IMG_0002.jpg"),
    Subject("detector_vehicle", "cam03_forest_gate/IMG_0003.jpg"),
    Subject("detector_animal", "cam01_oak_ridge/IMG_0003.jpg"),
    Subject("rollup", "cam01_oak_ridge/IMG_0002.jpg", brightness=0.5),
    Subject("geofence", "cam01_oak_ridge/IMG_0001.jpg", country="KEN"),
    Subject("unknown", "cam01_oak_ridge/IMG_0004.jpg", brightness=0.45),
)
OVERVIEW = (
    "cam01_oak_ridge/IMG_0005.jpg",
    "cam02_mill_creek/IMG_0003.jpg",
    "cam04_grenzwald/IMG_0001.jpg",
    "cam05_waterhole/IMG_0002.jpg",
)


def main() -> None:
    """Writes all pictures and prints what each shows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, default=IMAGES, help="where they go")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)

    model = SpeciesNet("demo", precision="fp32")
    for subject in SUBJECTS:
        image, record = answer(model, subject)
        write(with_caption(marked(image, record), caption(record)), folder / f"{subject.name}.jpg")
    cells = []
    for sample in OVERVIEW:
        image, record = answer(model, Subject("overview", sample))
        cells.append(with_caption(marked(image, record), caption(record)[:1]))
    write(side_by_side(cells), folder / "overview.jpg")


def answer(model: SpeciesNet, subject: Subject) -> tuple[Image.Image, Record]:
    """The image as the model sees it, and its record."""
    image = load_rgb_image(str(SAMPLE_IMAGES / subject.sample))
    assert image is not None
    image = ImageEnhance.Brightness(image).enhance(subject.brightness)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.png"
        image.save(path)
        predictions = model.predict(filepaths=[str(path)], country=subject.country)
    assert predictions is not None
    return image, predictions["predictions"][0]


def marked(image: Image.Image, record: Mapping[str, Any]) -> Image.Image:
    """The image with its relevant boxes, at the common width."""
    boxes = [
        BBox(*detection["bbox"])
        for detection in record["detections"]
        if detection["conf"] > SHOWN_ABOVE
    ]
    drawn = draw_bboxes(image, boxes)
    return drawn.resize((WIDTH, round(WIDTH * image.height / image.width)))


def caption(record: Mapping[str, Any]) -> list[str]:
    """Two lines: the answer, and its source."""
    label = record["prediction"].rsplit(";", 1)[-1]
    place = f", country {record['country']}" if "country" in record else ""
    return [
        f"{label}  {record['prediction_score']:.2f}",
        f"prediction_source: {record['prediction_source']}{place}",
    ]


def with_caption(image: Image.Image, lines: Sequence[str]) -> Image.Image:
    """The image with lines of text below it."""
    height = CAPTION_HEIGHT if len(lines) > 1 else CAPTION_HEIGHT * 5 // 8
    framed = Image.new("RGB", (image.width, image.height + height), DARK)
    framed.paste(image)
    draw = ImageDraw.Draw(framed)
    font = ImageFont.load_default(FONT_SIZE)
    for number, line in enumerate(lines):
        draw.text((12, image.height + 5 + number * (FONT_SIZE + 5)), line, LIGHT, font)
    return framed


def side_by_side(images: Sequence[Image.Image]) -> Image.Image:
    """Four images of one size, in two rows."""
    width, height = images[0].size
    sheet = Image.new("RGB", (2 * width, 2 * height))
    for number, image in enumerate(images):
        sheet.paste(image, (number % 2 * width, number // 2 * height))
    return sheet.resize((width * 3 // 2, height * 3 // 2))


def write(image: Image.Image, path: Path) -> None:
    """Writes a JPEG at the highest quality that is small enough."""
    data = b""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True, progressive=True)
        data = buffer.getvalue()
        if len(data) <= MAX_BYTES:
            break
    path.write_bytes(data)
    sys.stdout.write(f"{path.name}: {image.width}x{image.height}, {len(data) / 1000:.0f} kB\n")


if __name__ == "__main__":
    main()
