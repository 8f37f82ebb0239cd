"""What runs a network. Nothing outside this folder imports a deep-learning framework.

An engine is one small protocol: a batch of arrays in, an array out. Frameworks are imported when an
engine is loaded, never before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class DetectorEngine(Protocol):
    """Runs a detector.

    Attributes:
        image_size: Pixels of the longest side of an image.
        stride: Both sides of the network's input are multiples of this.
        stretches: The network wants squares of ``image_size`` with the image stretched into them.
        batch_size: How many images at once are worth it on this device.
    """

    image_size: int
    stride: int
    stretches: bool
    batch_size: int

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Images (batch, H, W, 3), RGB, to raw boxes (batch, boxes, 5 + 3).

        A box is x and y of its centre, width and height in pixels, objectness, class probabilities.
        """
        ...


class ClassifierEngine(Protocol):
    """Runs a classifier.

    Attributes:
        classes: Number of outputs.
    """

    classes: int

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Images (batch, 480, 480, 3), RGB in [0, 1], to logits (batch, classes)."""
        ...


def load_detector_engine(checkpoint: Path, device: str | None = None) -> DetectorEngine:
    """The engine for a detector checkpoint, YOLOv5's or ultralytics'; raises ``ModelError``."""
    from speciesnet.engines.checkpoint import is_ultralytics_checkpoint

    if is_ultralytics_checkpoint(checkpoint):
        from speciesnet.engines.ultralytics import UltralyticsEngine

        return UltralyticsEngine(checkpoint, device)
    from speciesnet.engines.torch import TorchEngine

    return TorchEngine(checkpoint, device)


def load_classifier_engine(model: Path, device: str | None = None) -> ClassifierEngine:
    """The engine for a Keras 2 file; raises ``ModelError``."""
    from speciesnet.engines.keras import KerasEngine

    return KerasEngine(model, device)
