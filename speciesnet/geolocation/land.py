"""The land of the world on a coarse map."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Countries of Natural Earth 1:110 million without Antarctica, which the window shows as well.
MAP = Path(__file__).parents[1] / "app" / "static" / "world.svg"

_UNITS, _TOP = 4.0, 84.0  # per degree; degrees north of its upper edge
_STEP = 0.1  # degrees
_OUTLINE = re.compile(r"M([^Mz]+)z")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@cache
def _outlines() -> list[NDArray[np.float64]]:
    """The outlines of the countries, shape (corners, 2): longitude and latitude in degrees."""
    import numpy as np

    found = []
    for outline in _OUTLINE.findall(MAP.read_text(encoding="utf-8")):
        # The first pair is a point, and each of the others is the step to the next one.
        steps = np.array(_NUMBER.findall(outline), dtype=float).reshape(-1, 2)
        found.append(steps.cumsum(axis=0) / (_UNITS, -_UNITS) + (-180.0, _TOP))
    return found


def is_on_land(latitude: float, longitude: float) -> bool:
    """Whether a point is inside a country of the map, which is accurate to some tens of kilometers.

    Examples:
        >>> is_on_land(47.0, 8.0), is_on_land(30.0, -40.0)
        (True, False)
    """
    place = longitude, latitude
    return any(
        (low <= place).all() and (place <= high).all() and _is_inside(outline, *place)
        for outline, low, high in _bounds()
    )


@cache
def _bounds() -> list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
    """The outlines with their south-western and north-eastern corners."""
    return [(outline, outline.min(axis=0), outline.max(axis=0)) for outline in _outlines()]


def points_of_coasts() -> NDArray[np.float64]:
    """Points on the outlines, some kilometers apart: latitude and longitude, shape (points, 2)."""
    import numpy as np

    found = []
    for outline in _outlines():
        for start, step in zip(outline, np.roll(outline, -1, axis=0) - outline, strict=True):
            parts = np.arange(0, 1, min(_STEP / (np.hypot(*step) or 1), 1))
            found.append(start + parts[:, None] * step)
    return np.concatenate(found)[:, ::-1]


def _is_inside(outline: NDArray[np.float64], x: float, y: float) -> bool:
    """Whether a ray from a point to the east crosses an outline an odd number of times."""
    import numpy as np

    x1, y1 = outline.T
    x2, y2 = np.roll(outline, -1, axis=0).T
    crosses = (y1 > y) != (y2 > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = x1 + (y - y1) * (x2 - x1) / (y2 - y1)
    return bool(np.count_nonzero(crosses & (at > x)) % 2)
