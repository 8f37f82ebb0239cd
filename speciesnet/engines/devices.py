"""Which device PyTorch runs on, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from absl import logging
from numpy.typing import NDArray
from torch import Tensor, nn

from speciesnet.engines.base import EngineOptions, Precision
from speciesnet.errors import ModelError

GPU_BATCH_SIZE = 64  # images at most; on a CPU a batch gains nothing and costs memory
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Network = TypeVar("Network", bound=nn.Module)
Call = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def torch_device(name: str | None = None) -> torch.device:
    """The device of a name ("cpu", "cuda", "cuda:1", "mps"), or the best there is.

    Raises:
        ModelError: There is no such device here.
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
    """Within the context this thread's PyTorch infers, and treats numbers below 1e-38 as zero.

    They carry nothing and cost a CPU tenfold. The setting is put back: it would leak into the caller's
    own code.
    """
    earlier = (torch.tensor(1e-39) * 1).item() == 0
    torch.set_flush_denormal(True)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_flush_denormal(earlier)


def reduced_precision(device: torch.device) -> Precision | None:
    """The precision below float32 that a device computes in natively, if there is one."""
    if device.type == "cpu":
        able = getattr(torch.cpu, "get_capabilities", dict)()  # older versions do not tell
        return "bf16" if able.get("avx512_bf16") or able.get("bf16") else None
    return "fp16"


def prepared(
    network: Network, device: torch.device, options: EngineOptions
) -> tuple[Network, torch.dtype]:
    """A network on its device, and the type of its numbers; raises ``ModelError``."""
    precision = options.precision
    if options.threads:
        torch.set_num_threads(options.threads)
    if precision == "fp16" and device.type == "cpu":
        raise ModelError("CPUs do not compute in fp16; give --precision bf16 or fp32.")
    if device.type == "cuda":  # for the whole process: the networks run side by side
        # The reference is float32; what NVIDIA calls TF32 has 10 bits of it.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    dtype = _TYPES[precision]
    return network.to(device, dtype, memory_format=torch.channels_last), dtype  # type: ignore[call-overload]


def to_device(images: NDArray[np.uint8], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Images (batch, H, W, 3) as numbers in [0, 1] of shape (batch, 3, H, W) on a device."""
    batch = torch.from_numpy(images)
    if device.type == "cuda":  # pinned memory is copied while the card computes
        batch = batch.pin_memory().to(device, non_blocking=True)
    return (batch.to(device).permute(0, 3, 1, 2).float() / 255).to(dtype)


class FittingBatches:
    """Calls a network with as many images at once as the graphics memory holds.

    Args:
        call: Images (batch, H, W, 3) to an array whose first axis is the batch.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._limit: int | None = None

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """All images; raises ``ModelError`` where not even one fits."""
        is_last_try = False
        while True:
            size = min(len(images), self._limit or len(images))
            try:
                parts = [self._call(images[i : i + size]) for i in range(0, len(images), size)]
                return parts[0] if len(parts) == 1 else np.concatenate(parts)
            except torch.OutOfMemoryError as error:
                if is_last_try:
                    raise ModelError(
                        "The graphics memory does not hold the network and one image; end what else "
                        "uses it, or add --device cpu."
                    ) from error
                is_last_try = size == 1  # the other network may just have taken more than usual
                self._limit = max(size // 2, 1)
            # Behind the handler, as the error holds what must be freed.
            torch.cuda.empty_cache()
            logging.warning("The graphics memory is full: batches are of %d now.", self._limit)


class TorchEngine:
    """What all networks on PyTorch share; the rest is told by ``_infer``.

    Args:
        options: Precision, device and threads.
        kind: What runs the network, for its name.

    Raises:
        ModelError: The device is not there.
    """

    def __init__(self, options: EngineOptions, kind: str = "torch") -> None:
        self.device = torch_device(options.device)
        self.on_cpu = self.device.type == "cpu"
        self.batch_size = 1 if self.on_cpu else GPU_BATCH_SIZE
        self.name = f"{kind} {options.precision} on {self.device}"
        self._fitting = FittingBatches(self._infer)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See ``DetectorEngine`` and ``ClassifierEngine``."""
        return self._fitting(images)

    def _infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network's answer for images that fit into memory together."""
        raise NotImplementedError
