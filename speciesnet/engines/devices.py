"""PyTorch's devices, and what all PyTorch engines share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from absl import logging
from numpy.typing import NDArray
from torch import Tensor, nn

from speciesnet.engines.base import EngineOptions, Precision
from speciesnet.engines.memory import return_memory
from speciesnet.errors import ModelError

GPU_BATCH_SIZE = 64  # maximum; on a CPU batches are no faster and need more memory
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Network = TypeVar("Network", bound=nn.Module)
Call = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def torch_device(name: str | None = None) -> torch.device:
    """The device with a given name ("cpu", "cuda", "cuda:1", "mps"), or the best one available.

    Raises:
        ModelError: This machine does not have the device.
    """
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    name = {"gpu": "cuda"}.get(name, name)
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelError(f"PyTorch has no device {name!r} here; try 'cpu'.") from error
    return device


@contextmanager
def inference() -> Iterator[None]:
    """Puts this thread's PyTorch into inference mode and treats numbers below 1e-38 as zero.

    Such numbers make a CPU ten times slower. The setting is restored, because it would affect the
    caller's own code.
    """
    earlier = (torch.tensor(1e-39) * 1).item() == 0
    torch.set_flush_denormal(True)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_flush_denormal(earlier)


def reduced_precision(device: torch.device) -> Precision | None:
    """The precision below float32 that a device supports natively, if any."""
    if device.type == "cpu":
        able = getattr(torch.cpu, "get_capabilities", dict)()  # missing in older versions
        return "bf16" if able.get("avx512_bf16") or able.get("bf16") else None
    return "fp16"


def prepared(network: Network, device: torch.device, options: EngineOptions) -> Network:
    """Moves a network to its device and converts it to its precision; raises ``ModelError``."""
    precision = options.precision
    if options.threads:
        torch.set_num_threads(options.threads)
    if precision == "fp16" and device.type == "cpu":
        raise ModelError("CPUs cannot compute in fp16; use --precision bf16 or fp32.")
    if device.type == "cuda":  # for the whole process: the networks run side by side
        # The reference is float32; NVIDIA's TF32 has a mantissa of only 10 bits.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    dtype = _TYPES[precision]
    network = network.to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return_memory()  # the tensors that were read and converted are no longer needed
    return network


def to_device(images: NDArray[np.uint8], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Converts images (batch, H, W, 3) to numbers in [0, 1], (batch, 3, H, W), on a device."""
    batch = torch.from_numpy(images)
    if device.type == "cuda":  # pinned memory is copied while the GPU computes
        batch = batch.pin_memory().to(device, non_blocking=True)
    return (batch.to(device).permute(0, 3, 1, 2).float() / 255).to(dtype)


class FittingBatches:
    """Calls a network with as many images per batch as fit into GPU memory.

    Args:
        call: The network, which maps images (batch, H, W, 3) to an array whose first axis is the
            batch.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._limit: int | None = None

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network's output for all images; raises ``ModelError`` if not even one image fits."""
        is_last_try = False
        while True:
            size = min(len(images), self._limit or len(images))
            try:
                parts = [self._call(images[i : i + size]) for i in range(0, len(images), size)]
                return parts[0] if len(parts) == 1 else np.concatenate(parts)
            except torch.OutOfMemoryError as error:
                if is_last_try:
                    raise ModelError(
                        "The graphics memory is too small for the network and one image; close "
                        "other programs that use it, or add --device cpu."
                    ) from error
                is_last_try = size == 1  # the other network may be using more memory than usual
                self._limit = max(size // 2, 1)
            # After the except block: the exception keeps the tensors alive.
            torch.cuda.empty_cache()
            logging.warning("The GPU memory is full: the batch size is now %d.", self._limit)


class TorchEngine:
    """Base class of the PyTorch engines; subclasses implement ``_infer``.

    Args:
        options: Precision, device and threads.
        kind: First word of the engine's name.

    Raises:
        ModelError: The device does not exist, or the precision is int8.
    """

    batches_alike = False  # it adds numbers in an order that depends on the size of the batch

    def __init__(self, options: EngineOptions, kind: str = "torch") -> None:
        if options.precision == "int8":
            raise ModelError(
                "The torch engine cannot compute in int8; use --engine openvino or a different "
                "--precision."
            )
        self.device = torch_device(options.device)
        self.on_cpu = self.device.type == "cpu"
        self.batch_size = 1 if self.on_cpu else GPU_BATCH_SIZE
        self.name = f"{kind} {options.precision} on {self.device}"
        self._type = _TYPES[options.precision]
        self._fitting = FittingBatches(self._run)
        # Always the same thread: the memory that glibc reserves for a thread is never returned.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=kind) if self.on_cpu else None

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See ``DetectorEngine`` and ``ClassifierEngine``."""
        return self._fitting(images)

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The output for images that fit into memory together."""
        if self._thread is None:
            return self._output(images)
        return self._thread.submit(self._output, images).result()

    def _output(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with inference():
            batch = to_device(images, self.device, self._type)
            return self._infer(batch).cpu().numpy()

    def _infer(self, batch: Tensor) -> Tensor:
        """The output in float32 for images (batch, 3, H, W) with numbers in [0, 1]."""
        raise NotImplementedError
