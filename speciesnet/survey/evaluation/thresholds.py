"""The thresholds above which the answers of a species reach a wanted precision."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Literal, NamedTuple

from speciesnet.survey.evaluation.confusion import Judged
from speciesnet.survey.evaluation.intervals import Share, share_of
from speciesnet.survey.evaluation.taxa import ANIMAL, Taxon

# What must reach the precision: the lower end of the interval, or the share itself.
Bound = Literal["lower", "point"]
_FEWEST = 5  # photographs needed if the share itself must reach it
_TRIED = 100  # thresholds that are tried for a species


class Chosen(NamedTuple):
    """The threshold of a species.

    Attributes:
        taxon: The species, or a higher taxon.
        label: Its most frequent label.
        threshold: The minimum score, in [0, 1]; None if no threshold reaches the precision.
        precision: That of the answers above the threshold; without a threshold, that of all answers.
        answers: The number of labeled photographs with this answer.
    """

    taxon: Taxon
    label: str
    threshold: float | None
    precision: Share
    answers: int


def choose_thresholds(
    judged: Iterable[Judged], wanted: float, bound: Bound = "lower"
) -> list[Chosen]:
    """The lowest threshold at which each species reaches a precision.

    With ``lower``, the lower end of the interval must reach the precision, so that it is likely to hold
    for other photographs of the survey as well. This requires many labels: 76 independent right answers
    for 0.95. With ``point``, only the precision for the labeled photographs must reach it. That is
    optimistic, because the threshold is chosen from the same photographs. An answer of a higher rank
    than the label counts as true.

    Args:
        judged: The photographs.
        wanted: The precision, in (0, 1).
        bound: See above.
    """
    members: dict[Taxon, list[Judged]] = {}
    for one in judged:
        if one.predicted.category == ANIMAL and one.predicted.names:
            members.setdefault(one.predicted, []).append(one)
    return [_choose(taxon, found, wanted, bound) for taxon, found in sorted(members.items())]


def _choose(taxon: Taxon, found: Sequence[Judged], wanted: float, bound: Bound) -> Chosen:
    label = Counter(one.pair.predicted or "" for one in found).most_common(1)[0][0]
    scores = sorted({_rounded(one.pair.score) for one in found})
    step = max(len(scores) // _TRIED, 1)
    for threshold in scores[::step]:
        above = [(one.is_true, one.cluster) for one in found if one.pair.score >= threshold]
        precision = share_of(above)
        if _reaches(precision, wanted, bound):
            return Chosen(taxon, label, threshold, precision, len(found))
    everything: list[tuple[bool, Hashable]] = [(one.is_true, one.cluster) for one in found]
    return Chosen(taxon, label, None, share_of(everything), len(found))


def _rounded(score: float) -> float:
    """A score rounded down to four decimal places."""
    return math.floor(score * 10_000) / 10_000


def _reaches(precision: Share, wanted: float, bound: Bound) -> bool:
    if bound == "lower":
        return precision.low >= wanted
    return precision.total >= _FEWEST and (precision.value or 0.0) >= wanted
