"""Which device PyTorch runs on."""

from __future__ import annotations

import torch

from speciesnet.errors import ModelError

# The reference is float32; what NVIDIA calls TF32 has 10 bits of it.
torch.backends.cudnn.allow_tf32 = False
torch.backends.cuda.matmul.allow_tf32 = False

GPU_BATCH_SIZE = 8  # images; on a CPU a batch gains nothing and costs memory


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
