"""Names that other programs import from this module."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speciesnet.files.atomic import write_atomically
from speciesnet.files.packages.info import ModelInfo
from speciesnet.images.decoding import PreprocessedImage, file_exists, load_rgb_image
from speciesnet.images.instances import prepare_instances_dict
from speciesnet.predictions.format5 import (
    build_classifier_result,
    limit_float_precision,
    make_predictions_dict,
    whole_image_detection,
)
from speciesnet.predictions.layout import save_predictions
from speciesnet.predictions.reading import load_partial_predictions
from speciesnet.records.boxes import BBox, BoxSelection

__all__ = [
    "BBox",
    "ModelInfo",
    "PreprocessedImage",
    "build_classifier_result",
    "file_exists",
    "limit_float_precision",
    "load_json",
    "load_partial_predictions",
    "load_rgb_image",
    "make_predictions_dict",
    "only_one_true",
    "prepare_instances_dict",
    "save_predictions",
    "select_detections_for_classification",
    "whole_image_detection",
    "write_json",
]


def only_one_true(*args: object) -> bool:
    """Whether exactly one of the arguments is truthy.

    Examples:
        >>> only_one_true(0, "a", None)
        True
    """
    return sum(map(bool, args)) == 1


def select_detections_for_classification(
    detections: Sequence[Any], detection_threshold: float, max_classifications: int | None = None
) -> list[int]:
    """The positions of the boxes to classify, most confident first.

    Args:
        detections: ``[{"conf": ...}, ...]``.
        detection_threshold: The lowest confidence, in [0, 1].
        max_classifications: The maximum number of boxes; None means all.
    """
    selection = BoxSelection(detection_threshold, max_classifications)
    return selection.positions([detection["conf"] for detection in detections])


def load_json(filepath: str | os.PathLike[str]) -> Any:
    """The content of a JSON file; raises ``OSError`` and ``ValueError``."""
    return json.loads(Path(filepath).read_text(encoding="utf-8"))


def write_json(
    data: Any, filepath: str | os.PathLike[str], num_decimals: int | None = None
) -> None:
    """Writes a JSON file atomically.

    Args:
        data: Its content.
        filepath: The file.
        num_decimals: The number of decimal places to round numbers to; None does not round.

    Raises:
        OSError: The file cannot be written.

    Examples:
        >>> write_json({"conf": 0.123456}, "box.json", 4)
        >>> load_json("box.json")
        {'conf': 0.1235}
    """
    content = data if num_decimals is None else limit_float_precision(data, num_decimals)
    text = json.dumps(content, indent=1, ensure_ascii=False)
    with write_atomically(Path(filepath)) as part:
        part.write_text(text, encoding="utf-8")
