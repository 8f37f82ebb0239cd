from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from speciesnet import pipeline
from speciesnet.detector import InputShape
from speciesnet.images.decoding import PreprocessedImage
from speciesnet.pipeline import reading
from speciesnet.pipeline.progress import Profile


@dataclass
class Counting:
    """A detector without a network that records the shapes of its batches."""

    batch_size: int = 4

    def __post_init__(self) -> None:
        self.engine = self
        self.input_shape = InputShape(64, 32)
        self.batches: list[list[tuple[int, ...]]] = []

    def detect(
        self, imgs: Sequence[PreprocessedImage], threshold: float = 0.01
    ) -> list[list[dict[str, Any]]]:
        self.batches.append([img.arr.shape for img in imgs])
        return [
            [{"category": "1", "label": "animal", "conf": 0.5, "bbox": [0, 0, 1, 1]}] for _ in imgs
        ]


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    paths = []
    for i in range(12):
        size = (40, 20) if i < 6 else (20, 40)
        paths.append(str(tmp_path / f"{i:02}.png"))
        Image.fromarray(np.full((*size, 3), i, np.uint8)).save(paths[-1])
    return paths


@pytest.mark.parametrize("run_mode", ["single_thread", "multi_thread"])
def test_photos_come_in_order_whatever_fails(pictures: list[str], run_mode: Any) -> None:
    paths = [*pictures[:3], "nowhere.jpg", *pictures[3:]]
    detector: Any = Counting()
    photos = list(pipeline.run(paths, detector=detector, run_mode=run_mode, batch_size=4))
    assert [photo.filepath for photo in photos] == paths
    assert [photo.error for photo in photos if photo.error] == ["there is no such file"]
    assert photos[3].detections is None
    assert all(photo.detections for photo in photos if not photo.error)


def test_batches_hold_one_shape_and_are_not_too_large(pictures: list[str]) -> None:
    detector: Any = Counting(batch_size=4)
    alternating = [path for pair in zip(pictures[:6], pictures[6:], strict=True) for path in pair]
    photos = list(pipeline.run(alternating, detector=detector, batch_size=8))
    assert [photo.filepath for photo in photos] == alternating
    assert all(len(set(batch)) == 1 for batch in detector.batches)
    assert [len(batch) for batch in detector.batches] == [4, 4, 2, 2]


def test_each_image_that_leaves_a_stage_is_told(pictures: list[str]) -> None:
    told: list[str] = []
    detector: Any = Counting()
    list(pipeline.run(pictures, detector=detector, progress=told.append))
    assert told == ["Detector"] * len(pictures)


def test_images_are_released(pictures: list[str]) -> None:
    detector: Any = Counting(batch_size=1)
    for photo in pipeline.run(pictures, detector=detector, batch_size=1):
        assert photo.image is None
        assert photo.letterboxed is None


def test_reading_does_not_run_ahead_of_a_slow_consumer(
    pictures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def endless() -> Iterator[str]:
        for i in range(10_000):
            asked.append(str(i))
            yield pictures[i % len(pictures)]

    monkeypatch.setattr(reading, "MAX_READERS", 2)
    photos = pipeline.run(endless(), detector=Counting(), batch_size=2)  # type: ignore[arg-type]
    for _ in range(5):
        next(photos)
    time.sleep(0.5)
    photos.close()
    assert len(asked) < 50


def test_large_images_are_read_one_at_a_time(
    pictures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def paths() -> Iterator[str]:
        for path in pictures:
            asked.append(path)
            yield path

    monkeypatch.setattr(reading, "READ_AHEAD_BYTES", 3000)  # an image has 2400
    photos = pipeline.read_photos(paths(), pipeline.read_photo, "multi_thread", None, Profile())
    counts = [len(asked) for _ in photos]
    assert counts == [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12]


def test_networks_on_one_processor_take_turns(pictures: list[str]) -> None:
    detector: Any = Counting(batch_size=1)
    running: list[str] = []

    class Slow:
        on_cpu = batches_alike = True
        overlaps = 0

        def work(self, imgs: Sequence[Any], answer: Any) -> list[Any]:
            Slow.overlaps += bool(running)
            running.append("")
            time.sleep(0.01)
            running.pop()
            return [answer] * len(imgs)

    slow = Slow()
    detector.on_cpu = True
    detector.detect = lambda imgs, threshold: slow.work(imgs, [])

    class Package:
        always_crops = True

    class Classifier:
        engine = slow
        model_info = Package()

        def preprocess(self, image: Any, bboxes: Any) -> PreprocessedImage:
            return PreprocessedImage(image, 1, 1)

        def classify(self, imgs: Sequence[Any], num_classes: int) -> list[Any]:
            return slow.work(imgs, {})

    classifier: Any = Classifier()
    photos = list(pipeline.run(pictures, detector=detector, classifier=classifier, batch_size=1))
    assert len(photos) == 12
    assert Slow.overlaps == 0


def test_closing_ends_every_thread(pictures: list[str]) -> None:
    before = threading.active_count()
    photos = pipeline.run(pictures * 50, detector=Counting())  # type: ignore[arg-type]
    next(photos)
    photos.close()
    assert threading.active_count() == before


def test_error_in_a_stage_reaches_the_consumer(pictures: list[str]) -> None:
    class Broken(Counting):
        def detect(
            self, imgs: Sequence[PreprocessedImage], threshold: float = 0.01
        ) -> list[list[dict[str, Any]]]:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        list(pipeline.run(pictures, detector=Broken()))  # type: ignore[arg-type]
