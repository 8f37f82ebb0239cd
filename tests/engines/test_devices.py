from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from speciesnet.engines.devices import FittingBatches, inference, torch_device
from speciesnet.errors import ModelError


class Card:
    """A graphics card that holds so many images."""

    def __init__(self, holds: int) -> None:
        self.holds = holds
        self.tried: list[int] = []

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.tried.append(len(images))
        if len(images) > self.holds:
            raise torch.OutOfMemoryError("full")
        return images[:, 0, 0, :1].astype(np.float32)


def images(number: int) -> NDArray[np.uint8]:
    return np.arange(number, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)


def test_full_memory_halves_the_batch_and_continues() -> None:
    card = Card(holds=3)
    fitting = FittingBatches(card)
    assert fitting(images(8))[:, 0].tolist() == list(range(8))
    assert card.tried == [8, 4, 2, 2, 2, 2]
    assert fitting(images(3))[:, 0].tolist() == [0, 1, 2]
    assert card.tried[6:] == [2, 1]


def test_memory_too_small_for_one_image_is_said_so() -> None:
    card = Card(holds=0)
    with pytest.raises(ModelError, match="is too small for the network and one image"):
        FittingBatches(card)(images(4))
    assert card.tried == [4, 2, 1, 1]


def test_settings_of_the_callers_thread_are_put_back() -> None:
    tiny = torch.tensor([1e-39])
    with inference():
        assert torch.is_inference_mode_enabled()
        assert (tiny * 1).item() == 0
    assert not torch.is_inference_mode_enabled()
    assert (tiny * 1).item() != 0


def test_device_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match="no device 'toaster'"):
        torch_device("toaster")
