"""Names that other programs import from this module."""

from speciesnet.boxes import BBox
from speciesnet.images import PreprocessedImage, file_exists, load_rgb_image
from speciesnet.instances import prepare_instances_dict
from speciesnet.packages.info import ModelInfo
from speciesnet.predictions.layout import save_predictions
from speciesnet.predictions.reading import load_partial_predictions

__all__ = [
    "BBox",
    "ModelInfo",
    "PreprocessedImage",
    "file_exists",
    "load_partial_predictions",
    "load_rgb_image",
    "only_one_true",
    "prepare_instances_dict",
    "save_predictions",
]


def only_one_true(*args: object) -> bool:
    """Whether exactly one of the arguments is truthy.

    Examples:
        >>> only_one_true(0, "a", None)
        True
    """
    return sum(map(bool, args)) == 1
