"""What surrounds the detector's network: letterbox before, boxes after."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from speciesnet.detector import (
    MAX_CANDIDATES,
    MAX_DETECTIONS,
    InputShape,
    letterbox,
    relative_boxes,
    scale_boxes,
    select_boxes,
    to_detections,
    unstretch_boxes,
)
from speciesnet.records.boxes import BBox

# Letterbox.


def white(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 255, dtype=np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "padded", "top", "bottom", "left", "right"),
    [
        # Height, width; then by hand: r = min(1280 / h, 1280 / w), 64 divides each padded side.
        (960, 1280, (960, 1280), 0, 0, 0, 0),
        (1280, 1280, (1280, 1280), 0, 0, 0, 0),
        # 1536 x 2048: r = 0.625, 960 x 1280.
        (1536, 2048, (960, 1280), 0, 0, 0, 0),
        # Upright: 2048 x 1536.
        (2048, 1536, (1280, 960), 0, 0, 0, 0),
        # Up: 3 x 4, r = 320.
        (3, 4, (960, 1280), 0, 0, 0, 0),
        # 720 x 1280: 720 + 48 = 12 * 64, half each side.
        (720, 1280, (768, 1280), 24, 24, 0, 0),
        # 1080 x 1920: r = 2 / 3, 720 x 1280.
        (1080, 1920, (768, 1280), 24, 24, 0, 0),
        # 721 x 1280: 47 rows of padding, the odd one at the bottom.
        (721, 1280, (768, 1280), 23, 24, 0, 0),
        # 719 x 1280: 49 rows.
        (719, 1280, (768, 1280), 24, 25, 0, 0),
        # 1280 x 721: the odd column at the right.
        (1280, 721, (1280, 768), 0, 0, 23, 24),
        # 959 x 1280: one row, below; 897 x 1280: 63 rows.
        (959, 1280, (960, 1280), 0, 1, 0, 0),
        (897, 1280, (960, 1280), 31, 32, 0, 0),
        # 2 x 1280: r = 1, 62 rows.
        (2, 1280, (64, 1280), 31, 31, 0, 0),
        # 1 x 10000: r = 0.128, no row would be left; one stays.
        (1, 10000, (64, 1280), 31, 32, 0, 0),
        # 1 x 512: r = 2.5, 2 rows (2.5 rounds to even).
        (1, 512, (64, 1280), 31, 31, 0, 0),
        # 3 x 2560: r = 0.5, 2 rows (1.5 rounds to even); 5 x 2560: 2 rows too.
        (3, 2560, (64, 1280), 31, 31, 0, 0),
        (5, 2560, (64, 1280), 31, 31, 0, 0),
    ],
)
def test_letterbox_scales_and_pads(
    height: int,
    width: int,
    padded: tuple[int, int],
    top: int,
    bottom: int,
    left: int,
    right: int,
) -> None:
    boxed = letterbox(white(height, width), 1280, 64)
    assert boxed.shape == (*padded, 3)
    assert boxed.dtype == np.uint8
    inner = boxed[top : padded[0] - bottom, left : padded[1] - right]
    assert (inner == 255).all()
    assert (boxed == 114).sum() == boxed.size - inner.size


def test_letterbox_resizes_as_opencv_does() -> None:
    image = np.random.default_rng(1).integers(0, 256, (100, 150, 3), dtype=np.uint8)
    boxed = letterbox(image, 1280, 64)
    # r = 1280 / 150; 853 rows, 43 of padding.
    expected = cv2.resize(image, (1280, 853), interpolation=cv2.INTER_LINEAR)
    assert boxed.shape == (896, 1280, 3)
    assert (boxed[21:874] == expected).all()


def test_letterbox_leaves_an_image_that_fits_as_it_is() -> None:
    image = np.random.default_rng(1).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    boxed = letterbox(image, 128, 64)
    assert (boxed == image).all()


def test_an_input_remembers_the_size_of_the_image() -> None:
    image = InputShape(1280, 64).fit(white(30, 40))
    assert (image.orig_width, image.orig_height) == (40, 30)
    assert (image.arr == letterbox(white(30, 40), 1280, 64)).all()


def test_an_input_can_be_stretched_instead() -> None:
    image = InputShape(640, 32, stretched=True).fit(white(30, 40))
    assert (image.orig_width, image.orig_height) == (40, 30)
    assert image.arr.shape == (640, 640, 3)
    assert (image.arr == 255).all()


# Boxes.


def raw_boxes(*rows: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(rows, dtype=np.float32).reshape(-1, 8)


def test_a_score_is_objectness_times_the_best_class() -> None:
    boxes, scores, classes = select_boxes(raw_boxes((50, 60, 20, 40, 0.5, 0.25, 0.75, 0.5)))
    assert boxes.tolist() == [[40, 40, 60, 80]]
    assert scores.tolist() == [0.375]
    assert classes.tolist() == [1]


@pytest.mark.parametrize(
    ("objectness", "probability", "kept"),
    [
        (0.0101, 1.0, True),
        (0.01, 1.0, False),
        (0.009, 1.0, False),
        (1.0, 0.0101, True),
        (1.0, 0.01, False),
        (0.1, 0.1, True),  # 0.010000001 in float32
        (0.1, 0.11, True),
        (0.02, 0.4, False),
    ],
)
def test_both_thresholds_must_be_exceeded(
    objectness: float, probability: float, kept: bool
) -> None:
    boxes, _, _ = select_boxes(raw_boxes((50, 60, 20, 40, objectness, probability, 0, 0)))
    assert len(boxes) == kept


def test_a_box_has_one_class_only() -> None:
    _, scores, classes = select_boxes(raw_boxes((50, 60, 20, 40, 1.0, 0.75, 0.5, 0.25)))
    assert (scores.tolist(), classes.tolist()) == ([0.75], [0])


def test_boxes_come_best_first_and_overlapping_ones_are_dropped() -> None:
    _, scores, classes = select_boxes(
        raw_boxes(
            (50, 50, 20, 20, 1.0, 0.25, 0, 0),
            (51, 50, 20, 20, 1.0, 0.75, 0, 0),
            (500, 50, 20, 20, 1.0, 0, 0.5, 0),
        )
    )
    assert scores.tolist() == [0.75, 0.5]
    assert classes.tolist() == [0, 1]


def test_boxes_of_different_classes_do_not_suppress_each_other() -> None:
    same_place = [(50, 50, 20, 20, 1.0, 0.5, 0, 0), (50, 50, 20, 20, 1.0, 0, 0, 0.75)]
    _, scores, classes = select_boxes(raw_boxes(*same_place))
    assert (scores.tolist(), classes.tolist()) == ([0.75, 0.5], [2, 0])


def test_classes_are_shifted_in_float32() -> None:
    # One box 388.45 / 1024 pixels below another: their overlap is 0.44996. Shifted by 2 * 7680 they
    # lie 388 / 1024 pixels apart, as float32 knows nothing finer there: 0.45042.
    low = 0.5 + 388.45 / 1024
    for index, kept in ((0, 2), (2, 1)):
        raw = raw_boxes((0.5, 0.5, 1, 1, 1.0, 0, 0, 0), (0.5, low, 1, 1, 0.5, 0, 0, 0))
        raw[:, 5 + index] = 1
        assert len(select_boxes(raw)[0]) == kept


def test_no_box_gives_no_detection() -> None:
    for raw in (raw_boxes(), raw_boxes((50, 60, 20, 40, 0, 1, 1, 1))):
        boxes, scores, classes = select_boxes(raw)
        assert (boxes.shape, scores.shape, classes.shape) == ((0, 4), (0,), (0,))
    assert to_detections(raw_boxes(), (960, 1280), (1536, 2048)) == []


def grid(count: int) -> NDArray[np.float32]:
    """Boxes side by side, ever less confident."""
    raw = np.zeros((count, 8), dtype=np.float32)
    raw[:, 0] = np.arange(count) * 10
    raw[:, 1:4] = 5
    raw[:, 4] = np.linspace(1, 0.5, count)
    raw[:, 5] = 1
    return raw


def test_at_most_300_boxes_are_kept() -> None:
    raw = grid(400)
    _, scores, _ = select_boxes(raw)
    assert len(scores) == MAX_DETECTIONS == 300
    assert scores.tolist() == raw[:300, 4].tolist()


def test_at_most_30000_boxes_enter_the_suppression() -> None:
    # All of them in one place but the least confident one, which comes too late.
    raw = grid(1).repeat(MAX_CANDIDATES + 1, axis=0)
    raw[0, :2] = 500
    raw[0, 4] = 0.5
    assert len(select_boxes(raw)[0]) == 1
    assert len(select_boxes(raw[:-1])[0]) == 2


def test_boxes_scale_back_to_whole_pixels_of_the_original() -> None:
    # 1080 x 1920 became 720 x 1280 with 24 rows above: gain = min(768/1080, 1280/1920) = 2/3.
    boxes = np.array([[100, 124, 200, 324], [100.2, 124.4, 200.5, 324.6]], dtype=np.float32)
    scaled = scale_boxes(boxes, (768, 1280), (1080, 1920))
    # 100 / (2/3) = 150, (124 - 24) / (2/3) = 150; 100.2 -> 150.3, 100.4 -> 150.6.
    assert scaled.tolist() == [[150, 150, 300, 450], [150, 151, 301, 451]]


def test_the_padding_is_halved_exactly_even_where_it_is_odd() -> None:
    # 721 x 1280 has 23 rows above and 24 below; the published code subtracts 23.5.
    boxes = np.array([[0, 23.5, 10, 33.75]], dtype=np.float32)
    assert scale_boxes(boxes, (768, 1280), (721, 1280)).tolist() == [[0, 0, 10, 10]]


def test_the_gain_is_that_of_the_padded_size() -> None:
    # 3 x 1280 is padded to 64 x 1280: gain = min(64/3, 1) = 1, pad = 30.5 rows.
    boxes = np.array([[640, 31.5, 700, 33.5]], dtype=np.float32)
    assert scale_boxes(boxes, (64, 1280), (3, 1280)).tolist() == [[640, 1, 700, 3]]


def test_boxes_are_clipped_to_the_image() -> None:
    boxes = np.array([[-5, -5, 2000, 2000], [-9, -9, -1, -1]], dtype=np.float32)
    scaled = scale_boxes(boxes, (960, 1280), (960, 1280))
    assert scaled.tolist() == [[0, 0, 1280, 960], [0, 0, 0, 0]]


def test_halves_of_pixels_round_to_even() -> None:
    boxes = np.array([[0.5, 1.5, 2.5, 3.5]], dtype=np.float32)
    assert scale_boxes(boxes, (64, 64), (64, 64)).tolist() == [[0, 2, 2, 4]]


def test_scaling_leaves_its_argument_alone() -> None:
    boxes = np.array([[1, 2, 3, 4]], dtype=np.float32)
    scale_boxes(boxes, (768, 1280), (1080, 1920))
    assert boxes.tolist() == [[1, 2, 3, 4]]


def test_boxes_of_a_stretched_image_scale_back_on_each_axis() -> None:
    boxes = np.array([[64, 64, 320, 640], [-5, 0.1, 700, 700]], dtype=np.float32)
    scaled = unstretch_boxes(boxes, (640, 640), (1080, 1920))
    assert scaled.tolist() == [[192, 108, 960, 1080], [0, 0, 1920, 1080]]


def test_relative_boxes_of_round_numbers() -> None:
    boxes = np.array([[64, 32, 192, 96], [0, 0, 256, 128]], dtype=np.float32)
    assert relative_boxes(boxes, (128, 256)) == [[0.25, 0.25, 0.5, 0.5], [0, 0, 1, 1]]


def test_centre_and_size_are_float32_and_the_rest_is_not() -> None:
    boxes = np.array([[1, 2, 4, 9]], dtype=np.float32)
    [[xmin, ymin, width, height]] = relative_boxes(boxes, (7, 3))
    assert width == float(np.float32(3) / np.float32(3)) == 1.0
    assert height == float(np.float32(7) / np.float32(7)) == 1.0
    x_centre, y_centre = (
        float(np.float32(2.5) / np.float32(3)),
        float(np.float32(5.5) / np.float32(7)),
    )
    assert (xmin, ymin) == (x_centre - 0.5, y_centre - 0.5)
    assert xmin != 1 / 3
    assert ymin != 2 / 7


def test_a_box_of_the_golden_files_to_the_last_digit() -> None:
    # The elephants' photograph is 2048 x 1536; the second animal, corners counted back in pixels.
    boxes = np.array([[1156, 648, 1330, 905]], dtype=np.float32)
    assert relative_boxes(boxes, (1536, 2048)) == [
        [0.564453125, 0.4218750223517418, 0.0849609375, 0.1673177033662796]
    ]


@pytest.mark.parametrize("output", ["small_random", "small_random_b"])
def test_every_box_of_the_published_program_to_the_last_digit(shared: Path, output: str) -> None:
    path = shared / "golden" / f"{output}_predictions.json"
    for record in json.loads(path.read_text(encoding="utf-8"))["predictions"]:
        with Image.open(shared / record["filepath"]) as image:
            width, height = ImageOps.exif_transpose(image).size
        expected = [detection["bbox"] for detection in record["detections"]]
        corners = [
            [x * width, y * height, (x + across) * width, (y + down) * height]
            for x, y, across, down in expected
        ]
        boxes = np.array(corners).round().astype(np.float32)
        assert np.abs(boxes - corners).max() < 0.01
        assert relative_boxes(boxes, (height, width)) == expected


def test_detections_name_their_category() -> None:
    raw = raw_boxes(
        (64, 64, 64, 64, 1.0, 0.5, 0, 0),
        (64, 64, 64, 64, 1.0, 0, 0.75, 0),
        (64, 64, 64, 64, 1.0, 0, 0, 0.25),
    )
    detections = to_detections(raw, (128, 128), (128, 128))
    assert [list(detection) for detection in detections] == [
        ["category", "label", "conf", "bbox"]
    ] * 3
    assert [(d["category"], d["label"], d["conf"]) for d in detections] == [
        ("2", "human", 0.75),
        ("1", "animal", 0.5),
        ("3", "vehicle", 0.25),
    ]
    assert detections[0]["bbox"] == [0.25, 0.25, 0.5, 0.5]


def test_a_box_that_rounds_to_no_width_can_still_be_cropped() -> None:
    raw = raw_boxes((127.9, 64, 0.1, 64, 1.0, 1.0, 0, 0))
    [detection] = to_detections(raw, (128, 128), (128, 128))
    assert detection["bbox"] == [1.0, 0.25, 0.0, 0.5]
    assert BBox(*detection["bbox"]).crop(128, 128) == (127, 32, 1, 64)
