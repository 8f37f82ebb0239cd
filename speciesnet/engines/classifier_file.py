"""Reads a classifier file of either format as a PyTorch network."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speciesnet.engines.graph import GraphNetwork


def is_torch_file(path: Path) -> bool:
    """Whether PyTorch saved a file; every other file is treated as a ``.keras`` file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except Exception:  # archives can be damaged in many ways
        return False


def read_classifier_network(path: Path) -> GraphNetwork:
    """The network of a ``.keras`` file, or of a ``.pt`` file from onnx2torch, in float32.

    It maps images (batch, 3, 480, 480), RGB in [0, 1], to logits (batch, classes).

    Raises:
        ModelError: The file is damaged, or refers to code.
        UnsupportedNetworkError: A part of the network is not supported.
    """
    if is_torch_file(path):
        from speciesnet.engines.fx_torch import read_fx_network

        return read_fx_network(path)
    from speciesnet.engines.keras_torch import read_keras_network

    return read_keras_network(path)
