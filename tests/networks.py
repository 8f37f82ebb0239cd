"""Random networks for checkpoints in the genuine formats."""

from __future__ import annotations

import torch
from yolov5_p6 import p6_network

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
