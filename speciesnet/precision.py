"""Whether a lower precision decides as float32 does: tried out on the images of a run, and remembered."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from speciesnet import __version__
from speciesnet.downloads import cache_folder
from speciesnet.engines import Precision
from speciesnet.records import Record

TRIAL_IMAGES = 16
WORTH_A_TRIAL = 100  # images; for fewer, a trial takes more time than it saves
SCORE_TOLERANCE = 0.01
BOX_TOLERANCE = 2 / 1280  # of an image's side: two pixels of what the detector sees
BOX_CONFIDENCE = 0.1  # boxes below it decide nothing


def first_difference(reference: Sequence[Record], other: Sequence[Record]) -> str | None:
    """In words, the first thing that two runs over the same images see otherwise; None if nothing.

    Args:
        reference: Records of the run in float32.
        other: Records of the same images, in the same order.
    """
    for one, two in zip(reference, other, strict=True):
        if difference := _difference(one, two):
            return f"{one['filepath']}: {difference}"
    return None


def _difference(one: Record, two: Record) -> str | None:
    for key in ("failures", "prediction", "prediction_source"):
        if one.get(key) != two.get(key):
            return f"{key} {one.get(key)}, in lower precision {two.get(key)}"
    if abs(one.get("prediction_score", 0) - two.get("prediction_score", 0)) > SCORE_TOLERANCE:
        return (
            f"score {one['prediction_score']:.3f}, in lower precision {two['prediction_score']:.3f}"
        )
    first, second = (record.get("classifications") or {} for record in (one, two))
    scores = dict(zip(second.get("classes", ()), second.get("scores", ()), strict=True))
    lowest = min(scores.values(), default=0)
    for label, score in zip(first.get("classes", ()), first.get("scores", ()), strict=True):
        # A class that is no longer among the best has less than the least of these.
        if score - scores.get(label, lowest) > SCORE_TOLERANCE or (
            label in scores and scores[label] - score > SCORE_TOLERANCE
        ):
            name, other = label.rsplit(";", 1)[-1], scores.get(label, 0)
            return f"{name} {score:.3f}, in lower precision {other:.3f}"
    return _unmatched(one, two) or _unmatched(two, one)


def _unmatched(one: Record, two: Record) -> str | None:
    """A box of the first record that the second one lacks."""
    others = two.get("detections") or []
    for box in one.get("detections") or []:
        if box["conf"] <= BOX_CONFIDENCE:
            break
        if not any(_same(box, other) for other in others):
            return f"a box of {box['label']} {box['conf']:.3f} is not in both"
    return None


def _same(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    return (
        one["category"] == two["category"]
        and abs(one["conf"] - two["conf"]) <= SCORE_TOLERANCE
        and all(
            abs(a - b) <= BOX_TOLERANCE
            for a, b in zip(_corners(one["bbox"]), _corners(two["bbox"]), strict=True)
        )
    )


def _corners(bbox: Sequence[float]) -> tuple[float, ...]:
    x, y, width, height = bbox
    return x, y, x + width, y + height


class Verdict:
    """What a trial found, kept in the cache for the same model, machine and version.

    Args:
        parts: What the verdict depends on.
    """

    def __init__(self, *parts: Any) -> None:
        self._parts = [*parts, __version__, _machine()]
        text = json.dumps(self._parts, sort_keys=True, default=str)
        name = f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"
        self._path = cache_folder() / "precision" / name

    def read(self) -> Precision | None:
        """The precision to use; None where none was tried out."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))["precision"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if found in ("fp32", "bf16", "fp16") else None

    def write(self, precision: Precision, reason: str | None) -> None:
        """Keeps it; where that cannot be, the next run tries again."""
        content = {"precision": precision, "difference": reason, "for": self._parts}
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")
            part.replace(self._path)
        except OSError as error:
            logging.info("What was found of %s cannot be kept: %s.", precision, error)


def _machine() -> str:
    """The processor, as far as the system names it."""
    try:
        lines: Iterable[str] = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    kept = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return " ".join(sorted(set(kept)))
