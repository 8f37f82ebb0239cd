"""Compares records with those of the published program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

SCORE_TOLERANCE = 1e-4
BOX_SHARE = 0.01  # the share of boxes that may differ at the thresholds
MOVED_SHARE = 0.1  # the share of images whose best box may round to the next pixel

Record = dict[str, Any]


def load(path: Path) -> list[Record]:
    return json.loads(path.read_text(encoding="utf-8"))["predictions"]


def assert_same(
    records: list[Record], expected: list[Record], folder: Path, *, other_rounding: bool = False
) -> None:
    """Compares records of images under a folder with the published ones.

    Args:
        records: The records to check.
        expected: The records of the published program.
        folder: The folder with the images.
        other_rounding: Whether the detector adds float32 in another order than PyTorch. A box may then
            round to the next pixel, and these random networks score that crop differently: scores
            are compared only for equal crops, answers always.
    """
    assert [r["filepath"] for r in records] == [e["filepath"] for e in expected]
    boxes = different = moved = 0
    for record, golden in zip(records, expected, strict=True):
        assert list(record) == list(golden)
        is_same_crop = not other_rounding or _first_box(record) == _first_box(golden)
        moved += not is_same_crop
        for key, value in golden.items():
            if key == "detections":
                size = Image.open(folder / golden["filepath"]).size
                boxes += len(value)
                different += _count_different(record[key], value, size)
            elif key == "classifications":
                if is_same_crop:
                    _assert_same_classes(record[key], value)
            elif key == "prediction_score":
                assert not is_same_crop or abs(record[key] - value) <= SCORE_TOLERANCE, golden[
                    "filepath"
                ]
            else:
                assert record[key] == value, golden["filepath"]
    assert different <= BOX_SHARE * boxes
    assert moved <= MOVED_SHARE * len(expected)


def _first_box(record: Record) -> list[float] | None:
    boxes = record.get("detections")
    return boxes[0]["bbox"] if boxes else None


def _assert_same_classes(found: Record, golden: Record) -> None:
    assert len(found["classes"]) == len(golden["classes"])
    for score, expected in zip(found["scores"], golden["scores"], strict=True):
        assert abs(score - expected) <= SCORE_TOLERANCE
    distinct = [
        i
        for i, score in enumerate(golden["scores"])
        if all(
            abs(score - other) > SCORE_TOLERANCE
            for j, other in enumerate(golden["scores"])
            if j != i
        )
    ]
    # The last one may have an equal just below the five.
    for i in distinct[:-1]:
        assert found["classes"][i] == golden["classes"][i]


def _count_different(found: list[Record], golden: list[Record], size: tuple[int, int]) -> int:
    """Counts boxes of one list without a counterpart in the other.

    A counterpart has the same category, and differs by at most a pixel and the scores' tolerance.
    """
    left = list(found)
    missing = 0
    for box in golden:
        match = next((other for other in left if _same_box(box, other, size)), None)
        if match is None:
            missing += 1
        else:
            left.remove(match)
    return max(missing, len(left))


def _same_box(box: Record, other: Record, size: tuple[int, int]) -> bool:
    pixels = (*size, *size) if size[0] else size
    return (
        box["category"] == other["category"]
        and abs(box["conf"] - other["conf"]) <= SCORE_TOLERANCE
        and all(
            abs(a - b) * side <= 1.01
            for a, b, side in zip(box["bbox"], other["bbox"], pixels, strict=True)
        )
    )
