"""Lets TensorFlow and Triton, which comes with PyTorch for CUDA, be used in one process.

Both include LLVM. Importing Triton 3.8.0 after TensorFlow 2.21.0, as parts of PyTorch and torchvision
do, ends the process; importing TensorFlow after Triton works.
"""

from __future__ import annotations

import sys
from contextlib import suppress


def import_triton() -> None:
    """Imports Triton, if that is possible, before TensorFlow is imported."""
    hide_triton_after_tensorflow()
    with suppress(ImportError, OSError):  # PyTorch for CPUs does not need it
        import triton  # noqa: F401


def hide_triton_after_tensorflow() -> None:
    """Makes Triton appear not to be installed if TensorFlow has been imported without it.

    PyTorch then works without Triton, as it does on computers without a graphics card.
    """
    if "tensorflow" in sys.modules and "triton" not in sys.modules:
        sys.modules["triton"] = None  # type: ignore[assignment]
