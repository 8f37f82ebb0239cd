"""What runs a network. Nothing outside this folder imports a deep-learning framework.

An engine is one small protocol: a batch of arrays in, an array out. Frameworks are imported when an
engine is loaded, never before.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import importlib.util
import platform
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, cast, get_args

import numpy as np
from absl import logging
from numpy.typing import NDArray

from speciesnet.errors import InputError, ModelError, UnsupportedNetworkError

Engine = Literal["auto", "torch", "tensorflow", "openvino"]
Precision = Literal["fp32", "bf16", "fp16"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
MEGADETECTOR_SIZE = 1280  # pixels of an image's longest side, at which MegaDetector was trained


class DetectorEngine(Protocol):
    """Runs a detector.

    Attributes:
        name: How the network is run, in words for the log: engine, precision, device.
        on_cpu: Whether it takes the processor that all else runs on, too.
        image_size: Pixels of the longest side of an image.
        stride: Both sides of the network's input are multiples of this.
        stretches: The network wants squares of ``image_size`` with the image stretched into them.
        batch_size: How many images at once are worth it on this device.
    """

    name: str
    on_cpu: bool
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
        name: As a detector's.
        on_cpu: As a detector's.
        classes: Number of outputs.
    """

    name: str
    on_cpu: bool
    classes: int

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Images (batch, 480, 480, 3), RGB, to logits (batch, classes)."""
        ...


@dataclass(frozen=True)
class EngineOptions:
    """How a network is run.

    Attributes:
        engine: ``torch``, ``tensorflow`` (classifiers only), ``openvino`` (CPU only), or ``auto``: the
            fastest one that this machine and the model allow, and for a detector in float32 on a CPU
            ``torch``, whose boxes are exact.
        precision: Of the numbers inside the network; ``fp32`` is the reference.
        device: "cpu", "cuda", "mps" or None for the best there is.
        threads: Of the processor, for a network on it; None is all cores.
    """

    engine: Engine = "auto"
    precision: Precision = "fp32"
    device: str | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("engine", self.engine, ENGINES),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in allowed:
                raise InputError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")

    @property
    def takes_openvino(self) -> bool:
        """Whether OpenVINO is to be used, or is the fastest there is."""
        if self.engine == "auto":
            return (
                has_module("openvino")
                and self.precision != "fp16"
                and (self.device == "cpu" or (self.device is None and not has_graphics_processor()))
            )
        return self.engine == "openvino"


def load_detector_engine(checkpoint: Path, options: EngineOptions | None = None) -> DetectorEngine:
    """The engine for a detector checkpoint, YOLOv5's or ultralytics'; raises ``ModelError``."""
    options = options or EngineOptions()
    if options.engine == "tensorflow":
        raise ModelError(
            "The engine tensorflow runs no detectors; give --engine torch, openvino or auto."
        )
    # In float32 PyTorch's boxes are the published program's to the last bit; OpenVINO is a tenth faster,
    # and now and then a pixel off, on which a crop's scores may hang.
    is_reference = options.engine == "auto" and options.precision == "fp32"
    if options.takes_openvino and not is_reference and _can_import_openvino(options):
        from speciesnet.engines.openvino import OpenVinoDetector

        try:
            return OpenVinoDetector(checkpoint, options)
        except UnsupportedNetworkError as error:
            if options.engine == "openvino":
                raise ModelError(
                    f"The engine openvino cannot run the detector {checkpoint}, {error}; give "
                    "--engine torch or auto."
                ) from error
    from speciesnet.engines.checkpoint import is_ultralytics_checkpoint

    if is_ultralytics_checkpoint(checkpoint):
        from speciesnet.engines.ultralytics import UltralyticsEngine

        return UltralyticsEngine(checkpoint, options)
    from speciesnet.engines.torch import TorchDetector

    return TorchDetector(checkpoint, options)


def load_classifier_engine(model: Path, options: EngineOptions | None = None) -> ClassifierEngine:
    """The engine for a Keras 2 file, or one of onnx2torch; raises ``ModelError``."""
    from speciesnet.engines.classifier_file import is_torch_file

    options = options or EngineOptions()
    for_tensorflow = not is_torch_file(model)
    if options.engine == "tensorflow" and not for_tensorflow:
        raise ModelError(
            f"The engine tensorflow cannot run {model}, a PyTorch file; give --engine auto."
        )
    if options.engine != "tensorflow":
        try:
            if options.takes_openvino and _can_import_openvino(options):
                from speciesnet.engines.openvino import OpenVinoClassifier

                return OpenVinoClassifier(model, options)
            from speciesnet.engines.torch import TorchClassifier

            return TorchClassifier(model, options)
        except UnsupportedNetworkError as error:
            if not for_tensorflow:
                raise ModelError(
                    f"The classifier {model} has {error}, which is not known here; take the .keras "
                    "package of the same model."
                ) from error
            if options.engine != "auto":
                raise ModelError(
                    f"The engine {options.engine} cannot run the classifier {model}: it has {error}; "
                    "give --engine tensorflow or auto."
                ) from error
            options = replace(options, precision="fp32")
    from speciesnet.engines.tensorflow import TensorFlowEngine

    return TensorFlowEngine(model, options)


def reduced_precision(options: EngineOptions) -> Precision | None:
    """The precision below float32 that the engine computes in natively here, if there is one."""
    if options.engine == "tensorflow":
        return None
    if options.takes_openvino and _can_import_openvino(options):
        from speciesnet.engines import openvino

        return "bf16" if "bf16" in openvino.precisions() else None
    from speciesnet.engines import devices

    return devices.reduced_precision(devices.torch_device(options.device))


def engine_of_each_stage(engines: str) -> tuple[Engine, Engine]:
    """The detector's and the classifier's engine from one name for both, or two with a comma.

    ``tensorflow`` alone is the classifier's: it runs no detectors.

    Raises:
        InputError: A name is none of ``ENGINES``.
    """
    names = [name.strip() for name in engines.split(",")]
    if len(names) > 2 or any(name not in ENGINES for name in names):
        raise InputError(
            f"engine is {engines!r}; it must be one of {', '.join(ENGINES)}, or two of them, the "
            "detector's and the classifier's, with a comma between."
        )
    first, last = cast("Engine", names[0]), cast("Engine", names[-1])
    return ("auto" if len(names) == 1 and first == "tensorflow" else first), last


def has_module(name: str) -> bool:
    """Whether a package is installed, without importing it."""
    return importlib.util.find_spec(name) is not None


def _can_import_openvino(options: EngineOptions) -> bool:
    """Whether OpenVINO can be imported; raises ``ModelError`` if it was asked for by name."""
    try:
        from speciesnet.engines import openvino  # noqa: F401
    except (ImportError, OSError) as error:
        if options.engine == "openvino":
            raise ModelError(
                f"The engine openvino cannot be loaded ({error}): pip install --upgrade openvino, or "
                "give --engine auto."
            ) from error
        logging.warning("OpenVINO cannot be loaded (%s): PyTorch runs the network.", error)
        return False
    return True


def version_of(package: str) -> str | None:
    """The version of an installed package, without importing it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def has_graphics_processor() -> bool:
    """Whether PyTorch runs on a graphics processor of this machine.

    NVIDIA's driver is asked first: importing PyTorch to ask takes seconds.
    """
    is_apple = sys.platform == "darwin" and platform.machine() == "arm64"
    if not is_apple and not _has_nvidia_card() and "rocm" not in (version_of("torch") or ""):
        return False
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def _has_nvidia_card() -> bool:
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    with suppress(OSError, AttributeError):
        driver, count = ctypes.CDLL(name), ctypes.c_int(0)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value > 0
    return False
