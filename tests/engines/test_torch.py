from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from frameworks import needs_tensorflow

from speciesnet.classifier import softmax
from speciesnet.engines.base import EngineOptions
from speciesnet.engines.tensorflow import TensorFlowEngine
from speciesnet.engines.torch import TorchClassifier, TorchDetector
from speciesnet.errors import ModelError


def test_batch_gives_what_single_images_give(yolov5_checkpoint: Path) -> None:
    engine = TorchDetector(yolov5_checkpoint)
    images = np.random.default_rng(0).integers(0, 255, (2, 128, 192, 3), dtype=np.uint8)
    together = engine(images)
    alone = np.concatenate([engine(images[:1]), engine(images[1:])])
    assert together.shape == (2, 3 * (16 * 24 + 8 * 12 + 4 * 6 + 2 * 3), 8)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-3)


def test_objectness_and_probabilities_are_in_range(yolov5_checkpoint: Path) -> None:
    boxes = TorchDetector(yolov5_checkpoint)(np.zeros((1, 64, 64, 3), np.uint8))
    assert (boxes[..., 4:] >= 0).all() and (boxes[..., 4:] <= 1).all()


def test_settings_of_megadetector(yolov5_checkpoint: Path) -> None:
    engine = TorchDetector(yolov5_checkpoint)
    assert (engine.image_size, engine.stride, engine.batch_size) == (1280, 64, 1)


def test_bf16_sees_about_the_same(yolov5_checkpoint: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (1, 256, 256, 3), dtype=np.uint8)
    reference = TorchDetector(yolov5_checkpoint)(images)
    reduced = TorchDetector(yolov5_checkpoint, EngineOptions("torch", "bf16"))(images)
    assert reduced.dtype == np.float32
    assert not np.array_equal(reduced, reference)
    assert np.abs(reduced[..., :4] - reference[..., :4]).mean() < 2
    assert np.abs(reduced[..., 4:] - reference[..., 4:]).max() < 0.1


def test_cpus_have_no_fp16(yolov5_checkpoint: Path) -> None:
    with pytest.raises(ModelError, match="use --precision bf16 or fp32"):
        TorchDetector(yolov5_checkpoint, EngineOptions("torch", "fp16", "cpu"))


def test_network_stays_in_one_thread_on_a_cpu(yolov5_checkpoint: Path) -> None:
    engine = TorchDetector(yolov5_checkpoint, EngineOptions("torch", device="cpu"))
    used: list[str] = []
    engine._network.register_forward_hook(lambda *_: used.append(threading.current_thread().name))
    image = np.zeros((1, 64, 64, 3), np.uint8)
    callers = [threading.Thread(target=engine, args=(image,)) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(used) == 3
    assert len(set(used)) == 1


@needs_tensorflow
def test_classifier_agrees_with_tensorflow(small_package: Path) -> None:
    path = small_package / "classifier.keras"
    images = np.random.default_rng(0).integers(0, 255, (3, 480, 480, 3), dtype=np.uint8)
    found, expected = (softmax(e(images)) for e in (TorchClassifier(path), TensorFlowEngine(path)))
    assert found.shape == (3, 2498)
    np.testing.assert_allclose(found, expected, atol=1e-5)
