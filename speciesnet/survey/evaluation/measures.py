"""Other measures: scores, blanks, numbers of individuals, cameras, day and night."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

from speciesnet.ensemble.taxonomy import BLANK
from speciesnet.survey.evaluation.confusion import Judged, share_where
from speciesnet.survey.evaluation.intervals import Share, share_of
from speciesnet.survey.evaluation.taxa import ANIMAL, Rank, Taxon, taxon_of

BINS = 10
BLANK_THRESHOLDS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
DAY = range(6, 18)  # the hours that count as day, by the camera's clock; the others are night


class Bin(NamedTuple):
    """Photographs whose answers have similar scores.

    Attributes:
        low: The lowest score, in [0, 1].
        high: The score at which the next bin starts.
        mean: The mean score of these photographs.
        true: The share for which the answer is true, even if it is a higher taxon than the label.
    """

    low: float
    high: float
    mean: float
    true: Share


def calibration(judged: Iterable[Judged], bins: int = BINS) -> list[Bin]:
    """The bins that contain photographs, by score; all have the same width, and failures are in none."""
    members: dict[int, list[Judged]] = {}
    for one in judged:
        if one.outcome != "no answer":
            number = min(max(int(one.pair.score * bins), 0), bins - 1)
            members.setdefault(number, []).append(one)
    return [
        Bin(
            number / bins,
            (number + 1) / bins,
            sum(one.pair.score for one in found) / len(found),
            share_where(found, lambda one: one.is_true),
        )
        for number, found in sorted(members.items())
    ]


def calibration_error(bins: Sequence[Bin]) -> float | None:
    """The expected calibration error (Naeini et al. 2015), in [0, 1]: 0 if scores are probabilities.

    It is the mean difference between the score and the share of true answers, weighted by photographs.
    """
    total = sum(one.true.total for one in bins)
    gaps = (abs(one.mean * one.true.total - one.true.hits) for one in bins)
    return sum(gaps) / total if total else None


class BlankRule(NamedTuple):
    """The effect of throwing away the photographs with the answer blank.

    Attributes:
        threshold: The lowest score of such a photograph, in [0, 1].
        saved: The share of all photographs that people no longer have to look at.
        lost: The share of the photographs of animals that are thrown away.
        visits_lost: The share of the sequences with an animal that lose all photographs of it.
    """

    threshold: float
    saved: Share
    lost: Share
    visits_lost: Share


def blank_rules(judged: Sequence[Judged]) -> list[BlankRule]:
    """The effect at each threshold, if it differs; empty if no label or no answer is blank."""
    if not any(BLANK in (one.truth.category, one.predicted.category) for one in judged):
        return []
    animals = [one for one in judged if one.truth.category == ANIMAL]
    rules: list[BlankRule] = []
    for threshold in BLANK_THRESHOLDS:

        def is_thrown_away(one: Judged, threshold: float = threshold) -> bool:
            return one.predicted.category == BLANK and one.pair.score >= threshold

        saved = share_where(judged, is_thrown_away)
        if rules and rules[-1].saved.hits == saved.hits:
            continue
        kept: dict[int, bool] = {}
        clusters = {one.pair.sequence: one.cluster for one in animals}
        for one in animals:
            number = one.pair.sequence
            kept[number] = kept.get(number, False) or not is_thrown_away(one)
        rules.append(
            BlankRule(
                threshold,
                saved,
                share_where(animals, is_thrown_away),
                share_of((not is_kept, clusters[number]) for number, is_kept in kept.items()),
            )
        )
    return rules


class Numbers(NamedTuple):
    """How accurately individuals are counted, in photographs whose labels have numbers.

    Attributes:
        exact: The share of photographs with the right number.
        labelled: The individuals that people counted.
        counted: The individuals that the program counted.
        mean_error: The mean absolute difference per photograph.
    """

    exact: Share
    labelled: int
    counted: int
    mean_error: float


def numbers_of(judged: Iterable[Judged]) -> Numbers | None:
    """How accurately individuals are counted; None if no label of an animal has a number."""
    known = [
        (one, one.pair.labelled_individuals)
        for one in judged
        if one.pair.labelled_individuals is not None
    ]
    if not any(labelled for _, labelled in known):
        return None
    return Numbers(
        share_of((one.pair.individuals == labelled, one.cluster) for one, labelled in known),
        sum(labelled for _, labelled in known),
        sum(one.pair.individuals for one, _ in known),
        sum(abs(one.pair.individuals - labelled) for one, labelled in known) / len(known),
    )


class SpeciesNumbers(NamedTuple):
    """How well the individuals of one taxon are counted, in photographs or in sequences.

    Attributes:
        taxon: The taxon.
        exact: The share with the right number, of those in which people or the program counted any.
        labelled: The individuals that people counted.
        counted: The individuals that the program counted.
        mean_error: The mean absolute difference.
    """

    taxon: Taxon
    exact: Share
    labelled: int
    counted: int
    mean_error: float


def numbers_by_species(
    judged: Iterable[Judged], rank: Rank, *, in_sequences: bool = False
) -> list[SpeciesNumbers]:
    """How well the individuals of each taxon are counted, where labels have numbers.

    The individuals in a sequence are the largest number in one of its photographs (MaxN); only those
    whose labels have numbers are taken into account. An individual of a higher taxon is not one of the
    species that it may be.

    Args:
        judged: The photographs.
        rank: The rank of the taxa.
        in_sequences: Whether sequences are compared instead of photographs.

    Returns:
        The taxa with the most labeled individuals first.
    """
    units: dict[int, tuple[Hashable, Counter[Taxon], Counter[Taxon]]] = {}
    for one in judged:
        if one.pair.labelled_counts is not None:
            key = one.pair.sequence if in_sequences else one.pair.position
            _, labelled, counted = units.setdefault(key, (one.cluster, Counter(), Counter()))
            labelled |= _by_taxon(one.pair.labelled_counts, rank)
            counted |= _by_taxon(one.pair.counts, rank)
    found = []
    for taxon in {taxon for _, *both in units.values() for counts in both for taxon in counts}:
        of_units = [(c, labelled[taxon], counted[taxon]) for c, labelled, counted in units.values()]
        own = [one for one in of_units if one[1] or one[2]]
        found.append(
            SpeciesNumbers(
                taxon,
                share_of((labelled == counted, cluster) for cluster, labelled, counted in own),
                sum(labelled for _, labelled, _ in own),
                sum(counted for *_, counted in own),
                sum(abs(labelled - counted) for _, labelled, counted in own) / len(own),
            )
        )
    return sorted(found, key=lambda one: (-one.labelled, -one.counted, one.taxon))


def _by_taxon(counts: Mapping[str, int], rank: Rank) -> Counter[Taxon]:
    found: Counter[Taxon] = Counter()
    for label, count in counts.items():
        if count:
            found[taxon_of(label, rank)] += count
    return found


class Group(NamedTuple):
    """A part of the photographs.

    Attributes:
        name: A camera, or a time of day.
        right: The share of right answers.
        true: The share of answers that are right, or right at a higher rank.
    """

    name: str
    right: Share
    true: Share


def groups_of(judged: Iterable[Judged], name_of: Callable[[Judged], str]) -> list[Group]:
    """The parts of the photographs, by name."""
    members: dict[str, list[Judged]] = {}
    for one in judged:
        members.setdefault(name_of(one), []).append(one)
    return [
        Group(
            name,
            share_where(found, lambda one: one.outcome == "right"),
            share_where(found, lambda one: one.is_true),
        )
        for name, found in sorted(members.items())
    ]


def time_of_day(one: Judged) -> str:
    """Day, night, or "no date", by the camera's clock."""
    if one.pair.taken is None:
        return "no date"
    return "day" if int(one.pair.taken[11:13]) in DAY else "night"
