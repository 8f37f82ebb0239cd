"""Networks of the YOLOv5 P6 architecture, and checkpoints of them in YOLOv5's own file format."""

from __future__ import annotations

import itertools
import math
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from speciesnet.engines.yolov5 import (
    C3,
    SPPF,
    Bottleneck,
    Concat,
    Conv,
    Detect,
    DetectionModel,
)

STRIDES = (8, 16, 32, 64)
# Width and height in pixels of the three anchors of each scale, of yolov5*6.yaml.
ANCHORS = (
    (19, 27, 44, 40, 38, 94),
    (96, 68, 86, 152, 180, 137),
    (140, 301, 303, 264, 238, 542),
    (436, 615, 739, 380, 925, 792),
)
# (input layers, kind, repeats or None, channels or None), of yolov5*6.yaml.
_LAYOUT: tuple[tuple[int | list[int], str, int, int], ...] = (
    (-1, "stem", 1, 64),
    (-1, "down", 1, 128),
    (-1, "c3", 3, 128),
    (-1, "down", 1, 256),
    (-1, "c3", 6, 256),
    (-1, "down", 1, 512),
    (-1, "c3", 9, 512),
    (-1, "down", 1, 768),
    (-1, "c3", 3, 768),
    (-1, "down", 1, 1024),
    (-1, "c3", 3, 1024),
    (-1, "sppf", 1, 1024),
    (-1, "point", 1, 768),
    (-1, "up", 1, 0),
    ([-1, 8], "concat", 1, 0),
    (-1, "c3_plain", 3, 768),
    (-1, "point", 1, 512),
    (-1, "up", 1, 0),
    ([-1, 6], "concat", 1, 0),
    (-1, "c3_plain", 3, 512),
    (-1, "point", 1, 256),
    (-1, "up", 1, 0),
    ([-1, 4], "concat", 1, 0),
    (-1, "c3_plain", 3, 256),
    (-1, "down", 1, 256),
    ([-1, 20], "concat", 1, 0),
    (-1, "c3_plain", 3, 512),
    (-1, "down", 1, 512),
    ([-1, 16], "concat", 1, 0),
    (-1, "c3_plain", 3, 768),
    (-1, "down", 1, 768),
    ([-1, 12], "concat", 1, 0),
    (-1, "c3_plain", 3, 1024),
)
_DETECT_INPUTS = [23, 26, 29, 32]


def p6_network(
    classes: int,
    depth: float,
    width: float,
    anchors: Sequence[Sequence[float]] = ANCHORS,
) -> DetectionModel:
    """A randomly initialized network (YOLOv5x6: depth 1.33, width 1.25; YOLOv5n6: 0.33, 0.25)."""
    layers: list[nn.Module] = []
    inputs: list[int | list[int]] = []
    channels: list[int] = []
    for source, kind, repeats, base in _LAYOUT:
        c1 = 3 if not layers else channels[source if isinstance(source, int) else -1]
        c2 = math.ceil(base * width / 8) * 8
        n = max(round(repeats * depth), 1)
        if kind == "stem":
            layer: nn.Module = Conv(c1, c2, 6, 2, 2)
        elif kind == "down":
            layer = Conv(c1, c2, 3, 2)
        elif kind == "point":
            layer = Conv(c1, c2, 1, 1)
        elif kind == "c3":
            layer = C3(c1, c2, n)
        elif kind == "c3_plain":
            layer = C3(c1, c2, n, shortcut=False)
        elif kind == "sppf":
            layer = SPPF(c1, c2, 5)
        elif kind == "up":
            layer, c2 = nn.Upsample(None, 2, "nearest"), c1
        else:
            layer, c2 = Concat(1), sum(channels[j] for j in source)  # type: ignore[union-attr]
        layers.append(layer)
        inputs.append(source)
        channels.append(c2)

    stride = torch.tensor(STRIDES, dtype=torch.float32)
    boxes = torch.tensor(anchors, dtype=torch.float32).view(len(STRIDES), -1, 2)
    detect = Detect(
        classes, boxes / stride.view(-1, 1, 1), stride, [channels[i] for i in _DETECT_INPUTS]
    )
    _set_prior(detect)
    return DetectionModel([*layers, detect], [*inputs, _DETECT_INPUTS])


def _set_prior(detect: Detect) -> None:
    """Sets biases with which a fresh network expects about 8 objects in a 640-pixel image."""
    for convolution, stride in zip(detect.m, detect.stride, strict=True):
        bias = convolution.bias.detach().view(detect.na, -1)  # type: ignore[union-attr]
        bias[:, 4] += math.log(8 / (640 / stride) ** 2)
        bias[:, 5:] += math.log(0.6 / (detect.nc - 0.99))


def save_yolov5_checkpoint(
    network: DetectionModel,
    names: Sequence[str],
    path: Path,
    *,
    package: str = "models",
    ema: DetectionModel | None = None,
) -> None:
    """Writes a checkpoint as YOLOv5's training does: a pickled half-precision module.

    Args:
        network: The network; it is left in half precision.
        names: Names of the classes.
        path: The file to write.
        package: The package that the pickled classes claim to be in: ``models`` (YOLOv5's own
            repository) or ``yolov5.models`` (the PyPI package).
        ema: Moving averages of the weights, which YOLOv5 stores with them.
    """
    for i, (layer, source) in enumerate(zip(network.model, network.inputs, strict=True)):
        layer.i, layer.f = i, source  # type: ignore[assignment]
    head: Any = network.detect
    # What YOLOv5's own code expects to find, in addition to the tensors.
    head.nl, head.inplace = len(head.m), True
    head.grid = [torch.empty(0)] * head.nl
    if not hasattr(head, "anchor_grid"):  # old ones have it as a buffer
        head.anchor_grid = [torch.empty(0)] * head.nl
    network.save = sorted(network._kept)  # type: ignore[assignment]
    network.names = list(names)  # type: ignore[assignment]
    network.stride = network.detect.stride  # type: ignore[assignment]
    network.nc = network.detect.nc  # type: ignore[assignment]
    network.half()
    checkpoint = {
        "epoch": -1,
        "best_fitness": None,
        "model": network,
        "ema": ema,
        "optimizer": None,
    }
    with _classes_under(package):
        torch.save(checkpoint, path)


@contextmanager
def _classes_under(package: str) -> Iterator[None]:
    """Within the context, our modules are pickled under YOLOv5's names."""
    homes = {
        f"{package}.common": (Conv, Bottleneck, C3, SPPF, Concat),
        f"{package}.yolo": (Detect, DetectionModel),
    }
    added: list[str] = []
    originals = {cls: cls.__module__ for classes in homes.values() for cls in classes}
    try:
        for name, classes in homes.items():
            for part in itertools.accumulate(name.split("."), "{}.{}".format):
                if part not in sys.modules:
                    sys.modules[part] = types.ModuleType(part)
                    added.append(part)
            for cls in classes:
                cls.__module__ = name
                setattr(sys.modules[name], cls.__name__, cls)
        yield
    finally:
        for cls, module in originals.items():
            cls.__module__ = module
        for part in added:
            del sys.modules[part]
