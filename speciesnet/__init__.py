"""SpeciesNet: camera-trap images in, species out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same names as in _HOMES, for type checkers
    from speciesnet.classifier import SpeciesNetClassifier as SpeciesNetClassifier
    from speciesnet.constants import Classification as Classification
    from speciesnet.constants import Detection as Detection
    from speciesnet.detector import SpeciesNetDetector as SpeciesNetDetector
    from speciesnet.display import draw_bboxes as draw_bboxes
    from speciesnet.ensemble import SpeciesNetEnsemble as SpeciesNetEnsemble
    from speciesnet.errors import SpeciesNetError as SpeciesNetError
    from speciesnet.export.tables import to_dataframe as to_dataframe
    from speciesnet.files.packages.info import DEFAULT_MODEL as DEFAULT_MODEL
    from speciesnet.files.packages.info import SUPPORTED_MODELS as SUPPORTED_MODELS
    from speciesnet.files.packages.info import ModelInfo as ModelInfo
    from speciesnet.geolocation import find_admin1_region as find_admin1_region
    from speciesnet.images.decoding import PreprocessedImage as PreprocessedImage
    from speciesnet.images.decoding import file_exists as file_exists
    from speciesnet.images.decoding import load_rgb_image as load_rgb_image
    from speciesnet.images.instances import prepare_instances_dict as prepare_instances_dict
    from speciesnet.predictions.reading import read_records as read_records
    from speciesnet.records.boxes import BBox as BBox
    from speciesnet.run.model import SpeciesNet as SpeciesNet
    from speciesnet.survey.corrections import read_corrected as read_corrected
    from speciesnet.utils import only_one_true as only_one_true

__version__ = "5.0.0"

# The module of each name. It is imported on first use, because some take seconds to import.
_HOMES = {
    "BBox": "records.boxes",
    "Classification": "constants",
    "DEFAULT_MODEL": "files.packages.info",
    "Detection": "constants",
    "ModelInfo": "files.packages.info",
    "PreprocessedImage": "images.decoding",
    "SUPPORTED_MODELS": "files.packages.info",
    "SpeciesNet": "run.model",
    "SpeciesNetClassifier": "classifier",
    "SpeciesNetDetector": "detector",
    "SpeciesNetEnsemble": "ensemble",
    "SpeciesNetError": "errors",
    "draw_bboxes": "display",
    "file_exists": "images.decoding",
    "find_admin1_region": "geolocation",
    "load_rgb_image": "images.decoding",
    "only_one_true": "utils",
    "prepare_instances_dict": "images.instances",
    "read_corrected": "survey.corrections",
    "read_records": "predictions.reading",
    "to_dataframe": "export.tables",
}
__all__ = list(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]  # read at run time


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
