"""Measures how often the intervals of detection rates contain the truth, on simulated surveys.

    PYTHONPATH=scripts python -m benchmark.rates [--surveys 4000]

Each station works for 15 to 59 nights. Its own rate is drawn from a gamma distribution whose mean is
that of the survey, and its events from a Poisson distribution.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from speciesnet.survey.ecology.rates import rate_interval


def coverage(surveys: int, stations: int, rate: float, shape: float) -> float:
    """The share of surveys with events whose interval contains the rate.

    Args:
        surveys: How many are simulated.
        stations: Their stations.
        rate: The mean events per night.
        shape: That of the gamma distribution: the lower, the more stations differ.
    """
    chance = np.random.default_rng(1)
    hits = known = 0
    for _ in range(surveys):
        nights = chance.integers(15, 60, stations)
        events = chance.poisson(chance.gamma(shape, rate / shape, stations) * nights)
        found = rate_interval(list(zip(events.tolist(), nights.tolist(), strict=True)))
        if found is not None:
            known += 1
            hits += found[0] <= 100 * rate <= found[1]
    return hits / known


def main() -> None:
    """Prints a row for each kind of survey."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surveys", type=int, default=4000)
    surveys = parser.parse_args().surveys
    sys.stdout.write("stations  per 100 nights  shape  coverage\n")
    for stations in (5, 10, 20, 50):
        for rate, shape in ((0.02, 1.0), (0.1, 1.0), (0.1, 0.3), (0.5, 2.0)):
            share = coverage(surveys, stations, rate, shape)
            sys.stdout.write(f"{stations:>8}  {100 * rate:>14.0f}  {shape:>5}  {share:>8.1%}\n")


if __name__ == "__main__":
    main()
