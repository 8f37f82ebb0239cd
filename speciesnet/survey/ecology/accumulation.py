"""Species accumulation: how many species are expected in a number of stations or camera days.

The expected number in a random subset is calculated exactly (Mao Tau; sample-based rarefaction), as in
R's ``vegan::specaccum(method = "exact")``, not by random sampling.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from speciesnet.export.tables import Row
from speciesnet.survey.ecology.stations import Detection, Station

ACCUMULATION_COLUMNS: dict[str, type] = {
    "unit": str, "samples": int, "species": float, "sd": float,
}  # fmt: skip
_CHUNK = 2_000  # numbers of samples that are calculated together
IS_SPECIES = ("species", "subspecies")


class Expected(NamedTuple):
    """The expected number of species in a number of samples.

    Attributes:
        samples: The number of samples.
        species: The expected number of species.
        sd: Its standard deviation between subsets of that size.
    """

    samples: int
    species: float
    sd: float


def accumulate(samples: Sequence[Iterable[str]], every: int = 1) -> Iterator[Expected]:
    """The expected number of species in 1, 2, ... samples.

    If f of n samples contain a species, a subset of i samples lacks it with the probability C(n - f, i)
    / C(n, i). The variance is the sum of the variances of all species and of their covariances, which
    use the correlations between species, as in vegan with ``conditioned = TRUE``.

    Args:
        samples: The species in each sample; a sample may be empty.
        every: The step between the numbers of samples; the last number is always included.

    Examples:
        >>> [(one.samples, one.species) for one in accumulate([{"fox"}, {"fox", "deer"}])]
        [(1, 1.5), (2, 2.0)]
    """
    import numpy as np
    from scipy.special import gammaln

    sets = [set(one) for one in samples]
    if not sets:
        return
    names = sorted(set().union(*sets))
    n = len(sets)
    column = {name: number for number, name in enumerate(names)}
    present = np.zeros((n, len(names)))
    for row, one in enumerate(sets):
        present[row, [column[name] for name in one]] = 1
    without = n - present.sum(axis=0)
    centred = present - present.mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=0))
    scaled = centred / np.where(spread > 0, spread, 1)
    correlation = scaled.T @ scaled
    np.fill_diagonal(correlation, 1)
    sizes = np.unique([*range(1, n + 1, every), n])
    for first in range(0, len(sizes), _CHUNK):
        size = sizes[first : first + _CHUNK, None]
        rest = np.maximum(without - size, 0)
        logarithm = (
            gammaln(without + 1) - gammaln(rest + 1) + gammaln(n - size + 1) - gammaln(n + 1)
        )
        missing = np.where(without >= size, np.exp(logarithm), 0.0)
        deviation = np.sqrt(np.maximum(missing * (1 - missing), 0))
        variance = ((deviation @ correlation) * deviation).sum(axis=1)
        species = (1 - missing).sum(axis=1)
        for values in zip(size[:, 0], species, np.sqrt(np.maximum(variance, 0)), strict=True):
            yield Expected(int(values[0]), round(float(values[1]), 9), float(values[2]))


def by_station(detections: Iterable[Detection], stations: Sequence[Station]) -> list[set[str]]:
    """The taxa at each station that worked."""
    found = {one.name: set[str]() for one in stations if one.days}
    for one in detections:
        if one.station in found:
            found[one.station].add(one.taxon)
    return [*found.values()]


def by_day(detections: Iterable[Detection], stations: Sequence[Station]) -> list[set[str]]:
    """The taxa on each day on which a station worked, for all stations."""
    found = {
        (one.name, day): set[str]() for one in stations for day, works in one.days.items() if works
    }
    for one in detections:
        if (key := (one.station, one.start.date())) in found:
            found[key].add(one.taxon)
    return [*found.values()]


def accumulation_rows(
    detections: Sequence[Detection], stations: Sequence[Station]
) -> Iterator[Row]:
    """The rows of a table: the species by station, then by camera day.

    Args:
        detections: The detections of species; higher taxa would count animals twice.
        stations: All stations.
    """
    for unit, samples in (
        ("station", by_station(detections, stations)),
        ("camera day", by_day(detections, stations)),
    ):
        for one in accumulate(samples):
            yield {"unit": unit, "samples": one.samples, "species": one.species, "sd": one.sd}
