"""Predictions files: reading, writing, and resuming the run that writes one."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speciesnet.predictions.layout import save_predictions
    from speciesnet.predictions.reading import load_partial_predictions, read_records

__all__ = ["load_partial_predictions", "read_records", "save_predictions"]


def __getattr__(name: str) -> object:  # on first use: other modules of the package need neither
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "layout" if name == "save_predictions" else "reading"
    return getattr(import_module(f"{__name__}.{home}"), name)
