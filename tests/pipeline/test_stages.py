from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from speciesnet.errors import InputError
from speciesnet.images.decoding import PreprocessedImage
from speciesnet.pipeline import Crop, Photo, classify, crop
from speciesnet.records import Box
from speciesnet.records.boxes import BBox, BoxSelection

Pixels = Any


def box(conf: float, left: float = 0.0) -> Box:
    return {"category": "1", "label": "animal", "conf": conf, "bbox": [left, 0.0, 0.5, 0.5]}


def photo(*confidences: float) -> Photo:
    detections = [box(conf, number / 100) for number, conf in enumerate(confidences)]
    return Photo("a.jpg", image=np.zeros((8, 8, 3), np.uint8), detections=detections)


class Classifier:
    """A classifier whose classes are the left side of the box, and that records its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def preprocess(self, image: Pixels, bboxes: Sequence[BBox]) -> PreprocessedImage | None:
        if image is None:
            return None
        side = round(bboxes[0].xmin * 100) if bboxes else -1
        return PreprocessedImage(np.full((1, 1, 3), side, np.int16), 8, 8)  # type: ignore[arg-type]

    def classify(self, inputs: Sequence[PreprocessedImage], num_classes: int) -> list[Any]:
        self.batches.append(len(inputs))
        return [{"classes": [str(one.arr[0, 0, 0])], "scores": [1.0]} for one in inputs]


def classified(
    photos: Sequence[Photo], boxes: BoxSelection | None, batch_size: int = 4
) -> tuple[list[Photo], list[int]]:
    classifier: Any = Classifier()
    crops = crop(photos, classifier.preprocess, boxes)
    return list(classify(crops, classifier, batch_size)), classifier.batches


def classes_of(photo: Photo) -> tuple[str, dict[int, str]]:
    assert photo.classifications is not None
    own = photo.classifications["classes"][0]
    return own, {i: found["classes"][0] for i, found in photo.box_classifications.items()}


def test_an_image_is_classified_once_by_default() -> None:
    (done,), batches = classified([photo(0.9, 0.8)], None)
    assert classes_of(done) == ("0", {})
    assert batches == [1]


def test_every_box_from_the_threshold_on_is_classified() -> None:
    (done,), batches = classified([photo(0.9, 0.1, 0.0999)], BoxSelection(0.1))
    assert classes_of(done) == ("0", {0: "0", 1: "1"})
    assert batches == [2]  # the best box shares its crop with the image


def test_an_image_whose_boxes_are_all_faint_is_classified_as_before() -> None:
    (done,), _ = classified([photo(0.05)], BoxSelection(0.1))
    assert classes_of(done) == ("0", {})


def test_an_image_without_boxes_is_classified_whole() -> None:
    (done,), _ = classified([photo()], BoxSelection(0.1))
    assert classes_of(done) == ("-1", {})


def test_the_most_confident_boxes_are_classified_if_there_is_a_limit() -> None:
    (done,), _ = classified([photo(0.5, 0.9, 0.7)], BoxSelection(0.1, limit=2))
    assert classes_of(done) == ("0", {1: "1", 2: "2"})


def test_first_batches_grow_so_that_the_first_images_do_not_wait() -> None:
    classifier: Any = Classifier()
    crops = crop([photo(0.9) for _ in range(12)], classifier.preprocess)
    done = classify(crops, classifier, 4, grows=True)
    next(done)
    assert classifier.batches == [1]
    assert len(list(done)) == 11
    assert classifier.batches == [1, 2, 4, 4, 1]


def test_batches_fill_across_images() -> None:
    done, batches = classified([photo(0.9, 0.8, 0.7), photo(), photo(0.9, 0.8)], BoxSelection())
    assert batches == [4, 2]
    assert [len(one.box_classifications) for one in done] == [3, 0, 2]


def test_an_unreadable_image_passes_through() -> None:
    broken = Photo("b.jpg", error="it is empty")
    done, _ = classified([broken, photo(0.9)], BoxSelection())
    assert done[0] is broken and broken.classifications is None
    assert classes_of(done[1]) == ("0", {0: "0"})


def test_boxes_without_pixels_to_cut_them_from_are_left_out() -> None:
    lost = Photo("b.jpg", error="it has gone", detections=[box(0.9), box(0.8)])
    (done,), _ = classified([lost], BoxSelection())
    assert done.classifications is None and not done.box_classifications


def test_crops_are_cut_one_at_a_time_and_the_image_is_released_with_the_last() -> None:
    one = photo(*[0.9] * 300)
    cut: list[int] = []

    def preprocess(image: Pixels, bboxes: list[BBox]) -> PreprocessedImage | None:
        cut.append(len(bboxes))
        return PreprocessedImage(np.zeros((1, 1, 3), np.uint8), 8, 8)

    crops = crop([one], preprocess, BoxSelection())
    first: Crop = next(crops)
    assert len(cut) == 1 and one.image is not None and not first.is_last
    rest = list(crops)
    assert len(cut) == 300 and one.image is None
    assert [piece.is_last for piece in rest] == [False] * 298 + [True]


@pytest.mark.parametrize("field", ["conf", "bbox"])
def test_a_malformed_box_is_reported(field: str) -> None:
    one = photo(0.9, 0.8)
    one.detections = [box(0.9), {k: v for k, v in box(0.8).items() if k != field}]  # type: ignore[list-item]
    with pytest.raises(InputError, match=r"a\.jpg are malformed .*Run the detector again"):
        classified([one], BoxSelection())
