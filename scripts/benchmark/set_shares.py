"""Lets a guard decide set shares of images again in float32, whatever their margins.

With random weights, decisions depend on the last digits, so nearly every image would be doubtful.
With set shares, the speed of guarded runs can still be measured.
"""

from __future__ import annotations

from pathlib import Path

from speciesnet.pipeline import Photo
from speciesnet.pipeline.guard.bands import Evidence
from speciesnet.pipeline.guard.cache import EvidenceCache, Verdict
from speciesnet.pipeline.guard.margins import Band

_SMALL = 1e-6  # log odds: the images are judged as quickly as certain ones


def _is_due(position: int, share: float) -> bool:
    """Whether a position belongs to an evenly spread share of all positions."""
    return int((position + 1) * share + 1e-9) > int(position * share + 1e-9)


def set_shares(detected: float, classified: float) -> None:
    """Makes guards decide these shares again. The names of the images must be their positions.

    Args:
        detected: Share of the images that go through both networks in float32, in [0, 1].
        classified: Share of those that need only the classifier.
    """

    def needs_both(photo: Photo) -> bool:
        return _is_due(int(Path(photo.filepath).stem), detected)

    def needs_any(photo: Photo) -> bool:
        return needs_both(photo) or _is_due(int(Path(photo.filepath).stem), detected + classified)

    def is_certain(self: Band, photo: Photo, *, crop: bool = False) -> bool:
        real_is_certain(self, photo, crop=crop)  # so that it takes the usual time
        return not (needs_both(photo) if crop else needs_any(photo))

    def is_box_certain(self: Band, photo: Photo) -> bool:
        return not needs_both(photo)

    real_is_certain = Band.is_certain
    evidence = Evidence(_SMALL, _SMALL, _SMALL, [1.0] * 96, [1e3] * 96)
    Band.is_certain, Band.is_box_certain = is_certain, is_box_certain  # type: ignore[method-assign]
    Band.widen = lambda self: False  # type: ignore[method-assign]
    EvidenceCache.read = lambda self: Verdict(evidence, cost=0.0)  # type: ignore[method-assign]
    EvidenceCache.write = lambda self, verdict: None  # type: ignore[method-assign]
