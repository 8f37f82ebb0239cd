"""Shares with confidence intervals that allow for similar photographs in a sequence.

Ten photographs of one passing animal are usually all right or all wrong, so they provide little more
information than one. The variance of a share is therefore that of a ratio of cluster totals (Cochran
1977, *Sampling Techniques*, section 9.8). Divided by the variance of the same number of independent
photographs, it gives the design effect (Kish 1965). The number of photographs divided by the design
effect is their effective number. The interval is Wilson's (1927) for this number. It is also valid near
0 and 1, unlike a bootstrap over clusters, whose interval has no width if all clusters are right. As in
Korn and Graubard (1998), the number is adjusted for the degrees of freedom, which makes the interval
wider if there are few clusters.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Iterable
from typing import NamedTuple

CONFIDENCE = 0.95
PRIOR = 2  # clusters, see ``_effective_number``


class Share(NamedTuple):
    """A share of photographs, with its interval.

    Attributes:
        hits: The number of photographs for which the condition holds.
        total: The number of photographs.
        clusters: The number of clusters to which they belong.
        effective: The number of independent photographs that would give the same variance.
        low: The lower end of the interval, in [0, 1].
        high: The upper end.
    """

    hits: int
    total: int
    clusters: int
    effective: float
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """The share in [0, 1], or None if there are no photographs."""
        return self.hits / self.total if self.total else None


def share_of(hits: Iterable[tuple[bool, Hashable]], confidence: float = CONFIDENCE) -> Share:
    """The share of photographs for which a condition holds, with an interval that allows for clusters.

    Args:
        hits: For each photograph, whether the condition holds, and its cluster.
        confidence: The level of the two-sided interval, in (0, 1).

    Examples:
        >>> alone = share_of((number < 90, number) for number in range(100))
        >>> f"{alone.value} from {alone.low:.2f} to {alone.high:.2f}"
        '0.9 from 0.82 to 0.95'
        >>> in_tens = share_of((number < 90, number // 10) for number in range(100))
        >>> f"{in_tens.value} from {in_tens.low:.2f} to {in_tens.high:.2f}"
        '0.9 from 0.54 to 0.99'
    """
    totals: dict[Hashable, list[int]] = {}
    for is_hit, cluster in hits:
        of_cluster = totals.setdefault(cluster, [0, 0])
        of_cluster[0] += is_hit
        of_cluster[1] += 1
    found = sum(one[0] for one in totals.values())
    total = sum(one[1] for one in totals.values())
    if not total:
        return Share(0, 0, 0, 0.0, 0.0, 1.0)
    effective = _effective_number(list(totals.values()), found, total)
    low, high = _adjusted_wilson(found / total, effective, len(totals), confidence)
    return Share(found, total, len(totals), effective, low, high)


def wilson(share: float, number: float, quantile: float) -> tuple[float, float]:
    """Wilson's score interval of a share of ``number`` independent photographs.

    Args:
        share: The share, in [0, 1].
        number: The number of photographs, greater than 0; it need not be whole.
        quantile: A quantile of the normal distribution, such as 1.96.
    """
    square = quantile**2 / number
    middle = (share + square / 2) / (1 + square)
    half = quantile / (1 + square) * math.sqrt(share * (1 - share) / number + square / number / 4)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _effective_number(clusters: list[list[int]], found: int, total: int) -> float:
    """The number of independent photographs with the same variance.

    The variance is the one between clusters, but a few wrong clusters say little about it. It is
    therefore averaged with the variance that ``PRIOR`` more clusters would have if all photographs in
    each were alike. Kish's number for these is (sum of sizes)^2 / sum of squared sizes.
    """
    alike = sum(size**2 for _, size in clusters) / total**2
    share, number = found / total, len(clusters)
    if number < 2 or found in (0, total):
        return 1 / alike
    squares = sum((hits - share * size) ** 2 for hits, size in clusters)
    variance = number / (number - 1) * squares / total**2 / (share * (1 - share))
    known = min(sum(hits > 0 for hits, _ in clusters), sum(hits < size for hits, size in clusters))
    averaged = (known * variance + PRIOR * alike) / (known + PRIOR)
    return min(1 / averaged, float(total))


def _adjusted_wilson(
    share: float, effective: float, clusters: int, confidence: float
) -> tuple[float, float]:
    normal = quantile_of(None, confidence)
    if clusters < 2:
        return wilson(share, min(effective, 1.0), normal)
    wider = quantile_of(clusters - 1, confidence) / normal
    return wilson(share, effective / wider**2, normal)


@functools.lru_cache(maxsize=10_000)
def quantile_of(freedom: int | None, confidence: float) -> float:
    """The two-sided quantile of Student's t distribution; of the normal one if ``freedom`` is None."""
    from scipy.special import ndtri, stdtrit

    tail = (1 + confidence) / 2
    return float(ndtri(tail) if freedom is None else stdtrit(freedom, tail))
