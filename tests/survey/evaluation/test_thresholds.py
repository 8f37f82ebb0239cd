from __future__ import annotations

from pathlib import Path

import pytest
from judging import judged, pair
from surveys import BLANK, DEER, FOX, HUMAN, LABELS, UNKNOWN, answered_box, record

from speciesnet.ensemble.thresholds import Thresholds, read_thresholds
from speciesnet.errors import InputError
from speciesnet.survey.evaluation.thresholds import choose_thresholds

ANIMAL = LABELS["animal"]


def test_lowest_threshold_that_reaches_the_precision() -> None:
    good = [pair(FOX, FOX, 0.8 + n / 1000) for n in range(90)]
    bad = [pair(DEER, FOX, 0.6) for _ in range(30)]
    (point,) = choose_thresholds(judged(*good, *bad), 0.9, "point")
    assert point.threshold == pytest.approx(0.8) and point.precision.total == 90
    (lower,) = choose_thresholds(judged(*good, *bad), 0.95, "lower")
    assert lower.threshold == pytest.approx(0.8)
    assert lower.precision.low >= 0.95 and lower.answers == 120


def test_few_labels_prove_no_precision() -> None:
    few = judged(*[pair(FOX, FOX) for _ in range(20)])
    (lower,) = choose_thresholds(few, 0.95, "lower")
    assert lower.threshold is None
    (point,) = choose_thresholds(few, 0.95, "point")
    assert point.threshold == 0.9
    (fewest,) = choose_thresholds(few[:4], 0.95, "point")
    assert fewest.threshold is None


def test_photographs_of_one_sequence_prove_no_precision() -> None:
    alike = judged(*[pair(FOX, FOX, sequence=-1) for _ in range(200)])
    assert choose_thresholds(alike, 0.9)[0].threshold is None


def test_only_animals_get_thresholds() -> None:
    found = judged(pair(BLANK, BLANK), pair(HUMAN, HUMAN), pair(FOX, ANIMAL), pair(FOX, None))
    assert choose_thresholds(found, 0.5, "point") == []


@pytest.mark.parametrize("name", ["vulpes vulpes", "red fox", "vulpes"])
def test_answers_below_become_animals(name: str) -> None:
    rules = Thresholds("t.csv", {name: 0.8})
    low, high = rules.apply(record("a.jpg", FOX, 0.79)), rules.apply(record("b.jpg", FOX, 0.8))
    is_kept = name == "vulpes"  # a genus is not meant by the answer of its species
    assert low.get("prediction") == (FOX if is_kept else ANIMAL)
    assert high.get("prediction") == FOX
    if not is_kept:
        assert low.get("prediction_source") == "classifier+below_threshold"
        assert low.get("prediction_score") == 0.79
        assert rules.notes == [
            "1 answer below its threshold in t.csv counts as animal or unknown: red fox 1."
        ]
    else:
        assert rules.notes == ["1 threshold of t.csv matches no answer: vulpes."]


def test_blanks_and_people_become_unknown() -> None:
    rules = Thresholds("t.csv", {"blank": 0.9, "human": 0.9})
    for label in (BLANK, HUMAN):
        assert rules.apply(record("a.jpg", label, 0.5)).get("prediction") == UNKNOWN


def test_boxes_follow_the_same_rule() -> None:
    boxes = [answered_box(FOX, score=0.5), answered_box(FOX, score=0.9)]
    changed = Thresholds("t.csv", {"red fox": 0.8}).apply(record("a.jpg", FOX, 0.9, boxes=boxes))
    assert [box.get("prediction") for box in changed.get("detections", ())] == [ANIMAL, FOX]
    assert boxes[0].get("prediction") == FOX  # the record that was passed is unchanged


def test_answers_of_people_stay() -> None:
    one = record("a.jpg", FOX, 0.1, prediction_source="review")
    assert Thresholds("t.csv", {"red fox": 0.8}).apply(one) == one


def test_tables_name_species_in_any_way(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f'Species;Threshold;label\nred fox;0.5;"{FOX}"\nSus scrofa;0.7;\nBear;;\n')
    assert read_thresholds(str(path)).by_name == {"vulpes vulpes": 0.5, "sus scrofa": 0.7}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not contain thresholds"),
        ("file,label\na.jpg,fox\n", "does not contain thresholds"),
        ("species,threshold\nfox,high\n", "Line 2 of .*'high'; it must be a number from 0 to 1"),
        ("species,threshold\nfox,1.5\n", "from 0 to 1"),
        ("species,threshold\n,0.5\n", "does not name a species"),
        ("species,threshold\nfox,\n", "has no thresholds"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_thresholds(str(path))
