"""Runs both networks on OpenVINO, the fastest engine on Intel's and AMD's CPUs.

Networks are converted once; see ``openvino_cache``.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from speciesnet.engines.base import MEGADETECTOR_SIZE, EngineOptions, Precision
from speciesnet.engines.keras_file import INPUT_SHAPE
from speciesnet.engines.mapped_weights import MappedWeights
from speciesnet.engines.openvino_cache import (
    Conversion,
    ConvertedNetwork,
    Facts,
    load_converted,
    openvino,
)
from speciesnet.engines.quantized import (
    can_quantize,
    has_instructions,
    is_any_quantized,
    load_quantized,
)
from speciesnet.errors import ModelError, UnsupportedNetworkError

if TYPE_CHECKING:
    import torch


class OpenVinoDetector:
    """Runs a YOLOv5 checkpoint; see ``DetectorEngine``.

    Raises:
        ModelError: The checkpoint cannot be read, or the CPU does not support the precision.
        UnsupportedNetworkError: ultralytics saved the checkpoint.
    """

    def __init__(self, checkpoint: Path, options: EngineOptions) -> None:
        check(options)
        self.image_size, self.stretches, self.batch_size = MEGADETECTOR_SIZE, False, 1
        self.name, self.on_cpu = f"openvino {options.precision}", True
        self._options = options
        _load(checkpoint, convert_detector, self._load, options)

    def _load(self, converted: ConvertedNetwork) -> None:
        self._anchors = [np.array(anchors, np.float32) for anchors in converted.facts["anchors"]]
        self._strides: list[float] = converted.facts["strides"]
        self.stride = int(max(self._strides))
        self._run = _compiled(converted, self._options)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See ``DetectorEngine``."""
        scales = zip(self._run(images), self._anchors, self._strides, strict=True)
        return np.concatenate([decode(*scale) for scale in scales], axis=1)


