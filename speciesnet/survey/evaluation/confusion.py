"""The answers for the photographs with each label: the matrix, precision and recall."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from speciesnet.ensemble.taxonomy import UNKNOWN
from speciesnet.survey.evaluation.intervals import Share, share_of
from speciesnet.survey.evaluation.pairs import Pair
from speciesnet.survey.evaluation.taxa import NO_ANSWER, Rank, Taxon, taxon_of

Outcome = Literal["right", "unresolved", "wrong", "no answer"]
OUTCOMES: tuple[Outcome, ...] = ("right", "unresolved", "wrong", "no answer")
Clusters = Literal["sequence", "camera"]  # the units that count as independent
_SILENT = (NO_ANSWER, UNKNOWN)


def outcome_of(truth: Taxon, predicted: Taxon) -> Outcome:
    """How well an answer matches its label.

    - right: it is the label, or a taxon below it.
    - unresolved: it is a taxon above the label: right at that rank, but not resolved.
    - no answer: a failure, or "unknown".
    - wrong: anything else.

    Examples:
        >>> dog, fox = Taxon("animal", ("canidae",)), Taxon("animal", ("canidae", "vulpes"))
        >>> outcome_of(fox, dog), outcome_of(dog, fox)
        ('unresolved', 'right')
    """
    if predicted.category in _SILENT:
        return "no answer"
    if truth.contains(predicted):
        return "right"
    return "unresolved" if predicted.contains(truth) else "wrong"


class Judged(NamedTuple):
    """A photograph whose answer and label are compared at a rank.

    Attributes:
        pair: The photograph.
        truth: The taxon of its label.
        predicted: The taxon of its answer.
        outcome: See ``outcome_of``.
        cluster: The sequence or camera to which it belongs.
    """

    pair: Pair
    truth: Taxon
    predicted: Taxon
    outcome: Outcome
    cluster: Hashable

    @property
    def is_true(self) -> bool:
        """Whether the answer is true: right, or right at a higher rank."""
        return self.outcome in ("right", "unresolved")


def judge(pairs: Iterable[Pair], rank: Rank, clusters: Clusters = "sequence") -> list[Judged]:
    """Compares the answers and the labels of photographs at a rank."""
    found: list[Judged] = []
    for pair in pairs:
        truth, predicted = taxon_of(pair.truth, rank), taxon_of(pair.predicted, rank)
        cluster = pair.sequence if clusters == "sequence" else pair.camera
        found.append(Judged(pair, truth, predicted, outcome_of(truth, predicted), cluster))
    return found


def share_where(judged: Iterable[Judged], is_hit: Callable[[Judged], bool]) -> Share:
    """The share of photographs for which a condition holds, see ``share_of``."""
    return share_of((is_hit(one), one.cluster) for one in judged)


@dataclass(frozen=True)
class ClassResult:
    """How accurately one class is recognized.

    Attributes:
        taxon: The class.
        precision: The share of the photographs with this answer in which it is true.
        recall: The share of the photographs with this label whose answer is right.
        unresolved: Photographs with this label whose answer is a higher taxon.
    """

    taxon: Taxon
    precision: Share
    recall: Share
    unresolved: int


def class_results(judged: Sequence[Judged]) -> list[ClassResult]:
    """The precision and recall for all labels and answers, most frequent labels first."""
    by_truth: dict[Taxon, list[Judged]] = {}
    by_answer: dict[Taxon, list[Judged]] = {}
    for one in judged:
        by_truth.setdefault(one.truth, []).append(one)
        by_answer.setdefault(one.predicted, []).append(one)
    found: list[ClassResult] = []
    for taxon in {**by_truth, **by_answer}:
        if taxon.category in _SILENT:
            continue
        labelled = by_truth.get(taxon, [])
        found.append(
            ClassResult(
                taxon,
                share_where(by_answer.get(taxon, []), lambda one: one.is_true),
                share_where(labelled, lambda one: one.outcome == "right"),
                sum(one.outcome == "unresolved" for one in labelled),
            )
        )
    return sorted(found, key=lambda one: (-one.recall.total, -one.precision.total, one.taxon))


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix.

    Attributes:
        rows: The labels, the most frequent first.
        columns: The answers. Those that are also labels come first, in the same order.
        cells: The photographs with each label and answer, by their positions in the evaluated list.
    """

    rows: list[Taxon]
    columns: list[Taxon]
    cells: dict[tuple[Taxon, Taxon], list[int]]

    def count(self, truth: Taxon, predicted: Taxon) -> int:
        """The number of photographs of a cell."""
        return len(self.cells.get((truth, predicted), ()))


def confusion_of(judged: Sequence[Judged]) -> Confusion:
    """The confusion matrix of some photographs."""
    cells: dict[tuple[Taxon, Taxon], list[int]] = {}
    for position, one in enumerate(judged):
        cells.setdefault((one.truth, one.predicted), []).append(position)
    rows = _by_frequency(one.truth for one in judged)
    answers = _by_frequency(one.predicted for one in judged)
    columns = [taxon for taxon in rows if taxon in answers]
    return Confusion(rows, columns + [taxon for taxon in answers if taxon not in rows], cells)


def _by_frequency(taxa: Iterable[Taxon]) -> list[Taxon]:
    counts = Counter(taxa)
    return sorted(counts, key=lambda taxon: (-counts[taxon], taxon))
