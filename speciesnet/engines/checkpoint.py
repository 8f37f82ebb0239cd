"""Reads detector checkpoints as data: no pickled code is ever run.

A YOLOv5 checkpoint is a pickled module. Inert records replace its classes, and the network is rebuilt
from them; a pickle that refers to anything else is refused.
"""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from torch import nn

from speciesnet.constants import Detection
from speciesnet.engines.pickled import Record, globals_of, read_records
from speciesnet.engines.yolov5 import (
    C3,
    SPPF,
    Concat,
    Conv,
    Detect,
    DetectionModel,
)
from speciesnet.errors import ModelError

# Packages of the pickled classes: YOLOv5's repository, and the PyPI package.
_PREFIXES = ("models.", "yolov5.models.")
_YOLOV5_CLASSES = (
    "common.Bottleneck",
    "common.C3",
    "common.Concat",
    "common.Conv",
    "common.SPPF",
    "yolo.Detect",
    "yolo.DetectionModel",
    "yolo.Model",
)
_TORCH_CLASSES = (
    "torch.nn.modules.activation.SiLU",
    "torch.nn.modules.batchnorm.BatchNorm2d",
    "torch.nn.modules.container.ModuleList",
    "torch.nn.modules.container.Sequential",
    "torch.nn.modules.conv.Conv2d",
    "torch.nn.modules.linear.Identity",
    "torch.nn.modules.pooling.MaxPool2d",
    "torch.nn.modules.upsampling.Upsample",
)
# Plain data next to the network: metrics, options, paths.
_DATA_CLASSES = (
    "argparse.Namespace",
    "datetime.datetime",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
)
_ULTRALYTICS = "ultralytics."


def is_ultralytics_checkpoint(path: Path) -> bool:
    """Whether the pickle was saved by ultralytics, not by YOLOv5; raises ``ModelError``."""
    return any(name.startswith(_ULTRALYTICS) for name in globals_of(path, "detector"))


def read_yolov5_checkpoint(path: Path) -> DetectionModel:
    """The network of a YOLOv5 checkpoint, in float32 and evaluation mode.

    Raises:
        ModelError: The file is damaged, refers to code, or contains another kind of network.
    """
    allowed = {prefix + name for prefix in _PREFIXES for name in _YOLOV5_CLASSES}
    allowed.update(_TORCH_CLASSES, _DATA_CLASSES)
    checkpoint = read_records(path, allowed.__contains__, "detector")
    try:
        record = checkpoint["model"]
        # Never its "ema": the published results were made with the model.
        with torch.device("meta"):  # weights without values: drawing random ones takes seconds
            network = _build(record)
        tensors = {name: tensor.float() for name, tensor in record.tensors().items()}
        tensors = {name: t for name, t in tensors.items() if not name.endswith(".anchor_grid")}
        network.load_state_dict(tensors, assign=True)
    except Exception as error:  # as above
        raise ModelError(
            f"The detector {path} does not contain a YOLOv5 network like that of MegaDetector v5 "
            f"({type(error).__name__}: {error})."
        ) from error
    if network.detect.nc != len(Detection):
        raise ModelError(
            f"The detector {path} has {network.detect.nc} classes; it must have 3: animal, "
            "human and vehicle."
        )
    return network.eval()


def _build(record: Record) -> DetectionModel:
    layers = record.child("model").children()
    inputs = [layer.child("f") for layer in layers]
    network = DetectionModel([_build_layer(layer) for layer in layers], inputs)
    for name, module in network.named_modules():
        if isinstance(module, Conv):
            _adjust(module, functools.reduce(Record.child, name.split("."), record))
    strides = network.detect.stride
    if not (strides > 0).all():
        raise ValueError("the detection head has no strides")
    return network


def _adjust(module: Conv, record: Record) -> None:
    """Copies settings that are not tensors; raises ``TypeError`` for unsupported ones."""
    conv, activation = record.child("conv"), record.child("act").kind
    if activation != "SiLU" or conv.child("groups") != 1 or conv.child("dilation") != (1, 1):
        raise TypeError(
            f"a convolution with {activation}, groups or dilation is not MegaDetector's"
        )
    module.bn.eps = record.child("bn").child("eps")


def _build_layer(record: Record) -> nn.Module:
    """The module that a record describes, its tensors not yet loaded."""
    tensors = record.tensors()
    if record.kind == "Conv":
        conv = record.child("conv")
        c2, c1, k, _ = tensors["conv.weight"].shape
        return Conv(c1, c2, k, conv.child("stride")[0], conv.child("padding")[0])
    if record.kind == "C3":
        c1 = tensors["cv1.conv.weight"].shape[1]
        c2 = tensors["cv3.conv.weight"].shape[0]
        blocks = record.child("m").children()
        return C3(c1, c2, len(blocks), shortcut=all(block.child("add") for block in blocks))
    if record.kind == "SPPF":
        c1 = tensors["cv1.conv.weight"].shape[1]
        c2 = tensors["cv2.conv.weight"].shape[0]
        return SPPF(c1, c2, record.child("m").child("kernel_size"))
    if record.kind == "Concat":
        return Concat(record.child("d"))
    if record.kind == "Upsample":
        scale = record.child("scale_factor")
        return nn.Upsample(scale_factor=scale, mode=record.child("mode"))
    if record.kind == "Detect":
        channels = [module.tensors()["weight"].shape[1] for module in record.child("m").children()]
        return Detect(record.child("nc"), tensors["anchors"], record.child("stride"), channels)
    raise TypeError(f"layer {record.kind} is not one of MegaDetector v5's")
