from __future__ import annotations

import random

import pytest
from judging import judged, pair
from surveys import BEAR, BLANK, BOAR, DEER, FOX, HUMAN, LABELS, UNKNOWN

from speciesnet.survey.evaluation.confusion import class_results, confusion_of, judge
from speciesnet.survey.evaluation.taxa import Rank, taxon_of

ANIMAL = LABELS["animal"]
DOGS = ";mammalia;carnivora;canidae;;;"
CARNIVORES = ";mammalia;carnivora;;;;"


@pytest.mark.parametrize(
    ("truth", "predicted", "rank", "outcome"),
    [
        (FOX, FOX, "species", "right"),
        (FOX, DEER, "species", "wrong"),
        (FOX, DOGS, "species", "unresolved"),
        (FOX, ANIMAL, "species", "unresolved"),
        (FOX, DOGS, "family", "right"),
        (FOX, DOGS, "genus", "unresolved"),
        (FOX, BEAR, "order", "right"),  # both are carnivores
        (FOX, BEAR, "family", "wrong"),
        (FOX, DEER, "class", "right"),
        (FOX, BLANK, "class", "wrong"),
        (DOGS, FOX, "species", "right"),  # the label does not know more
        (DOGS, DEER, "species", "wrong"),
        (HUMAN, ANIMAL, "species", "wrong"),
        (BLANK, BLANK, "species", "right"),
        (FOX, UNKNOWN, "species", "no answer"),
        (FOX, None, "species", "no answer"),
    ],
)
def test_answers_are_right_at_a_rank(
    truth: str, predicted: str | None, rank: Rank, outcome: str
) -> None:
    (one,) = judged(pair(truth, predicted), rank=rank)
    assert one.outcome == outcome


def test_higher_taxon_is_a_miss_but_not_a_false_alarm() -> None:
    results = class_results(judged(pair(FOX, FOX), pair(FOX, DOGS), pair(DEER, DOGS)))
    fox, dogs = (
        next(one for one in results if one.taxon == taxon_of(label)) for label in (FOX, DOGS)
    )
    assert (fox.recall.hits, fox.recall.total, fox.unresolved) == (1, 2, 1)
    assert fox.precision.value == 1
    assert (dogs.precision.hits, dogs.precision.total) == (1, 2)


def test_failures_count_against_recall_only() -> None:
    (fox,) = class_results(judged(pair(FOX, FOX), pair(FOX, None)))
    assert fox.recall.value == 0.5 and fox.precision.value == 1


def test_columns_start_with_the_labels() -> None:
    matrix = confusion_of(judged(pair(FOX, FOX), pair(FOX, DOGS), pair(FOX, FOX), pair(DEER, FOX)))
    assert matrix.rows == [taxon_of(FOX), taxon_of(DEER)]
    assert matrix.columns == [taxon_of(FOX), taxon_of(DOGS)]
    assert matrix.count(*[taxon_of(FOX)] * 2) == 2
    assert matrix.count(taxon_of(DEER), taxon_of(DEER)) == 0


def test_clusters_are_sequences_or_cameras() -> None:
    pairs = [pair(FOX, FOX, sequence=number, camera="a") for number in (1, 1, 2)]
    assert [one.cluster for one in judge(pairs, "species", "sequence")] == [1, 1, 2]
    assert {one.cluster for one in judge(pairs, "species", "camera")} == {"a"}


def test_same_numbers_as_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    draw, labels = random.Random(7), [FOX, DEER, BOAR, BLANK, HUMAN]
    truths = draw.choices(labels, [5, 4, 3, 2, 1], k=500)
    answers = [t if draw.random() < 0.7 else draw.choice(labels) for t in truths]
    found = judged(*map(pair, truths, answers))
    matrix = confusion_of(found)
    expected = metrics.confusion_matrix(truths, answers, labels=labels)
    taxa = [*map(taxon_of, labels)]
    assert [[matrix.count(t, p) for p in taxa] for t in taxa] == expected.tolist()
    precision, recall, _, support = metrics.precision_recall_fscore_support(
        truths, answers, labels=labels
    )
    results = {one.taxon: one for one in class_results(found)}
    assert [results[t].precision.value for t in taxa] == pytest.approx(precision.tolist())
    assert [results[t].recall.value for t in taxa] == pytest.approx(recall.tolist())
    assert [results[t].recall.total for t in taxa] == support.tolist()
