"""The interface of an engine, and the options of all engines; imports no framework."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from speciesnet.errors import InputError

Engine = Literal["auto", "torch", "tensorflow", "openvino"]
Precision = Literal["fp32", "bf16", "fp16", "int8"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
MEGADETECTOR_SIZE = 1280  # pixels of an image's longest side, as MegaDetector v5 was trained


class DetectorEngine(Protocol):
    """Runs a detector.

    Attributes:
        name: Engine, precision and device, for the log.
        on_cpu: Whether the network runs on the CPU, which the other stages use as well.
        image_size: Longest side of an image, in pixels.
        stride: Both sides of the network's input are multiples of this many pixels.
        stretches: Whether images are stretched into squares of ``image_size``.
        batch_size: Maximum number of images per batch that is worthwhile on this device.
    """

    name: str
    on_cpu: bool
    image_size: int
    stride: int
    stretches: bool
    batch_size: int

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Converts images (batch, H, W, 3), RGB, to raw boxes (batch, boxes, 5 + 3).

        A box is x and y of its center, width and height in pixels, objectness, class probabilities.
        """
        ...


class ClassifierEngine(Protocol):
    """Runs a classifier.

    Attributes:
        name: Engine, precision and device, for the log.
        on_cpu: Whether the network runs on the CPU, which the other stages use as well.
        batches_alike: Whether an image has the same output in batches of any size; with AVX2, it was
            the same to the last bit.
        classes: Number of outputs.
    """

    name: str
    on_cpu: bool
    batches_alike: bool
    classes: int

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Converts images (batch, 480, 480, 3), RGB, to logits (batch, classes)."""
        ...


@dataclass(frozen=True)
class EngineOptions:
    """How a network is run.

    Attributes:
        engine: ``torch``, ``tensorflow`` (classifiers only), ``openvino`` (CPU only), or ``auto``: the
            fastest one that this machine and the model allow, but ``torch`` for a detector in float32,
            because only its boxes are exact.
        precision: Numeric precision of the network; ``fp32`` is the reference, and ``int8`` runs on
            OpenVINO only.
        device: "cpu", "cuda", "mps", or None for the best device available.
        threads: CPU threads for a network on the CPU; None uses all cores.

    Raises:
        InputError: The engine or the precision is unknown.
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


DEFAULT_OPTIONS = EngineOptions()


def version_of(package: str) -> str | None:
    """The version of an installed package, without importing it; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
