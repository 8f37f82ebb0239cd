"""Doubtful boxes in a sequence follow the reliable ones of the same kind."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciesnet.constants import Classification
from speciesnet.records import Box, Record
from speciesnet.survey.corrections import SOURCE
from speciesnet.survey.counts import counts_of, largest_counts
from speciesnet.survey.smoothing import smoothed

DEER = "1;mammalia;cetartiodactyla;cervidae;odocoileus;virginianus;white-tailed deer"
MULE_DEER = "2;mammalia;cetartiodactyla;cervidae;odocoileus;hemionus;mule deer"
CERVIDS = "3;mammalia;cetartiodactyla;cervidae;;;cervidae family"
FOX = "4;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
ZEBRA = "5;mammalia;perissodactyla;equidae;equus;quagga;plains zebra"
HORSE = "6;mammalia;perissodactyla;equidae;equus;caballus;domestic horse"
EQUIDS = "7;mammalia;perissodactyla;equidae;;;equidae family"
WILDEBEEST = "8;mammalia;cetartiodactyla;bovidae;connochaetes;taurinus;blue wildebeest"
MAMMAL = "9;mammalia;;;;;mammal"
ANIMAL, BLANK, HUMAN, UNKNOWN = (
    Classification.ANIMAL.value,
    Classification.BLANK.value,
    Classification.HUMAN.value,
    Classification.UNKNOWN.value,
)
ROLLUP = "classifier+rollup_to_family"


def box(
    label: str,
    score: float = 0.95,
    source: str = "classifier",
    kind: str = "animal",
    **others: float,
) -> Box:
    """A box with an answer; the scores of other classes are given by the names of the labels."""
    own = {} if source != "classifier" else {label: score}
    classes = own | {globals()[name]: value for name, value in others.items()}
    return {
        "category": {"animal": "1", "human": "2", "vehicle": "3"}[kind],
        "label": kind,
        "conf": 0.9,
        "bbox": [0.1, 0.2, 0.3, 0.4],
        "classifications": {"classes": [*classes], "scores": [*classes.values()]},
        "prediction": label,
        "prediction_score": score,
        "prediction_source": source,
    }


def image(*boxes: Box, answer: str | None = None) -> Record:
    """A record; its answer is by default that of its first box."""
    found = answer or (boxes[0].get("prediction", "") if boxes else BLANK)
    return {
        "filepath": "a.jpg",
        "detections": list(boxes),
        "prediction": found,
        "prediction_score": 0.9,
        "prediction_source": "classifier",
    }


def answers(records: Sequence[Record]) -> list[list[str]]:
    return [[b.get("prediction", "") for b in r.get("detections") or ()] for r in records]


def test_a_doubtful_deer_among_certain_deer_follows() -> None:
    doubtful = box(MULE_DEER, 0.68, DEER=0.25)
    _, after = smoothed([image(box(DEER), box(DEER)), image(doubtful)])
    (changed,) = list(after.get("detections", ()))
    assert changed.get("prediction") == DEER
    assert changed.get("prediction_score") == pytest.approx(0.25 / 0.93), "among animals"
    assert changed.get("prediction_source") == "classifier+sequence"
    assert changed["bbox"] == doubtful["bbox"]
    assert changed.get("classifications") == doubtful.get("classifications")


def test_boxes_of_the_same_image_follow_as_well() -> None:
    after = smoothed([image(box(DEER), box(CERVIDS, 0.8, ROLLUP, DEER=0.5, MULE_DEER=0.3))])
    assert answers(after) == [[DEER, DEER]]


def test_a_fox_and_a_deer_stay() -> None:
    herd = [image(box(DEER), box(FOX)), image(box(DEER, 0.7, FOX=0.05), box(FOX, 0.7, DEER=0.1))]
    assert smoothed(herd) == herd


def test_a_mixed_herd_stays_mixed_and_a_doubtful_box_goes_to_the_nearer_kind() -> None:
    herd = [
        image(box(ZEBRA), box(ZEBRA), box(WILDEBEEST)),
        image(
            box(EQUIDS, 0.75, ROLLUP, ZEBRA=0.4, HORSE=0.35),
            box(MAMMAL, 0.8, ROLLUP, WILDEBEEST=0.5, ZEBRA=0.1, DEER=0.2),
            box(MAMMAL, 0.8, ROLLUP, WILDEBEEST=0.4, ZEBRA=0.38),
        ),
    ]
    first, second = answers(smoothed(herd))
    assert first == [ZEBRA, ZEBRA, WILDEBEEST]
    assert second == [ZEBRA, WILDEBEEST, MAMMAL], "the last one could be either"


@pytest.mark.parametrize("rolled_up", [CERVIDS, MAMMAL, ANIMAL])
def test_an_answer_that_was_rolled_up_becomes_the_species_of_the_others(rolled_up: str) -> None:
    doubtful = box(rolled_up, 0.9, ROLLUP, DEER=0.45, MULE_DEER=0.45)
    assert answers(smoothed([image(box(DEER)), image(doubtful)])) == [[DEER], [DEER]]


def test_the_classes_above_a_kind_speak_for_it() -> None:
    doubtful = box(CERVIDS, 0.7, "classifier", MULE_DEER=0.2)
    assert answers(smoothed([image(box(DEER)), image(doubtful)])) == [[DEER], [DEER]]


def test_a_doubtful_box_without_evidence_for_a_kind_keeps_its_answer() -> None:
    for doubtful in (box(FOX, 0.7), box(MAMMAL, 0.7, ROLLUP, FOX=0.4, HORSE=0.3)):
        herd = [image(box(DEER)), image(doubtful)]
        assert smoothed(herd) == herd


def test_a_certain_rare_box_among_many_is_not_swallowed() -> None:
    herd = [image(*[box(DEER)] * 5)] * 4 + [image(box(FOX, 0.9, DEER=0.1))]
    assert smoothed(herd) == herd


def test_an_unknown_box_follows_a_kind_for_which_there_is_evidence() -> None:
    herd = [image(box(DEER)), image(box(UNKNOWN, 0.5, "unknown", DEER=0.5, FOX=0.1))]
    assert answers(smoothed(herd)) == [[DEER], [DEER]]


def test_an_answer_never_becomes_less_specific() -> None:
    herd = [image(box(CERVIDS)), image(box(DEER, 0.5, CERVIDS=0.45))]
    assert smoothed(herd) == herd


def test_a_group_that_is_certain_attracts_nothing_from_a_species_below_it() -> None:
    herd = [image(box(CERVIDS), box(DEER)), image(box(MAMMAL, 0.9, ROLLUP, CERVIDS=0.6, DEER=0.2))]
    assert answers(smoothed(herd))[1] == [DEER]


def test_rolled_up_answers_found_no_kind() -> None:
    herd = [image(box(CERVIDS, 0.97, ROLLUP, DEER=0.5)), image(box(FOX, 0.4, DEER=0.35))]
    assert smoothed(herd) == herd


@pytest.mark.parametrize("kind", ["human", "vehicle"])
def test_people_and_vehicles_are_untouched_and_found_no_kind(kind: str) -> None:
    herd = [
        image(box(HUMAN, kind="human"), box(FOX, kind=kind)),
        image(box(DEER)),
        image(box(HUMAN, 0.4, kind=kind, DEER=0.35), box(MULE_DEER, 0.6, kind=kind, DEER=0.35)),
        image(box(HUMAN, 0.4, DEER=0.35)),
        image(box(MAMMAL, 0.7, ROLLUP, FOX=0.6)),
    ]
    assert smoothed(herd) == herd


def test_blank_boxes_and_boxes_of_blank_images_are_untouched() -> None:
    doubtful = box(CERVIDS, 0.8, ROLLUP, DEER=0.6)
    herd = [image(box(DEER)), image(box(BLANK, 0.6, DEER=0.4)), image(doubtful, answer=BLANK)]
    assert smoothed(herd) == herd


def test_boxes_that_a_person_corrected_are_untouched_and_found_kinds() -> None:
    herd = [
        image(box(MULE_DEER, 1.0, SOURCE, DEER=0.9)),
        image(box(DEER)),
        image(box(FOX, 1.0, SOURCE)),
        image(box(MAMMAL, 0.7, ROLLUP, FOX=0.6)),
    ]
    assert answers(smoothed(herd)) == [[MULE_DEER], [DEER], [FOX], [FOX]]


def test_boxes_without_their_own_answer_are_untouched() -> None:
    plain: Box = {"category": "1", "label": "animal", "conf": 0.5, "bbox": [0.1, 0.1, 0.2, 0.2]}
    herd = [image(box(DEER), plain), image(), {"filepath": "b.jpg", "failures": ["DETECTOR"]}]
    assert smoothed(herd) == herd


def test_the_records_themselves_do_not_change() -> None:
    herd = [image(box(DEER)), image(box(MULE_DEER, 0.5, DEER=0.4))]
    copies = [image(box(DEER)), image(box(MULE_DEER, 0.5, DEER=0.4))]
    assert smoothed(herd) != copies
    assert herd == copies


def test_the_counts_of_a_sequence_follow_its_boxes() -> None:
    herd = [
        image(box(DEER), box(CERVIDS, 0.8, ROLLUP, DEER=0.5)),
        image(box(DEER), box(FOX), box(MULE_DEER, 0.6, DEER=0.3)),
    ]
    for one in herd:
        for number, each in enumerate(one.get("detections", ())):
            each["bbox"] = [number * 0.3, 0.2, 0.3, 0.4]
    assert largest_counts(map(counts_of, smoothed(herd))) == {DEER: 2, FOX: 1}


LABELS = [
    DEER,
    MULE_DEER,
    CERVIDS,
    FOX,
    ZEBRA,
    HORSE,
    EQUIDS,
    MAMMAL,
    ANIMAL,
    BLANK,
    HUMAN,
    UNKNOWN,
]


def random_box(random: Random) -> Box:
    scores = [0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 0.95]
    classes = {label: random.choice(scores) for label in random.sample(LABELS, random.randrange(6))}
    return {
        "category": "1",
        "label": random.choice(["animal", "animal", "animal", "human", "vehicle"]),
        "conf": random.choice([0.1, 0.5, 0.9]),
        "bbox": [0.1, 0.1, 0.2, 0.2],
        "classifications": {"classes": [*classes], "scores": [*classes.values()]},
        "prediction": random.choice(LABELS),
        "prediction_score": random.choice(scores),
        "prediction_source": random.choice(
            ["classifier", "classifier", ROLLUP, SOURCE, "detector"]
        ),
    }


def random_herd(seed: int) -> list[Record]:
    random = Random(seed)
    return [
        image(
            *(random_box(random) for _ in range(random.randrange(5))),
            answer=random.choice([DEER, DEER, MAMMAL, HUMAN, BLANK]),
        )
        for _ in range(random.randrange(5))
    ]


HERDS = st.integers(0, 10**9).map(random_herd)


@given(HERDS)
def test_smoothing_again_changes_nothing(herd: list[Record]) -> None:
    once = smoothed(herd)
    assert smoothed(once) == once


@given(HERDS, st.integers(0, 10**9))
def test_neither_the_order_of_images_nor_that_of_boxes_matters(
    herd: list[Record], seed: int
) -> None:
    order = Random(seed).sample(range(len(herd)), len(herd))
    mixed = [
        cast("Record", {**herd[i], "detections": [*herd[i].get("detections", ())][::-1]})
        for i in order
    ]
    expected = smoothed(herd)
    for i, record in zip(order, smoothed(mixed), strict=True):
        assert answers([record])[0][::-1] == answers([expected[i]])[0]


@given(HERDS)
def test_only_doubtful_boxes_of_animals_change_and_only_to_labels_of_certain_boxes(
    herd: list[Record],
) -> None:
    every = [b for r in herd for b in r.get("detections", ())]
    labels = {b.get("prediction") for b in every}
    after = smoothed(herd)
    for old, new in zip(herd, after, strict=True):
        pairs = zip(old.get("detections", ()), new.get("detections", ()), strict=True)
        for was, now in pairs:
            if was != now:
                assert was["label"] == "animal"
                assert was.get("prediction_source") != SOURCE
                assert was.get("prediction") not in (BLANK, HUMAN)
                assert old.get("prediction") != BLANK
                assert now.get("prediction") in labels - {ANIMAL, BLANK, HUMAN, UNKNOWN}
                assert 0.1 <= now.get("prediction_score", -1) <= 1
