"""Whether a lower precision decides as float32 does: a trial on the images of a run, and its cache."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from absl import logging

from speciesnet import __version__
from speciesnet.engines.base import version_of
from speciesnet.files.atomic import write_atomically
from speciesnet.packages.downloads import cache_folder
from speciesnet.records import Box, Record

NEEDED_IMAGES = 8  # readable images of a trial
SCORE_TOLERANCE = 0.01
BOX_TOLERANCE = 2 / 1280  # of an image's side: two pixels of the detector's input
BOX_CONFIDENCE = 0.1  # boxes below it decide nothing


@dataclass(frozen=True)
class Mismatch:
    """Why a lower precision is not used.

    Attributes:
        what: The first difference, in words.
        is_lasting: Whether later runs would find it too.
    """

    what: str
    is_lasting: bool = True


def compare(reference: Sequence[Record], predict: Callable[[], list[Record]]) -> Mismatch | None:
    """Compares a trial in a lower precision with the same trial in float32.

    Args:
        reference: Records in float32.
        predict: Predicts the same images, in the same order, in the lower precision.

    Returns:
        None if both decide the same.
    """
    if sum(not record.get("failures") for record in reference) < NEEDED_IMAGES:
        return Mismatch("too few of the first images can be read", is_lasting=False)
    try:
        what = first_difference(reference, predict())
    except Exception as error:  # whatever it is, float32 has just worked
        return Mismatch(f"{type(error).__name__}: {error}", is_lasting=False)
    return Mismatch(what) if what else None


def first_difference(reference: Sequence[Record], other: Sequence[Record]) -> str | None:
    """The first difference between two runs over the same images, in words; None if there is none.

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
    first, second = (record.get("prediction_score", 0) for record in (one, two))
    if not _near(first, second):
        return f"score {first:.3f}, in lower precision {second:.3f}"
    scores, others = (_scores(record) for record in (one, two))
    for label in scores | others:
        # A class that is not listed has a lower score than the last one that is.
        score = scores.get(label, min(scores.values(), default=0))
        other = others.get(label, min(others.values(), default=0))
        if not _near(score, other):
            name = label.rsplit(";", 1)[-1]
            return f"{name} {score:.3f}, in lower precision {other:.3f}"
    return _unmatched(one, two) or _unmatched(two, one)


def _near(score: float, other: float) -> bool:
    """Whether two scores differ by at most the tolerance; False for NaN."""
    return abs(score - other) <= SCORE_TOLERANCE


def _scores(record: Record) -> dict[str, float]:
    found = record.get("classifications")
    return dict(zip(found["classes"], found["scores"], strict=True)) if found else {}


def _unmatched(one: Record, two: Record) -> str | None:
    """The first box of one record that another one lacks."""
    others = two.get("detections") or []
    for box in one.get("detections") or []:
        if box["conf"] <= BOX_CONFIDENCE:
            break
        if not any(_same(box, other) for other in others):
            return f"a box of {box['label']} {box['conf']:.3f} is not in both"
    return None


def _same(one: Box, two: Box) -> bool:
    return (
        one["category"] == two["category"]
        and _near(one["conf"], two["conf"])
        and all(
            abs(a - b) <= BOX_TOLERANCE
            for a, b in zip(_corners(one["bbox"]), _corners(two["bbox"]), strict=True)
        )
    )


def _corners(bbox: Sequence[float]) -> tuple[float, ...]:
    x, y, width, height = bbox
    return x, y, x + width, y + height


class TrialCache:
    """The result of a trial, cached for the same model, machine and versions.

    Args:
        parts: What the result depends on.
    """

    def __init__(self, *parts: object) -> None:
        versions = [__version__, *map(version_of, ("openvino", "torch"))]
        self._parts = [*parts, versions, _machine()]
        text = json.dumps(self._parts, sort_keys=True, default=str)
        name = f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"
        self._path = cache_folder() / "precision" / name

    def read(self) -> bool | None:
        """Whether the lower precision decided the same; None if there was no trial yet."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))["same"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, bool) else None

    def write(self, difference: str | None) -> None:
        """Caches the difference, or None for no difference; without a cache, the next run tries again."""
        content = {"same": difference is None, "difference": difference, "for": self._parts}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with write_atomically(self._path, fsync=False) as part:
                part.write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")
        except OSError as error:
            logging.info("The result of the precision trial cannot be cached: %s.", error)


def _machine() -> str:
    """The processor, as far as the system describes it."""
    try:
        lines: Iterable[str] = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    kept = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return " ".join(sorted(set(kept)))
