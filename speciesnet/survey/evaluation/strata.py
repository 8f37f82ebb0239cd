"""Strata of a survey: estimates for all photographs, and what to look at next.

Whole sequences are sampled, because photographs of the same sequence resemble each other. A stratum
contains the sequences with the same answer and similar scores. The share of right photographs in the
survey is the mean of the strata's shares, weighted by their photographs (Cochran 1977, *Sampling
Techniques*, section 5.3), so that it is correct even if people have looked at some strata more than at
others.

What to look at next follows Neyman's optimum allocation with costs (Cochran, section 5.5): it takes
more sequences from strata that are large, uncertain and quick to look at. One sequence after another is
added to the stratum in which it lowers the variance most per second. This gives the optimum allocation
in whole sequences (Wright 2012).
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from speciesnet.survey.evaluation.confusion import Judged
from speciesnet.survey.evaluation.intervals import CONFIDENCE, quantile_of, share_of, wilson
from speciesnet.survey.evaluation.taxa import Taxon, taxon_of
from speciesnet.survey.survey import PictureSequence, Survey

BANDS = (0.6, 0.8, 0.95)  # bounds for the mean score of a sequence
CLASSES = 20  # the most frequent answers with their own strata; the others share some
_PRIOR = 2.0  # a stratum's mean score counts as much as this number of sequences


@dataclass
class Stratum:
    """Sequences with the same answer and similar scores.

    Attributes:
        answer: The answer; None for the rarest ones together.
        band: The number of ``BANDS`` that the mean score reaches.
        sequences: Their positions in ``Survey.sequences``.
        photographs: The number of their photographs.
        score: The mean score of these photographs.
        labelled: For each labeled photograph, whether it is right, and its sequence.
    """

    answer: Taxon | None
    band: int
    sequences: list[int] = field(default_factory=list)
    photographs: int = 0
    score: float = 0.0
    labelled: list[tuple[bool, int]] = field(default_factory=list)

    @property
    def seen(self) -> set[int]:
        """The sequences with a labeled photograph."""
        return {sequence for _, sequence in self.labelled}

    @property
    def size(self) -> float:
        """The mean number of photographs of a sequence."""
        return self.photographs / len(self.sequences)

    @property
    def variance(self) -> float:
        """The estimated variance between sequences, which are right or wrong, in (0, 0.25].

        The mean score counts as if it were the share of right photographs in ``_PRIOR`` more sequences.
        """
        number = len(self.seen)
        right = sum(is_right for is_right, _ in self.labelled) / max(len(self.labelled), 1)
        score = min(max(self.score, 0.02), 0.98)
        share = (number * right + _PRIOR * score) / (number + _PRIOR)
        return share * (1 - share)


def strata_of(survey: Survey, judged: Sequence[Judged]) -> list[Stratum]:
    """The strata of a survey, with their labels."""
    answers = [_answer(survey, sequence) for sequence in survey.sequences]
    sizes: Counter[Taxon] = Counter()
    for answer, sequence in zip(answers, survey.sequences, strict=True):
        sizes[answer] += len(sequence.pictures)
    own = {answer for answer, _ in sizes.most_common(CLASSES)}
    found: dict[tuple[Taxon | None, int], Stratum] = {}
    place: list[Stratum] = []
    for number, (answer, sequence) in enumerate(zip(answers, survey.sequences, strict=True)):
        scores = [survey.pictures[position].score for position in sequence.pictures]
        mean = sum(scores) / len(scores)
        key = answer if answer in own else None, sum(mean >= start for start in BANDS)
        stratum = found.setdefault(key, Stratum(*key))
        stratum.sequences.append(number)
        stratum.photographs += len(scores)
        stratum.score += sum(scores)
        place.append(stratum)
    for stratum in found.values():
        stratum.score /= stratum.photographs
    for one in judged:
        number = one.pair.sequence
        place[number].labelled.append((one.outcome == "right", number))
    return [*found.values()]


def _answer(survey: Survey, sequence: PictureSequence) -> Taxon:
    """The answer for a sequence, otherwise the most frequent one of its photographs."""
    if sequence.answer is not None:
        return taxon_of(sequence.answer[0])
    labels = Counter(survey.pictures[position].label for position in sequence.pictures)
    return taxon_of(labels.most_common(1)[0][0])


class Estimate(NamedTuple):
    """The share of right photographs in the whole survey.

    Attributes:
        value: The share, in [0, 1].
        low: The lower end of the interval.
        high: The upper end.
        covered: The share of the photographs in strata with labels; the others are left out.
    """

    value: float
    low: float
    high: float
    covered: float


def whole_survey(strata: Sequence[Stratum]) -> Estimate | None:
    """The estimate for all photographs in strata with labels; None if no photograph has a label."""
    known = [stratum for stratum in strata if stratum.labelled]
    covered = sum(stratum.photographs for stratum in known)
    if not covered:
        return None
    value = variance = 0.0
    for stratum in known:
        weight = stratum.photographs / covered
        share = share_of(stratum.labelled)
        value += weight * share.hits / share.total
        independent = min(share.effective, share.clusters * stratum.size)
        left = 1 - len(stratum.seen) / len(stratum.sequences)
        variance += weight**2 * left * stratum.variance / independent
    total = sum(stratum.photographs for stratum in strata)
    if variance == 0:
        return Estimate(value, value, value, covered / total)
    spread = max(value * (1 - value), 1 / (4 * covered))
    low, high = wilson(value, spread / variance, quantile_of(None, CONFIDENCE))
    return Estimate(value, low, high, covered / total)


@dataclass(frozen=True)
class Plan:
    """What to look at next.

    Attributes:
        sequences: Their positions in ``Survey.sequences``, in the order of the survey.
        photographs: The number of their photographs.
        seconds: The time that it takes to look at them.
        error: Half the width of the interval that is expected afterward, in [0, 1].
        is_complete: Whether there is nothing left to look at.
    """

    sequences: list[int]
    photographs: int
    seconds: float
    error: float
    is_complete: bool


def plan(
    survey: Survey,
    strata: Sequence[Stratum],
    *,
    seconds_per_image: float,
    hours: float | None = None,
    wanted_error: float | None = None,
    seed: int = 0,
) -> Plan:
    """Chooses the sequences to look at next, in random order within each stratum.

    Args:
        survey: The survey.
        strata: See ``strata_of``.
        seconds_per_image: The time that a person needs for a photograph.
        hours: The maximum time, or None.
        wanted_error: Stop when half the width of the interval is this small, in (0, 1), or None.
        seed: The seed of the random choice, so that the same command chooses the same sequences.
    """
    waiting = _waiting(strata, seed)
    numbers = {index: len(stratum.seen) for index, stratum in enumerate(strata)}
    total = sum(stratum.photographs for stratum in strata)
    chosen: list[int] = []
    seconds = 0.0
    error = _error(strata, numbers, total)
    heap = [(-_gain(s, numbers[i], total), i) for i, s in enumerate(strata) if waiting[i]]
    heapq.heapify(heap)
    while heap and (wanted_error is None or error > wanted_error):
        _, index = heapq.heappop(heap)
        stratum, sequence = strata[index], waiting[index][-1]
        cost = len(survey.sequences[sequence].pictures) * seconds_per_image
        if hours is not None and seconds + cost > 3600 * hours:
            continue  # a shorter sequence of a different stratum may fit
        chosen.append(waiting[index].pop())
        seconds += cost
        numbers[index] += 1
        if waiting[index]:
            heapq.heappush(heap, (-_gain(stratum, numbers[index], total), index))
        error = _error(strata, numbers, total) if wanted_error is not None else error
    photographs = sum(len(survey.sequences[number].pictures) for number in chosen)
    left = any(waiting.values())
    return Plan(sorted(chosen), photographs, seconds, _error(strata, numbers, total), not left)


def _waiting(strata: Sequence[Stratum], seed: int) -> Mapping[int, list[int]]:
    """The sequences of each stratum without labels, in random order."""

    def chance(sequence: int) -> bytes:
        return hashlib.blake2b(f"{seed} {sequence}".encode(), digest_size=8).digest()

    found: dict[int, list[int]] = {}
    for index, stratum in enumerate(strata):
        seen = stratum.seen
        left = (number for number in stratum.sequences if number not in seen)
        found[index] = sorted(left, key=chance)
    return found


def _gain(stratum: Stratum, number: int, total: int) -> float:
    """How much one more sequence lowers the variance, per photograph in it.

    A stratum without any labeled sequence is unknown, so its variance is the maximum.
    """
    weight = (stratum.photographs / total) ** 2
    before = 1.0 if number == 0 else stratum.variance / number
    return weight * (before - stratum.variance / (number + 1)) / stratum.size


def _error(strata: Sequence[Stratum], numbers: Mapping[int, int], total: int) -> float:
    """Half the width of the survey's interval if this many sequences of each stratum are labeled."""
    variance = 0.0
    for index, stratum in enumerate(strata):
        number, size = numbers[index], len(stratum.sequences)
        of_share = 1.0 if number == 0 else stratum.variance / number * (1 - number / size)
        variance += (stratum.photographs / total) ** 2 * of_share
    return quantile_of(None, CONFIDENCE) * math.sqrt(variance)


def paths_of(survey: Survey, sequences: Collection[int]) -> Iterator[str]:
    """The photographs of sequences, in the order of the survey."""
    for number in sequences:
        for position in survey.sequences[number].pictures:
            yield survey.pictures[position].filepath
