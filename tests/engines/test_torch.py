from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speciesnet.engines.devices import torch_device
from speciesnet.engines.torch import TorchEngine
from speciesnet.errors import ModelError


def test_batch_gives_what_single_images_give(yolov5_checkpoint: Path) -> None:
    engine = TorchEngine(yolov5_checkpoint, "cpu")
    images = np.random.default_rng(0).integers(0, 255, (2, 128, 192, 3), dtype=np.uint8)
    together = engine(images)
    alone = np.concatenate([engine(images[:1]), engine(images[1:])])
    assert together.shape == (2, 3 * (16 * 24 + 8 * 12 + 4 * 6 + 2 * 3), 8)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-3)


def test_objectness_and_probabilities_are_in_range(yolov5_checkpoint: Path) -> None:
    boxes = TorchEngine(yolov5_checkpoint, "cpu")(np.zeros((1, 64, 64, 3), np.uint8))
    assert (boxes[..., 4:] >= 0).all() and (boxes[..., 4:] <= 1).all()


def test_settings_of_megadetector(yolov5_checkpoint: Path) -> None:
    engine = TorchEngine(yolov5_checkpoint, "cpu")
    assert (engine.image_size, engine.stride, engine.batch_size) == (1280, 64, 1)


def test_device_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match=r"no device 'xpu:77'|no device 'toaster'"):
        torch_device("toaster")
