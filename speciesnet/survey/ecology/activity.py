"""Activity by time of day: hours, circular means, kernel densities, and their overlap between two taxa.

Densities and overlap follow Ridout and Linkie (2009, doi:10.1198/jabes.2009.08038), as R's ``overlap``
does; the activity level follows Rowcliffe et al. (2014, doi:10.1111/2041-210X.12278), as ``activity``.
Times are in hours from 0 to 24.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MIN_EVENTS = 10  # fewer times show no pattern
GRID = 128  # points of a density from 0 to 24 hours, as in ``overlap``
_FINE_GRID = 512  # for the activity level, as in ``activity``
_MOMENTS = 3  # trigonometric moments from which the concentration is estimated
_KAPPAS = (0.0001, 345.0)  # the range in which it is searched for
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


class Times:
    """The times of the events of one taxon, and their kernel density.

    Args:
        hours: The times; at least one.

    Attributes:
        hours: The times.
    """

    def __init__(self, hours: Sequence[float]) -> None:
        self.hours = hours
        self._angles = _radians(hours)

    @cached_property
    def bandwidth(self) -> float | None:
        """The concentration of the von Mises kernel for these times; None if all are the same.

        The first three trigonometric moments of the times each give an estimate of their concentration;
        the largest is used. The kernel is the one for a von Mises distribution with this concentration
        (Taylor 2008, doi:10.1016/j.csda.2007.11.003).
        """
        import numpy as np
        from scipy.special import ive

        mean = math.atan2(np.sin(self._angles).sum(), np.cos(self._angles).sum())
        kappas = []
        for k in range(1, _MOMENTS + 1):
            turned = k * (self._angles - mean)
            moment = math.hypot(np.cos(turned).mean(), np.sin(turned).mean())
            kappas.append(_concentration(k, moment))
        if (kappa := max(kappas)) == 0:
            return None
        # I2(2 kappa) / I0(kappa)^2; the exponential factors of the scaled functions cancel.
        ratio = float(ive(2, 2 * kappa) / ive(0, kappa) ** 2)
        return (3 * len(self._angles) * kappa**2 * ratio / (4 * math.sqrt(math.pi))) ** 0.4

    def density(self, at: Sequence[float], kernel: float) -> list[float]:
        """The von Mises kernel density, per hour.

        Args:
            at: The hours at which to calculate it.
            kernel: The concentration of the kernel.
        """
        found = _density(self._angles, _radians(at), kernel)
        return [float(value) * math.pi / 12 for value in found]

    @property
    def curve(self) -> list[tuple[float, float]]:
        """Hours and the density at them, per hour; empty if there is no bandwidth."""
        if self._on_grid is None:
            return []
        values = (float(value) * math.pi / 12 for value in self._on_grid)
        return list(zip(_grid(GRID), values, strict=True))

    @property
    def activity_level(self) -> float | None:
        """The share of the day with activity, if all animals are active at the peak; else None."""
        if self.bandwidth is None:
            return None
        return 1 / (24 * max(self.density(_grid(_FINE_GRID + 1), self.bandwidth)))

    @cached_property
    def _on_grid(self) -> Floats | None:
        """The density per radian on the grid."""
        kernel = self.bandwidth
        return None if kernel is None else _density(self._angles, _radians(_grid(GRID)), kernel)

    @cached_property
    def _smooth(self) -> Floats | None:
        """The shares of a smoother density on the grid, without its first point, for Dhat1."""
        if self.bandwidth is None:
            return None
        kernel = self.bandwidth / _DHAT1_ADJUST
        found = _density(self._angles, _radians(_grid(GRID))[1:], kernel)
        return found / found.sum()

    def overlap_1(self, other: Times) -> float | None:
        """Dhat1, the area under both densities, for small samples; None if there is no bandwidth."""
        import numpy as np

        if self._smooth is None or other._smooth is None:
            return None
        return float(np.minimum(self._smooth, other._smooth).sum())

    def overlap_4(self, other: Times) -> float | None:
        """Dhat4, the mean ratio of the densities at the events, for larger samples; None as above."""
        import numpy as np

        if self.bandwidth is None or other.bandwidth is None:
            return None
        events, n = np.concatenate([self._angles, other._angles]), len(self._angles)
        f, g = (one._at(events) for one in (self, other))
        shares = np.minimum(1, g[:n] / f[:n]).mean(), np.minimum(1, f[n:] / g[n:]).mean()
        return float(sum(shares)) / 2

    def _at(self, events: Floats) -> Floats:
        """The density per radian at events, interpolated if there are many."""
        import numpy as np

        assert self.bandwidth is not None and self._on_grid is not None
        if len(events) > GRID * _INTERPOLATED:
            return np.interp(events, _radians(_grid(GRID)), self._on_grid)
        return _density(self._angles, events, self.bandwidth)


def _concentration(k: int, moment: float) -> float:
    """A von Mises distribution's concentration from its k-th trigonometric moment; 0 if too large."""
    from scipy.optimize import root_scalar
    from scipy.special import ive

    def excess(kappa: float) -> float:
        return float(ive(k, kappa) / ive(0, kappa)) - moment

    if excess(_KAPPAS[0]) >= 0:  # spread practically evenly over the day
        return _KAPPAS[0]
    if excess(_KAPPAS[1]) < 0:
        return 0.0
    return float(root_scalar(excess, bracket=_KAPPAS, method="brentq", xtol=1e-10).root)


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
