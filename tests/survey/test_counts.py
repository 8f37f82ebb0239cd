from __future__ import annotations

from typing import Any

import pytest
from surveys import BLANK, DEER, FOX, SIDES, apart

from speciesnet.constants import Classification
from speciesnet.records import Box, Record
from speciesnet.survey.counts import counts_of, largest_counts

DEER_FAMILY = "f;mammalia;cetartiodactyla;cervidae;;;cervidae family"
ANIMAL, HUMAN = Classification.ANIMAL.value, Classification.HUMAN.value
VEHICLE, UNKNOWN = Classification.VEHICLE.value, Classification.UNKNOWN.value


def box(label: str = "animal", conf: float = 0.9, answer: str | None = None) -> Box:
    category = {"animal": "1", "human": "2", "vehicle": "3"}[label]
    found: Any = {"category": category, "label": label, "conf": conf, "bbox": list(SIDES)}
    if answer is not None:
        found |= {"classifications": {"classes": [answer], "scores": [0.9]}, "prediction": answer}
    return found


def classified(label: str) -> Box:
    """A box of a run without ensemble."""
    found: Any = box() | {"classifications": {"classes": [label, BLANK], "scores": [0.9, 0.1]}}
    return found


def relabelled(label: str) -> Box:
    """A box that was not classified, after a review."""
    found: Any = box() | {"prediction": label}
    return found


def image(answer: str | None, *boxes: Box, **more: Any) -> Record:
    record: Any = {"filepath": "a.jpg", "detections": apart(boxes), **more}
    if answer is not None:
        record |= {"prediction": answer, "prediction_score": 0.9}
    return record


@pytest.mark.parametrize(
    ("record", "counts"),
    [
        # Answers of images only.
        (image(DEER, box(), box(conf=0.2), box(conf=0.19)), {DEER: 2}),
        (image(DEER, box(), box("human"), box("vehicle")), {DEER: 1, HUMAN: 1, VEHICLE: 1}),
        (image(DEER, box(conf=0.1)), {DEER: 1}),
        (image(DEER), {DEER: 1}),
        (image(BLANK), {}),
        (image(BLANK, box(conf=0.1)), {}),
        (image(BLANK, box(conf=0.5)), {}),
        (image(BLANK, box("human", 0.5)), {HUMAN: 1}),
        (image(UNKNOWN, box("human")), {HUMAN: 1}),
        (image(HUMAN, box(), box("human", 0.19)), {HUMAN: 1}),
        (image(HUMAN, box(), box("human", 0.2)), {ANIMAL: 1, HUMAN: 1}),
        (image(VEHICLE, box(), box("human")), {VEHICLE: 1, HUMAN: 1}),
        (image(None, box(), box()), {ANIMAL: 2}),
        (image(None, failures=["DETECTOR"]), {}),
        # Answers of boxes.
        (image(DEER, box(answer=DEER), box(answer=FOX), box(answer=DEER)), {DEER: 2, FOX: 1}),
        (image(DEER, box(answer=DEER), box(answer=BLANK)), {DEER: 1}),
        (image(DEER, box(answer=DEER), box()), {DEER: 1, ANIMAL: 1}),
        (image(UNKNOWN, box(answer=UNKNOWN)), {ANIMAL: 1}),
        (image(FOX, box(conf=0.15, answer=FOX)), {FOX: 1}),
        (image(BLANK, box(answer=BLANK), box(answer=FOX), box()), {FOX: 1, ANIMAL: 1}),
        (image(FOX, classified(FOX), classified(DEER)), {FOX: 1, DEER: 1}),
        # A reviewer's.
        (image(BLANK, box(), box("human"), prediction_source="review"), {}),
        (image(BLANK, box(answer=BLANK), box(), prediction_source="review"), {}),
        (image(BLANK, box(), relabelled(FOX), prediction_source="review"), {FOX: 1}),
        (image(DEER, box(), counts={FOX: 0}), {}),
        (image(DEER, box(answer=DEER), counts={FOX: 3}), {FOX: 3}),
    ],
)
def test_an_image_shows(record: Record, counts: dict[str, int]) -> None:
    assert counts_of(record) == counts


def test_the_threshold_can_be_chosen() -> None:
    assert counts_of(image(DEER, box(), box(conf=0.5)), 0.6) == {DEER: 1}


def test_the_most_frequent_label_comes_first() -> None:
    found = counts_of(image(FOX, box(answer=FOX), box(answer=DEER), box(answer=DEER)))
    assert list(found) == [DEER, FOX]


@pytest.mark.parametrize(
    ("images", "counts"),
    [
        ([], {}),
        ([{DEER: 1}, {DEER: 3}, {DEER: 2}], {DEER: 3}),
        ([{DEER: 1}, {FOX: 2}], {FOX: 2, DEER: 1}),
        ([{DEER: 1}, {DEER_FAMILY: 2}], {DEER: 2}),
        ([{DEER: 3}, {ANIMAL: 1, HUMAN: 1}], {DEER: 3, HUMAN: 1}),
        ([{DEER: 1, FOX: 1}, {ANIMAL: 4}], {DEER: 1, FOX: 1}),  # which of them is unknown
        ([{ANIMAL: 4}], {ANIMAL: 4}),
    ],
)
def test_a_sequence_shows_the_largest_number_of_one_image(
    images: list[dict[str, int]], counts: dict[str, int]
) -> None:
    assert largest_counts(images) == counts
