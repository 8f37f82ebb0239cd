"""The real server, whose networks are stand-ins that find one animal in every image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speciesnet import classifier, detector
from speciesnet.engines.base import MEGADETECTOR_SIZE
from speciesnet.scripts import console, run_server


class _Detector:
    name, on_cpu, batch_size = "stand-in", True, 8
    image_size, stride, stretches = MEGADETECTOR_SIZE, 64, False

    def __init__(self, *arguments: object) -> None:
        pass

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        _, height, width, _ = images.shape
        box = (width / 2, height / 2, width / 4, height / 4, 0.9, 1, 0, 0)
        return np.array([[box]] * len(images), np.float32)


class _Classifier:
    name, on_cpu, batches_alike = "stand-in", True, True

    def __init__(self, model: Path, *arguments: object) -> None:
        self.classes = len((model.parent / "labels.txt").read_text("utf-8").splitlines())

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.eye(len(images), self.classes, dtype=np.float32)


# Workers, which import this file, need them as well.
detector.load_detector_engine = _Detector
classifier.load_classifier_engine = _Classifier

if __name__ == "__main__":
    console.start(run_server.COMMAND)
