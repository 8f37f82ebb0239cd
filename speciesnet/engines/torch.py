"""YOLOv5 detectors on PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from speciesnet.engines.checkpoint import read_yolov5_checkpoint
from speciesnet.engines.devices import GPU_BATCH_SIZE, torch_device

IMAGE_SIZE = 1280  # pixels; what MegaDetector v5 was trained at


class TorchEngine:
    """Runs a YOLOv5 checkpoint; see ``DetectorEngine``.

    Raises:
        ModelError: The checkpoint cannot be read, or the device is not there.
    """

    def __init__(self, checkpoint: Path, device: str | None = None) -> None:
        self.device = torch_device(device)
        network = read_yolov5_checkpoint(checkpoint)
        self.image_size = IMAGE_SIZE
        self.stride = int(network.detect.stride.max())
        self.stretches = False
        self.batch_size = 1 if self.device.type == "cpu" else GPU_BATCH_SIZE
        # Batch norms stay apart: folding them in moves boxes by a pixel now and then.
        self._network = network.to(self.device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See ``DetectorEngine``."""
        batch = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2).float() / 255
        # Numbers below 1e-38 carry nothing, and cost a CPU tenfold. It is a state of the thread.
        torch.set_flush_denormal(True)
        try:
            return self._network.detect.decode(self._network(batch)).cpu().numpy()
        finally:
            torch.set_flush_denormal(False)
