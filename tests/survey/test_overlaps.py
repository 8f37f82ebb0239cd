"""Boxes that overlap strongly are one individual; a higher taxon adds nothing to a species next to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from surveys import BLANK, DEER, FOX, HUMAN, LABELS, answered_box, box, record

from speciesnet.constants import Classification
from speciesnet.records import Box
from speciesnet.records.boxes import intersection_over_union
from speciesnet.survey.counts import counts_of, individual_boxes, largest_counts
from speciesnet.survey.events import Sighting, find_events
from speciesnet.survey.individuals import individuals_of

ANIMAL, VEHICLE = Classification.ANIMAL.value, Classification.VEHICLE.value
MAMMAL, CERVIDS = LABELS["mammal"], LABELS["cervidae family"]
HERE, ALMOST_HERE = (0.32, 0.33, 0.13, 0.12), (0.321, 0.33, 0.128, 0.118)
BESIDE, APART = (0.39, 0.27, 0.3, 0.27), (0.7, 0.7, 0.1, 0.1)


def answered(label: str, bbox: Sequence[float], kind: str = "animal", **more: Any) -> Box:
    return answered_box(label, kind, more.pop("score", 0.9), bbox=bbox, **more)


def reviewed(label: str, bbox: Sequence[float], **more: Any) -> Box:
    found: Any = answered(label, bbox, **more) | {"prediction_source": "review"}
    return found


@pytest.mark.parametrize(
    ("boxes", "counts"),
    [
        # One animal, found as an animal and as a vehicle or a person.
        ([answered(DEER, HERE), answered(DEER, ALMOST_HERE, "vehicle", conf=0.3)], {DEER: 1}),
        ([answered(DEER, HERE), answered(MAMMAL, ALMOST_HERE, "human", conf=0.3)], {DEER: 1}),
        ([answered(MAMMAL, HERE), answered(DEER, ALMOST_HERE, "vehicle", conf=0.3)], {DEER: 1}),
        ([answered(DEER, HERE), answered(VEHICLE, ALMOST_HERE, "vehicle", score=0.3)], {DEER: 1}),
        ([answered(MAMMAL, HERE), answered(VEHICLE, ALMOST_HERE, "vehicle")], {VEHICLE: 1}),
        ([answered(FOX, HERE, score=0.7), answered(DEER, ALMOST_HERE, score=0.8)], {DEER: 1}),
        ([answered(DEER, HERE), answered(MAMMAL, HERE), answered(CERVIDS, HERE)], {DEER: 1}),
        # The same without an answer of one box, or of both.
        ([answered(DEER, HERE), box("vehicle", 0.5, ALMOST_HERE)], {DEER: 1}),
        ([box(bbox=HERE), box("human", 0.5, ALMOST_HERE)], {DEER: 1}),
        # Two individuals.
        ([answered(DEER, BESIDE), answered(MAMMAL, HERE)], {DEER: 1, MAMMAL: 1}),
        ([answered(DEER, HERE), answered(DEER, APART)], {DEER: 2}),
        ([answered(HUMAN, HERE, "human"), answered(VEHICLE, HERE, "vehicle")],
         {HUMAN: 1, VEHICLE: 1}),
        # What a person has labeled counts, and is the better box.
        ([reviewed(DEER, HERE), reviewed(DEER, ALMOST_HERE)], {DEER: 2}),
        ([reviewed(MAMMAL, HERE), answered(DEER, ALMOST_HERE)], {MAMMAL: 1}),
        # A blank box is nothing, not even the same individual.
        ([answered(BLANK, HERE, conf=0.95), answered(DEER, ALMOST_HERE)], {DEER: 1}),
        # Boxes that are too faint to count do not replace others.
        ([answered(MAMMAL, HERE), answered(DEER, ALMOST_HERE, conf=0.1)], {MAMMAL: 1}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_reversed", [False, True])
def test_an_individual_counts_once(
    boxes: list[Box], counts: dict[str, int], is_reversed: bool
) -> None:
    image = record("a.jpg", next(iter(counts)), boxes=boxes[:: -1 if is_reversed else 1])
    assert counts_of(image) == counts


def test_an_answer_whose_box_is_another_individual_is_not_counted_again() -> None:
    image = record("a.jpg", VEHICLE, boxes=[
        answered(VEHICLE, HERE, "vehicle", score=0.7), answered(DEER, ALMOST_HERE),
    ])  # fmt: skip
    assert counts_of(image) == {DEER: 1}


def test_the_box_of_individuals_is_one_that_counts() -> None:
    boxes = [answered(DEER, HERE, "vehicle", conf=0.95, score=0.8),
             answered(DEER, ALMOST_HERE, conf=0.6, score=0.99)]  # fmt: skip
    (one,) = individuals_of(record("a.jpg", DEER, boxes=boxes))
    assert (one.count, one.score, one.box) == (1, 0.99, boxes[1])
    assert [found for _, found in individual_boxes(record("a.jpg", DEER, boxes=boxes))] == boxes[1:]


def test_overlap_is_the_common_share_of_both_boxes() -> None:
    assert intersection_over_union(HERE, HERE) == pytest.approx(1)
    assert intersection_over_union(HERE, APART) == 0
    assert intersection_over_union((0, 0, 0, 0), (0, 0, 0, 0)) == 0
    assert intersection_over_union((0, 0, 0.4, 0.1), (0, 0, 0.1, 0.1)) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("images", "deer"),
    [
        ([{DEER: 1, MAMMAL: 2}], 1),
        ([{DEER: 1}, {MAMMAL: 2}], 1),
        ([{DEER: 1}, {ANIMAL: 2}], 1),
        ([{DEER: 1, CERVIDS: 2}], 1),
        ([{DEER: 1}, {CERVIDS: 2}], 2),
        ([{DEER: 1, CERVIDS: 4}, {CERVIDS: 2}, {DEER: 1, MAMMAL: 9}], 2),
        ([{DEER: 3}, {CERVIDS: 2}], 3),
    ],
)
def test_sequences_and_events_count_a_higher_taxon_by_the_same_rule(
    images: list[dict[str, int]], deer: int
) -> None:
    assert largest_counts(images) == {DEER: deer}
    sightings = (
        ("cam", label, Sighting(f"2024-05-01T06:30:{second:02}", f"{second}.jpg", count))
        for second, counts in enumerate(images)
        for label, count in counts.items()
    )
    assert [(one.label, one.count) for one in find_events(sightings)] == [(DEER, deer)]
