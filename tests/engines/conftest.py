"""Checkpoints of random networks, in the genuine formats."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from yolov5_p6 import p6_network, save_yolov5_checkpoint

from speciesnet.engines.yolov5 import DetectionModel

NAMES = ["animal", "person", "vehicle"]


def small_network(seed: int = 0) -> DetectionModel:
    """A P6 network of 0.8 million random parameters, with batch norms that do something."""
    torch.manual_seed(seed)
    network = p6_network(len(NAMES), depth=0.33, width=0.125)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return network.eval()


@pytest.fixture(scope="session")
def yolov5_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("yolov5") / "detector.pt"
    save_yolov5_checkpoint(small_network(), NAMES, path)
    return path
