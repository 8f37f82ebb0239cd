"""Activity over the day: hours, circular means, kernel densities, and their overlap between two taxa.

Densities and overlap follow Ridout and Linkie (2009, doi:10.1198/jabes.2009.08038), as R's ``overlap``
does; the activity level follows Rowcliffe et al. (2014, doi:10.1111/2041-210X.12278), as ``activity``.
Times are in hours from 0 to 24.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MIN_EVENTS = 10  # fewer show no pattern
GRID = 128  # points of a density from 0 to 24 hours, as in ``overlap``
_FINE_GRID = 512  # for the activity level, as in ``activity``
_MOMENTS = 3  # trigonometric moments from which the concentration is estimated
_KAPPAS = (0.0001, 345.0)  # between which it is searched
_DHAT1_ADJUST = 0.8  # a smoother density; Ridout and Linkie's recommendation
_INTERPOLATED = 1.1  # from this multiple of the grid, densities at the events are interpolated


class Mean(NamedTuple):
    """The circular mean of times.

    Attributes:
        hour: The mean time, in hours.
        concentration: The length of the mean vector, from 0 (all day) to 1 (one moment).
    """

    hour: float
    concentration: float


def circular_mean(hours: Sequence[float]) -> Mean:
    """The circular mean of at least one time.

    Examples:
        >>> mean = circular_mean([23.0, 1.0])
        >>> round(mean.hour, 6) % 24, round(mean.concentration, 3)
        (0.0, 0.966)
    """
    angles = [hour * math.pi / 12 for hour in hours]
    x, y = (math.fsum(map(f, angles)) / len(angles) for f in (math.cos, math.sin))
    return Mean(math.atan2(y, x) * 12 / math.pi % 24, math.hypot(x, y))


def by_hour(hours: Sequence[float]) -> list[int]:
    """The number of times in each of the 24 hours.

    Examples:
        >>> by_hour([6.0, 6.99, 23.5])[5:8]
        [0, 2, 0]
    """
    found = [0] * 24
    for hour in hours:
        found[int(hour) % 24] += 1
    return found


def bandwidth(hours: Sequence[float]) -> float | None:
    """The concentration of the von Mises kernel that suits a sample; None if it is too concentrated.

    The concentration of the sample is the largest of those that its first three trigonometric moments
    give; a kernel for a von Mises distribution with this concentration follows (Taylor 2008).
    """
    import numpy as np
    from scipy.optimize import root_scalar
    from scipy.special import ive

    angles = _radians(hours)
    mean = math.atan2(np.sin(angles).sum(), np.cos(angles).sum())
    kappas = []
    for k in range(1, _MOMENTS + 1):
        turned = k * (angles - mean)
        moment = math.hypot(np.cos(turned).mean(), np.sin(turned).mean())

        def excess(kappa: float, k: int = k, moment: float = moment) -> float:
            return float(ive(k, kappa) / ive(0, kappa)) - moment

        if excess(_KAPPAS[0]) >= 0:  # as good as even over the day
            kappas.append(_KAPPAS[0])
        elif excess(_KAPPAS[1]) >= 0:
            kappas.append(root_scalar(excess, bracket=_KAPPAS, method="brentq", xtol=1e-10).root)
    if not kappas:
        return None
    kappa = max(kappas)
    # I2(2 kappa) / I0(kappa)^2; the exponential factors of the scaled functions cancel.
    ratio = float(ive(2, 2 * kappa) / ive(0, kappa) ** 2)
    return (3 * len(angles) * kappa**2 * ratio / (4 * math.sqrt(math.pi))) ** 0.4


def density(hours: Sequence[float], at: Sequence[float], kernel: float) -> list[float]:
    """The von Mises kernel density of times, per hour.

    Args:
        hours: The times.
        at: The hours at which to calculate it.
        kernel: The concentration of the kernel, see ``bandwidth``.
    """
    return [
        float(value) * math.pi / 12 for value in _density(_radians(hours), _radians(at), kernel)
    ]


def activity_level(hours: Sequence[float]) -> float | None:
    """The share of the day that animals are active, if all are at the peak; None as ``bandwidth``."""
    kernel = bandwidth(hours)
    if kernel is None:
        return None
    return 1 / (24 * max(density(hours, _grid(_FINE_GRID + 1), kernel)))


def density_curve(hours: Sequence[float]) -> list[tuple[float, float]]:
    """Hours and the density at them, per hour; empty as ``bandwidth`` is None."""
    kernel, grid = bandwidth(hours), _grid(GRID)
    return [] if kernel is None else list(zip(grid, density(hours, grid, kernel), strict=True))


def overlap_1(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Dhat1, the area under both densities, for small samples; None as ``bandwidth``."""
    import numpy as np

    kernels = bandwidth(one), bandwidth(other)
    if kernels[0] is None or kernels[1] is None:
        return None
    grid = _radians(_grid(GRID))[1:]
    first, second = (
        _density(_radians(hours), grid, kernel / _DHAT1_ADJUST)
        for hours, kernel in zip((one, other), (kernels[0], kernels[1]), strict=True)
    )
    return float(np.minimum(first / first.sum(), second / second.sum()).sum())


def overlap_4(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Dhat4, the mean ratio of the densities at the events, for larger samples; None as ``bandwidth``."""
    import numpy as np

    kernels = bandwidth(one), bandwidth(other)
    if kernels[0] is None or kernels[1] is None:
        return None
    first, second = _radians(one), _radians(other)
    events = np.concatenate([first, second])
    at = events
    if is_large := len(events) > GRID * _INTERPOLATED:
        at = _radians(_grid(GRID))
    f, g = _density(first, at, kernels[0]), _density(second, at, kernels[1])
    if is_large:
        f, g = np.interp(events, at, f), np.interp(events, at, g)
    n = len(first)
    shares = np.minimum(1, g[:n] / f[:n]).mean(), np.minimum(1, f[n:] / g[n:]).mean()
    return float(sum(shares)) / 2


def _grid(points: int) -> list[float]:
    return [24 * number / (points - 1) for number in range(points)]


def _radians(hours: Sequence[float]) -> Floats:
    import numpy as np

    return np.asarray(hours, dtype=np.float64) * (np.pi / 12)


def _density(angles: Floats, at: Floats, kernel: float) -> Floats:
    """The kernel density per radian."""
    import numpy as np
    from scipy.special import ive

    total = np.zeros(len(at))
    for start in range(0, len(angles), 1_000):  # bounds the memory
        part = angles[start : start + 1_000]
        total += np.exp(kernel * (np.cos(at[:, None] - part) - 1)).sum(axis=1)
    return total / (len(angles) * 2 * np.pi * ive(0, kernel))