class OpenVinoClassifier:
    """Runs a ``.keras`` file from Keras 2 or a ``.pt`` file from onnx2torch; see ``ClassifierEngine``.

    Raises:
        ModelError: The file cannot be read, or the CPU does not support the precision.
        UnsupportedNetworkError: A part of the network is not supported.
    """

    def __init__(self, path: Path, options: EngineOptions) -> None:
        check(options)
        self.name, self.on_cpu = f"openvino {options.precision}", True
        self.batches_alike = True
        self._options = options
        _load(path, convert_classifier, self._load, options)

    def _load(self, converted: ConvertedNetwork) -> None:
        self.classes: int = converted.facts["classes"]
        self._run = _compiled(converted, self._options)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See ``ClassifierEngine``."""
        return self._run(images)[0]


def decode(
    logits: NDArray[np.float32], anchors: NDArray[np.float32], stride: float
) -> NDArray[np.float32]:
    """Decodes the raw boxes (batch, boxes, 5 + classes) of one scale; see ``DetectorEngine``.

    Args:
        logits: Shape (batch, anchors, rows, columns, 5 + classes).
        anchors: Shape (anchors, 2): widths and heights in pixels.
        stride: Pixels per cell.
    """
    batch, _, rows, columns, values = logits.shape
    with np.errstate(over="ignore"):  # infinity gives the right result
        boxes = np.float32(1) / (np.float32(1) + np.exp(-logits))
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    boxes[..., :2] = (
        boxes[..., :2] * 2 + (np.stack((x, y), axis=2) - np.float32(0.5))
    ) * np.float32(stride)
    boxes[..., 2:4] = (boxes[..., 2:4] * 2) ** 2 * anchors[:, None, None]
    return boxes.reshape(batch, -1, values)


def check(options: EngineOptions) -> None:
    """Raises ``ModelError`` for options that this engine does not support on this machine."""
    if options.device not in (None, "cpu"):
        raise ModelError(f"The openvino engine runs on the CPU, not on {options.device!r}.")
    able = precisions()
    if options.precision in able:
        return
    if options.precision == "int8" and has_instructions():
        raise ModelError(
            'Precision int8 needs NNCF to make the networks. Run pip install "speciesnet[int8]", or use '
            f"--precision {' or '.join(able)}."
        )
    raise ModelError(
        f"This CPU cannot compute in {options.precision} with the openvino engine; use --precision "
        f"{' or '.join(able)}."
    )


def _load(
    source: Path,
    convert: Conversion,
    load: Callable[[ConvertedNetwork], None],
    options: EngineOptions,
) -> None:
    if options.precision == "int8":
        load_quantized(source, load)
    else:
        load_converted(source, convert, load)


def _compiled(
    converted: ConvertedNetwork, options: EngineOptions
) -> Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]]:
    """Compiles the network for this machine's CPU; the result runs in one thread at a time."""
    hints: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": _floats(options.precision),
        "PERFORMANCE_HINT": "LATENCY",
    }
    if options.threads:
        hints["INFERENCE_NUM_THREADS"] = options.threads
    weights = MappedWeights()
    network = weights.read(converted.network)
    model = openvino.Core().compile_model(network, "CPU", hints)
    request = model.create_infer_request()
    weights.leave_memory()
    lock = threading.Lock()
    shapes: set[tuple[int, ...]] = set()

    def run(images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        with lock:
            results = request.infer([images], share_inputs=True)
            if images.shape not in shapes:  # OpenVINO may have read the weights again
                shapes.add(images.shape)
                weights.leave_memory()
            return [np.array(results[i], np.float32) for i in range(len(model.outputs))]

    return run


def precisions() -> list[Precision]:
    """The precisions that this machine supports natively.

    ``int8`` is one of them if the networks are in the cache, or NNCF is installed to make them.
    """
    able: list[Precision] = ["fp32"]
    if _has_bf16():
        able.append("bf16")
    if has_instructions() and (can_quantize() or is_any_quantized()):
        able.append("int8")
    return able


@functools.cache
def _has_bf16() -> bool:
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _floats(precision: Precision) -> str:
    """OpenVINO's name of the precision for the floating-point layers of a network."""
    is_reduced = precision == "bf16" or (precision == "int8" and _has_bf16())
    return "bf16" if is_reduced else "f32"


def convert_detector(checkpoint: Path) -> tuple[openvino.Model, Facts]:
    """Converts a detector in float32; see ``OpenVinoDetector`` for the errors."""
    from speciesnet.engines.checkpoint import is_ultralytics_checkpoint, read_yolov5_checkpoint

    if is_ultralytics_checkpoint(checkpoint):
        raise UnsupportedNetworkError("an ultralytics network")
    network = read_yolov5_checkpoint(checkpoint)
    head = network.detect
    facts = {
        "anchors": (head.anchors * head.stride.view(-1, 1, 1)).tolist(),
        "strides": head.stride.tolist(),
    }
    side = 2 * int(head.stride.max())
    return _convert(network, (side, side), [-1, -1, -1, 3]), facts


def convert_classifier(path: Path) -> tuple[openvino.Model, Facts]:
    """Converts a classifier in float32; see ``OpenVinoClassifier`` for the errors."""
    from speciesnet.engines.classifier_file import read_classifier_network

    network = read_classifier_network(path)
    return _convert(network, (INPUT_SHAPE[0], INPUT_SHAPE[1]), [-1, *INPUT_SHAPE]), {
        "classes": network.classes
    }


def _convert(network: torch.nn.Module, size: tuple[int, int], shape: list[int]) -> openvino.Model:
    """Traces a network together with the conversion of uint8 images (batch, H, W, 3) to its input."""
    import torch

    class FromImages(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> Any:
            outputs = self.network(images.permute(0, 3, 1, 2).float() / 255)
            return tuple(outputs) if isinstance(outputs, list) else outputs

    example = torch.zeros((1, *size, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer is deprecated, but OpenVINO needs it
        traced = torch.jit.trace(FromImages().eval(), example, check_trace=False)
        return openvino.convert_model(
            traced,
            example_input=example,
            input=[(openvino.PartialShape(shape), openvino.Type.u8)],
        )
