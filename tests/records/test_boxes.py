"""Geometry of boxes: crops, corners, mirrored images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from speciesnet.images.decoding import read_image, read_metadata, read_photograph
from speciesnet.records.boxes import BBox, corners, upright_box


@pytest.mark.parametrize(
    ("box", "crop"),
    [
        (BBox(0.0, 0.0, 1.0, 1.0), (0, 0, 200, 100)),
        (BBox(0.25, 0.5, 0.5, 0.25), (50, 50, 100, 25)),
        # Truncated, never rounded.
        (BBox(0.0999, 0.0999, 0.1999, 0.1999), (19, 9, 39, 19)),
        # A crop of no pixels is widened to one.
        (BBox(0.5, 0.5, 0.004, 0.5), (100, 50, 1, 50)),
        (BBox(0.5, 0.5, 0.5, 0.009), (100, 50, 100, 1)),
        (BBox(0.5, 0.5, 0.0, 0.0), (100, 50, 1, 1)),
        # At the right and bottom edges too, where there is no pixel further on.
        (BBox(1.0, 1.0, 0.0, 0.0), (199, 99, 1, 1)),
        (BBox(1.0, 0.0, 0.0, 1.0), (199, 0, 1, 100)),
        (BBox(0.9999, 0.9999, 0.0001, 0.0001), (199, 99, 1, 1)),
        # A hair outside the image, as floats may be.
        (BBox(-1e-9, -1e-9, 1.0 + 1e-9, 1.0 + 1e-9), (0, 0, 200, 100)),
        (BBox(0.75, 0.75, 0.26, 0.26), (150, 75, 50, 25)),
    ],
)
def test_crop_in_whole_pixels(box: BBox, crop: tuple[int, int, int, int]) -> None:
    assert box.crop(200, 100) == crop


@given(
    st.builds(BBox, *[st.floats(-0.1, 1.1)] * 4),
    st.integers(1, 5000),
    st.integers(1, 5000),
)
def test_a_crop_has_a_pixel_and_lies_inside(box: BBox, width: int, height: int) -> None:
    left, top, across, down = box.crop(width, height)
    assert 0 <= left < left + across <= width
    assert 0 <= top < top + down <= height


@given(
    st.builds(BBox, *[st.floats(0, 0.5)] * 4),
    st.integers(1, 5000),
    st.integers(1, 5000),
)
def test_a_crop_inside_the_image_is_truncated(box: BBox, width: int, height: int) -> None:
    crop = box.crop(width, height)
    assert crop == (
        int(box.xmin * width),
        int(box.ymin * height),
        int(box.width * width) or 1,
        int(box.height * height) or 1,
    )


def test_corners_of_centres() -> None:
    boxes = np.array([[10, 20, 4, 6], [0.5, 0.5, 1, 1]], dtype=np.float32)
    assert corners(boxes).tolist() == [[8, 17, 12, 23], [0, 0, 1, 1]]
    assert corners(boxes).dtype == np.float32
    assert corners(boxes[:0]).shape == (0, 4)


@pytest.mark.parametrize("orientation", [2, 4, 5, 7])
def test_boxes_of_mirrored_pictures_are_moved_with_them(tmp_path: Path, orientation: int) -> None:
    stored = Image.new("RGB", (100, 50))
    stored.paste("red", (10, 5, 40, 15))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    picture = read_image(str(tmp_path / "a.png"))
    box = upright_box([0.1, 0.1, 0.3, 0.2], orientation)
    left, top, right, bottom = picture.getbbox() or (0, 0, 0, 0)
    assert box == pytest.approx(
        [
            left / picture.width,
            top / picture.height,
            (right - left) / picture.width,
            (bottom - top) / picture.height,
        ]
    )


def as_megadetector_reads_it(path: Path) -> Image.Image:
    """The picture to which MegaDetector's boxes are relative, made by the rules of its ``open_image``."""
    image = Image.open(path)
    if read := getattr(image, "_getexif", None):  # TIFF files have none
        turn = {3: 180, 6: 270, 8: 90}.get(read().get(ExifTags.Base.Orientation), 0)
        image = image.rotate(turn, expand=True)
    image.load()
    return image


def red_box(picture: Image.Image) -> list[float]:
    """The box around the red pixels."""
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    rows, columns = np.nonzero((pixels[..., 0] > 128) & (pixels[..., 1:].max(axis=-1) < 64))
    left, top = columns.min() / picture.width, rows.min() / picture.height
    right, bottom = (columns.max() + 1) / picture.width, (rows.max() + 1) / picture.height
    return [left, top, right - left, bottom - top]


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_of_megadetector_fit_the_upright_picture(
    tmp_path: Path, orientation: int, ending: str
) -> None:
    path = tmp_path / f"a.{ending}"
    stored = Image.new("RGB", (160, 80))
    stored.paste("red", (16, 8, 64, 24))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored.save(path, exif=exif.tobytes(), quality=100)
    picture, metadata = read_photograph(str(path))
    assert read_metadata(str(path)) == metadata
    box = red_box(as_megadetector_reads_it(path))
    assert upright_box(box, metadata.orientation) == pytest.approx(red_box(picture), abs=0.02)


@pytest.mark.parametrize("orientation", [None, 0, 1, 3, 6, 8, 9])
def test_other_boxes_stay(orientation: int | None) -> None:
    assert upright_box([0.1, 0.1, 0.3, 0.2], orientation) == [0.1, 0.1, 0.3, 0.2]
