"""Chooses the engine for a network. Frameworks are imported when an engine is loaded, never before."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import platform
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

from absl import logging

from speciesnet.engines.base import (
    DEFAULT_OPTIONS,
    ENGINES,
    ClassifierEngine,
    DetectorEngine,
    Engine,
    EngineOptions,
    version_of,
)
from speciesnet.engines.triton import hide_triton_after_tensorflow
from speciesnet.errors import InputError, ModelError, UnsupportedNetworkError


def load_detector_engine(
    checkpoint: Path, options: EngineOptions = DEFAULT_OPTIONS
) -> DetectorEngine:
    """The engine for a detector checkpoint, YOLOv5's or ultralytics'; raises ``ModelError``."""
    if options.engine == "tensorflow":
        raise ModelError(
            "The tensorflow engine cannot run detectors. Use --engine torch, openvino or auto."
        )
    hide_triton_after_tensorflow()
    options = only_openvino_for_int8(options)
    # In float32 PyTorch's boxes equal the published program's to the last bit. OpenVINO is a tenth
    # faster, but sometimes a pixel off, which can change the scores of a crop.
    is_reference = options.engine == "auto" and options.precision == "fp32"
    if not is_reference and loads_openvino(options):
        from speciesnet.engines.openvino import OpenVinoDetector

        try:
            return OpenVinoDetector(checkpoint, options)
        except UnsupportedNetworkError as error:
            if options.engine == "openvino":
                other = "precision fp32" if options.precision == "int8" else "engine torch or auto"
                raise ModelError(
                    f"The openvino engine cannot run the detector {checkpoint}: it has {error}. Use "
                    f"--{other}."
                ) from error
    from speciesnet.engines.checkpoint import is_ultralytics_checkpoint

    if is_ultralytics_checkpoint(checkpoint):
        from speciesnet.engines.ultralytics import UltralyticsEngine

        return UltralyticsEngine(checkpoint, options)
    from speciesnet.engines.torch import TorchDetector

    return TorchDetector(checkpoint, options)


def load_classifier_engine(
    model: Path, options: EngineOptions = DEFAULT_OPTIONS
) -> ClassifierEngine:
    """The engine for a file from Keras 2 or onnx2torch; raises ``ModelError``."""
    from speciesnet.engines.classifier_file import is_torch_file

    for_tensorflow = not is_torch_file(model)
    if options.engine == "tensorflow" and not for_tensorflow:
        raise ModelError(
            f"The tensorflow engine cannot run {model}, a PyTorch file. Use --engine auto."
        )
    hide_triton_after_tensorflow()
    options = only_openvino_for_int8(options)
    if options.engine != "tensorflow":
        try:
            if loads_openvino(options):
                from speciesnet.engines.openvino import OpenVinoClassifier

                return OpenVinoClassifier(model, options)
            from speciesnet.engines.torch import TorchClassifier

            return TorchClassifier(model, options)
        except UnsupportedNetworkError as error:
            if not for_tensorflow:
                raise ModelError(
                    f"The classifier {model} has {error}, which is not supported. Use the .keras "
                    "package of the same model."
                ) from error
            if options.engine != "auto":
                raise ModelError(
                    f"The {options.engine} engine cannot run the classifier {model}: it has {error}. "
                    "Use --engine tensorflow or auto."
                ) from error
            options = replace(options, precision="fp32")
            _require_tensorflow(f"The classifier {model} has {error}")
    from speciesnet.engines.tensorflow import TensorFlowEngine

    return TensorFlowEngine(model, options)


def only_openvino_for_int8(options: EngineOptions) -> EngineOptions:
    """The options with the engine openvino instead of ``auto`` if the precision is int8."""
    is_open = options.engine == "auto" and options.precision == "int8"
    return replace(options, engine="openvino") if is_open else options


def _require_tensorflow(reason: str) -> None:
    """Raises ``ModelError`` if TensorFlow, the only engine left for a network, is missing."""
    from speciesnet.engines.tensorflow import import_tensorflow

    try:
        import_tensorflow()
    except ImportError as error:
        raise ModelError(f"{reason}, which only TensorFlow may support, but {error}.") from error


def convert(name: str, source: Path, options: EngineOptions) -> Path | None:
    """Converts a network for OpenVINO, unless it is converted already.

    Args:
        name: "detector" or "classifier".
        source: Its file.
        options: How it will be run.

    Returns:
        The folder of the converted network; None if another engine runs the network.

    Raises:
        ModelError: The network cannot be converted or stored, or does not run with these options.
    """
    if not loads_openvino(options):
        return None
    from speciesnet.engines import openvino, openvino_cache

    engine = openvino.OpenVinoDetector if name == "detector" else openvino.OpenVinoClassifier
    try:
        engine(source, options)
    except UnsupportedNetworkError:
        return None
    folder = openvino_cache.converted_folder(source)
    if not folder.is_dir():
        raise ModelError(
            f"The {name} cannot be stored in {folder.parent}. Make room there, or set SPECIESNET_CACHE "
            "to a different folder."
        )
    return folder


def engine_of_each_stage(engines: str) -> tuple[Engine, Engine]:
    """The engines of the detector and the classifier.

    ``tensorflow`` alone applies to the classifier only, because it cannot run detectors.

    Args:
        engines: One name for both, or two names separated by a comma.

    Raises:
        InputError: A name is not in ``ENGINES``.

    Examples:
        >>> engine_of_each_stage("torch,openvino")
        ('torch', 'openvino')
        >>> engine_of_each_stage("tensorflow")
        ('auto', 'tensorflow')
    """
    names = [name.strip() for name in engines.split(",")]
    if len(names) > 2 or any(name not in ENGINES for name in names):
        raise InputError(
            f"engine is {engines!r}; it must be one of {', '.join(ENGINES)}, or two of them, "
            "separated by a comma, for the detector and the classifier."
        )
    first, last = cast("Engine", names[0]), cast("Engine", names[-1])
    return ("auto" if len(names) == 1 and first == "tensorflow" else first), last


def prefers_openvino(options: EngineOptions) -> bool:
    """Whether OpenVINO is requested, or is the fastest engine on this machine."""
    if options.engine == "auto":
        return (
            importlib.util.find_spec("openvino") is not None
            and options.precision != "fp16"
            and (options.device == "cpu" or (options.device is None and not _has_gpu()))
        )
    return options.engine == "openvino"


def loads_openvino(options: EngineOptions) -> bool:
    """Whether OpenVINO runs the network; raises ``ModelError`` if it is requested but fails to load."""
    if not prefers_openvino(options):
        return False
    try:
        from speciesnet.engines import openvino  # noqa: F401
    except (ImportError, OSError) as error:
        if options.engine == "openvino":
            raise ModelError(
                f"The openvino engine cannot be loaded ({error}). Run pip install --upgrade openvino, or "
                "use --engine auto."
            ) from error
        logging.warning("OpenVINO cannot be loaded (%s): PyTorch runs the network.", error)
        return False
    return True


@functools.cache
def _has_gpu() -> bool:
    """Whether PyTorch can use a GPU. Asks NVIDIA's driver first, as importing PyTorch takes seconds."""
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
