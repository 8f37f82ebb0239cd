"""YOLOv5 detectors and classifiers on PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speciesnet.engines import EngineOptions
from speciesnet.engines.checkpoint import read_yolov5_checkpoint
from speciesnet.engines.classifier_file import read_classifier_network
from speciesnet.engines.devices import (
    GPU_BATCH_SIZE,
    FittingBatches,
    inference,
    prepared,
    to_device,
    torch_device,
)

IMAGE_SIZE = 1280  # pixels; what MegaDetector v5 was trained at


class TorchDetector:
    """Runs a YOLOv5 checkpoint; see ``DetectorEngine``.

    Raises:
        ModelError: The checkpoint cannot be read, or the device is not there.
    """

    def __init__(self, checkpoint: Path, options: EngineOptions | None = None) -> None:
        options = options or EngineOptions()
        self.device = torch_device(options.device)
        network = read_yolov5_checkpoint(checkpoint)
        self.image_size = IMAGE_SIZE
        self.stride = int(network.detect.stride.max())
        self.stretches = False
        self.batch_size = 1 if self.device.type == "cpu" else GPU_BATCH_SIZE
        if options.precision != "fp32":
            # In float32 batch norms stay apart: folding them in moves boxes by a pixel now and then.
            network.fuse()
        anchors = network.detect.anchors
        self._network, self._type = prepared(network, self.device, options)
        self._network.detect.anchors = anchors.to(self.device)  # never in lower precision
        self.name = f"torch {options.precision} on {self.device}"
        self.on_cpu = self.device.type == "cpu"
        self._fitting = FittingBatches(self._boxes)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See ``DetectorEngine``."""
        return self._fitting(images)

    def _boxes(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with inference():
            logits = self._network(to_device(images, self.device, self._type))
            boxes = self._network.detect.decode([scale.float() for scale in logits])
            return boxes.cpu().numpy()


class TorchClassifier:
    """Runs a ``.keras`` file of Keras 2 or a ``.pt`` file of onnx2torch; see ``ClassifierEngine``.

    Raises:
        ModelError: The file cannot be read, or the device is not there.
        UnsupportedNetworkError: It has a part that is not known here.
    """

    def __init__(self, path: Path, options: EngineOptions | None = None) -> None:
        options = options or EngineOptions()
        self.device = torch_device(options.device)
        network = read_classifier_network(path)
        self.classes = network.classes
        self._network, self._type = prepared(network, self.device, options)
        self.name = f"torch {options.precision} on {self.device}"
        self.on_cpu = self.device.type == "cpu"
        self._fitting = FittingBatches(self._logits)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See ``ClassifierEngine``."""
        return self._fitting(images)

    def _logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with inference():
            batch = to_device(images, self.device, self._type)
            return self._network(batch).float().cpu().numpy()
