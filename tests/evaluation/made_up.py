"""Made-up surveys whose truth is known: sequences in which most photographs share their fate."""

from __future__ import annotations

import random
from collections.abc import Iterator

from speciesnet.evaluation.intervals import quantile_of, share_of, wilson


def hits_of(
    draw: random.Random, sequences: int, accuracy: float, alike: float, longest: int = 12
) -> Iterator[tuple[bool, int]]:
    """Whether each photograph is right, and its sequence.

    Args:
        draw: The random numbers.
        sequences: Their number.
        accuracy: The expected share of right photographs, in every sequence alike.
        alike: The probability that a photograph shares the fate of its sequence.
        longest: Sequences have 1 to this number of photographs.
    """
    for sequence in range(sequences):
        fate = draw.random() < accuracy
        for _ in range(draw.randint(1, longest)):
            yield (fate if draw.random() < alike else draw.random() < accuracy), sequence


def coverage(
    surveys: int, sequences: int, accuracy: float, alike: float, seed: int = 0
) -> tuple[float, float]:
    """How often the interval contains the truth: the one for clusters, and Wilson's for photographs."""
    draw, clustered, naive = random.Random(seed), 0, 0
    for _ in range(surveys):
        hits = list(hits_of(draw, sequences, accuracy, alike))
        found = share_of(hits)
        assert found.value is not None
        low, high = wilson(found.value, found.total, quantile_of(None, 0.95))
        clustered += found.low <= accuracy <= found.high
        naive += low <= accuracy <= high
    return clustered / surveys, naive / surveys
