"""SpeciesNet: camera-trap images in, species out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speciesnet.boxes import BBox
    from speciesnet.classifier import SpeciesNetClassifier
    from speciesnet.constants import Classification, Detection
    from speciesnet.detector import SpeciesNetDetector
    from speciesnet.display import draw_bboxes
    from speciesnet.ensemble import SpeciesNetEnsemble
    from speciesnet.errors import SpeciesNetError
    from speciesnet.geolocation import find_admin1_region
    from speciesnet.images import PreprocessedImage, file_exists, load_rgb_image
    from speciesnet.instances import prepare_instances_dict
    from speciesnet.model import SpeciesNet
    from speciesnet.packages.info import DEFAULT_MODEL, SUPPORTED_MODELS, ModelInfo
    from speciesnet.utils import only_one_true

__version__ = "5.0.0"

# Imported when first used, so that nobody waits for what they do not need.
_HOMES = {
    "BBox": "boxes",
    "Classification": "constants",
    "DEFAULT_MODEL": "packages.info",
    "Detection": "constants",
    "ModelInfo": "packages.info",
    "PreprocessedImage": "images",
    "SUPPORTED_MODELS": "packages.info",
    "SpeciesNet": "model",
    "SpeciesNetClassifier": "classifier",
    "SpeciesNetDetector": "detector",
    "SpeciesNetEnsemble": "ensemble",
    "SpeciesNetError": "errors",
    "draw_bboxes": "display",
    "file_exists": "images",
    "find_admin1_region": "geolocation",
    "load_rgb_image": "images",
    "only_one_true": "utils",
    "prepare_instances_dict": "instances",
}

__all__ = [
    "DEFAULT_MODEL",
    "SUPPORTED_MODELS",
    "BBox",
    "Classification",
    "Detection",
    "ModelInfo",
    "PreprocessedImage",
    "SpeciesNet",
    "SpeciesNetClassifier",
    "SpeciesNetDetector",
    "SpeciesNetEnsemble",
    "SpeciesNetError",
    "draw_bboxes",
    "file_exists",
    "find_admin1_region",
    "load_rgb_image",
    "only_one_true",
    "prepare_instances_dict",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
