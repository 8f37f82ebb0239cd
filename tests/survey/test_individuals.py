from __future__ import annotations

from typing import Any

import pytest
from surveys import BLANK, DEER, FOX, HUMAN, LABELS, box, record

from speciesnet.constants import Classification
from speciesnet.records import Box, Record
from speciesnet.survey.individuals import count_of, counts_text, individuals_of

ANIMAL, CANIDS = Classification.ANIMAL.value, LABELS["canine family"]


def answered(label: str, score: float = 0.8, conf: float = 0.9, kind: str = "animal") -> Box:
    own: Any = {"prediction": label, "prediction_score": score, "prediction_source": "classifier"}
    return box(kind, conf) | {"classifications": {"classes": [label], "scores": [score]}} | own


def found(one: Record) -> list[tuple[str, int, float, str | None, float | None]]:
    """Label, number, score, source and confidence of the box of all individuals."""
    return [
        (each.label, each.count, each.score, each.source, each.box and each.box["conf"])
        for each in individuals_of(one)
    ]


def test_each_label_has_the_answer_of_its_most_confident_box() -> None:
    boxes = [answered(DEER, 0.6, 0.9), answered(FOX, 0.7, 0.8), answered(FOX, 0.9, 0.7), box()]
    assert found(record("a.jpg", DEER, 0.6, boxes=boxes)) == [
        (DEER, 1, 0.6, "classifier", 0.9),
        (FOX, 2, 0.7, "classifier", 0.8),
        (ANIMAL, 1, 0.9, "detector", 0.9),
    ]


def test_boxes_without_answers_have_that_of_the_image() -> None:
    boxes = [box("animal", 0.9), box("animal", 0.5), box("human", 0.4)]
    assert found(record("a.jpg", FOX, 0.75, boxes=boxes)) == [
        (FOX, 2, 0.75, "classifier", 0.9),
        (HUMAN, 1, 0.4, "detector", 0.4),
    ]
    assert found(record("a.jpg", FOX, 0.75, boxes=[])) == [(FOX, 1, 0.75, "classifier", None)]
    assert found(record("a.jpg", BLANK, boxes=[box()])) == []


def test_reviewer_may_count_what_has_no_box() -> None:
    counted = record("a.jpg", FOX, boxes=[answered(FOX)], counts={DEER: 7, FOX: 2})
    assert found(counted) == [(FOX, 2, 0.8, "classifier", 0.9), (DEER, 7, 1.0, "review", None)]


@pytest.mark.parametrize(
    ("label", "counts", "count"),
    [
        (FOX, {FOX: 2, DEER: 5}, 2),
        (CANIDS, {FOX: 2, DEER: 5}, 2),
        (FOX, {CANIDS: 3, DEER: 5}, 3),
        (ANIMAL, {FOX: 2, DEER: 5, HUMAN: 9}, 5),
        (FOX, {DEER: 5}, None),
        (BLANK, {FOX: 1}, None),
        (None, {FOX: 1}, None),
    ],
)
def test_an_answer_has_the_count_of_its_label_or_of_related_ones(
    label: str | None, counts: dict[str, int], count: int | None
) -> None:
    assert count_of(label, counts) == count


def test_names_in_a_text_are_unique() -> None:
    magpies = "u;aves;;;pica;pica;magpie", "u;aves;;;pica;nuttalli;magpie"
    assert counts_text(dict.fromkeys(magpies, 2) | {"u;aves;;;corvus;corax;": 1}) == (
        "magpie (Pica pica): 2; magpie (Pica nuttalli): 2; Corvus corax: 1"
    )
    assert counts_text({}) is None
