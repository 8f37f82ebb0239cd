"""YOLOv5 detectors and classifiers on PyTorch."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from speciesnet.engines.base import DEFAULT_OPTIONS, MEGADETECTOR_SIZE, EngineOptions
from speciesnet.engines.checkpoint import read_yolov5_checkpoint
from speciesnet.engines.classifier_file import read_classifier_network
from speciesnet.engines.devices import TorchEngine, prepared


class TorchDetector(TorchEngine):
    """Runs a YOLOv5 checkpoint; see ``DetectorEngine``.

    Raises:
        ModelError: The checkpoint cannot be read, or the device does not exist.
    """

    def __init__(self, checkpoint: Path, options: EngineOptions = DEFAULT_OPTIONS) -> None:
        super().__init__(options)
        network = read_yolov5_checkpoint(checkpoint)
        self.image_size = MEGADETECTOR_SIZE
        self.stride = int(network.detect.stride.max())
        self.stretches = False
        if options.precision != "fp32":
            # Not in float32: folding batch norms in sometimes moves a box by a pixel.
            network.fuse()
        anchors = network.detect.anchors
        self._network = prepared(network, self.device, options)
        self._network.detect.anchors = anchors.to(self.device)  # always in float32

    def _infer(self, batch: Tensor) -> Tensor:
        return self._network.detect.decode([scale.float() for scale in self._network(batch)])


class TorchClassifier(TorchEngine):
    """Runs a ``.keras`` file from Keras 2 or a ``.pt`` file from onnx2torch; see ``ClassifierEngine``.

    Raises:
        ModelError: The file cannot be read, or the device does not exist.
        UnsupportedNetworkError: A part of the network is not supported.
    """

    def __init__(self, path: Path, options: EngineOptions = DEFAULT_OPTIONS) -> None:
        super().__init__(options)
        network = read_classifier_network(path)
        self.classes = network.classes
        self._network = prepared(network, self.device, options)

    def _infer(self, batch: Tensor) -> Tensor:
        return self._network(batch).float()
