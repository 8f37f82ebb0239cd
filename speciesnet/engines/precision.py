"""Whether a lower precision decides as float32 does: tried out on the images of a run, and remembered."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import logging

from speciesnet import __version__
from speciesnet.engines.base import version_of
from speciesnet.packages.downloads import cache_folder
from speciesnet.records import Record

TRIAL_IMAGES = 16
NEEDED_IMAGES = 8  # of these that can be read
WORTH_A_TRIAL = 100  # images; for fewer, a trial takes more time than it saves
SCORE_TOLERANCE = 0.01
BOX_TOLERANCE = 2 / 1280  # of an image's side: two pixels of what the detector sees
BOX_CONFIDENCE = 0.1  # boxes below it decide nothing


@dataclass(frozen=True)
class Difference:
    """Why a lower precision is not used.

    Attributes:
        what: In words.
        for_good: Whether it will be so in later runs, too.
    """

    what: str
    for_good: bool = True


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
    first, second = (record.get("prediction_score", 0) for record in (one, two))
    if not _near(first, second):
        return f"score {first:.3f}, in lower precision {second:.3f}"
    scores, others = (_scores(record) for record in (one, two))
    for label in scores | others:
        # A class that is not among the best has less than the least of them.
        score = scores.get(label, min(scores.values(), default=0))
        other = others.get(label, min(others.values(), default=0))
        if not _near(score, other):
            name = label.rsplit(";", 1)[-1]
            return f"{name} {score:.3f}, in lower precision {other:.3f}"
    return _unmatched(one, two) or _unmatched(two, one)


def _near(score: float, other: float) -> bool:
    """Whether two scores are within the tolerance, which what is no number never is."""
    return abs(score - other) <= SCORE_TOLERANCE


def _scores(record: Record) -> dict[str, float]:
    found = record.get("classifications") or {}
    return dict(zip(found.get("classes", ()), found.get("scores", ()), strict=True))


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
        and _near(one["conf"], two["conf"])
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
        versions = [__version__, *map(version_of, ("openvino", "torch"))]
        self._parts = [*parts, versions, _machine()]
        text = json.dumps(self._parts, sort_keys=True, default=str)
        name = f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"
        self._path = cache_folder() / "precision" / name

    def read(self) -> bool | None:
        """Whether the lower precision decided the same; None where it was not tried out."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))["same"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, bool) else None

    def write(self, difference: str | None) -> None:
        """Keeps what was different, or that nothing was; if it cannot, the next run tries again."""
        content = {"same": difference is None, "difference": difference, "for": self._parts}
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")
            part.replace(self._path)
        except OSError as error:
            logging.info("What the trial found cannot be kept: %s.", error)


def _machine() -> str:
    """The processor, as far as the system names it."""
    try:
        lines: Iterable[str] = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    kept = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return " ".join(sorted(set(kept)))
