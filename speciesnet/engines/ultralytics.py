"""Runs detectors saved by ultralytics, such as MegaDetector v6."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from speciesnet.constants import Detection
from speciesnet.engines.base import DEFAULT_OPTIONS, MEGADETECTOR_SIZE, EngineOptions
from speciesnet.engines.devices import TorchEngine, prepared
from speciesnet.engines.pickled import LOADING, check_archive
from speciesnet.errors import ModelError, first_line
from speciesnet.files.packages.downloads import cache_folder


class UltralyticsEngine(TorchEngine):
    """Runs a detection checkpoint saved by ultralytics; see ``DetectorEngine``.

    Raises:
        ModelError: The checkpoint cannot be read, refers to code, or is not a detector of animals,
            humans and vehicles.
    """

    def __init__(self, checkpoint: Path, options: EngineOptions = DEFAULT_OPTIONS) -> None:
        super().__init__(options, "ultralytics")
        network, image_size = _load(checkpoint)
        head = network.model[-1]
        self._is_transformer = type(head).__name__.startswith("RTDETR")
        self._is_end_to_end = bool(getattr(head, "end2end", False))
        self.image_size = image_size
        self.stride = max(int(max(network.stride)), 32)
        # Transformers are trained on squares into which images are stretched.
        self.stretches = self._is_transformer
        self._network = prepared(network, self.device, options)

    def _infer(self, batch: Tensor) -> Tensor:
        """See ``DetectorEngine``; these networks have no objectness, so it is 1."""
        output = self._network(batch)
        boxes = (output[0] if isinstance(output, (tuple, list)) else output).float()
        if self._is_transformer:  # center and size relative to the image, score, class
            height, width = batch.shape[2:]
            place = boxes[..., :4] * boxes.new_tensor([width, height, width, height])
            scores = _score_of_each_class(boxes)
        elif self._is_end_to_end:  # corners, score, class
            first, second = boxes[..., :2], boxes[..., 2:4]
            place = torch.cat(((first + second) / 2, second - first), 2)
            scores = _score_of_each_class(boxes)
        else:  # center and size, and a score for each class, along the second axis
            place, scores = boxes.transpose(1, 2).split((4, len(Detection)), 2)
        return torch.cat((place, torch.ones_like(scores[..., :1]), scores), 2)


def _score_of_each_class(boxes: Tensor) -> Tensor:
    """Scores of shape (batch, boxes, 3) from boxes that end with one score and its class."""
    return torch.nn.functional.one_hot(boxes[..., 5].long(), len(Detection)) * boxes[..., 4:5]


def _load(checkpoint: Path) -> tuple[Any, int]:
    """The network in float32 and evaluation mode, and the image size of its training."""
    check_archive(checkpoint, "detector")
    try:
        with LOADING, isolated():
            from ultralytics.nn.tasks import torch_safe_load

            # Only known classes are unpickled, and no code of the pickle is run.
            content, _ = torch_safe_load(checkpoint, safe_only=True)
    except ImportError as error:
        raise ModelError(
            f"The detector {checkpoint} needs ultralytics ({error}): pip install ultralytics."
        ) from error
    except Exception as error:  # ultralytics raises many types of errors
        raise ModelError(
            f"The detector {checkpoint} cannot be read ({first_line(error)}); download it again."
        ) from error
    network = content.get("ema") or content.get("model")
    if not isinstance(network, torch.nn.Module) or getattr(network, "task", "detect") != "detect":
        raise ModelError(
            f"The checkpoint {checkpoint} contains no detection network; use a different one."
        )
    names = getattr(network, "names", {})
    if len(names) != len(Detection):
        raise ModelError(
            f"The detector {checkpoint} has {len(names)} classes; it must have 3: animal, "
            "human and vehicle."
        )
    for module in network.modules():
        if isinstance(module, torch.nn.Upsample):
            module.recompute_scale_factor = None  # checkpoints older than the attribute lack it
    size = content.get("train_args", {}).get("imgsz", MEGADETECTOR_SIZE)
    return network.float().eval(), int(size if isinstance(size, int) else max(size))


@contextmanager
def isolated() -> Iterator[None]:
    """Keeps ultralytics from connecting, installing, printing, and changing Pillow.

    Its settings file goes to this program's cache instead of the user's settings. ultralytics reads these
    variables once, when it is first imported. Since 8.4 it then also replaces ``PIL.Image.open`` with a
    function that installs a reader of HEIF whenever a file is not an image (seen in 8.4.190).
    """
    settings = {
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_VERBOSE": "false",
        "YOLO_CONFIG_DIR": str(cache_folder()),
    }
    earlier = {name: os.environ.get(name) for name in settings}
    open_image = Image.open
    os.environ.update(settings)
    try:
        yield
    finally:
        Image.open = open_image
        for name, value in earlier.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
