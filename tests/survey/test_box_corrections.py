from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from surveys import BLANK, DEER, FOX

from speciesnet.constants import Classification
from speciesnet.records import Box, Record
from speciesnet.survey.box_corrections import BoxCorrection, with_box_corrections
from speciesnet.survey.corrections import (
    Correction,
    CorrectionsFile,
    corrected,
    read_corrections,
)

LEFT, RIGHT, NEW = (0.1, 0.1, 0.2, 0.2), (0.6, 0.1, 0.2, 0.2), (0.3, 0.5, 0.4, 0.4)
AT = "2026-05-01T06:30:00+00:00"


def box(bbox: Any = LEFT, conf: float = 0.9, answer: str = DEER) -> Box:
    return {
        "category": "1", "label": "animal", "conf": conf, "bbox": list(bbox),
        "classifications": {"classes": [answer], "scores": [0.9]},
        "prediction": answer, "prediction_score": 0.9, "prediction_source": "classifier",
    }  # fmt: skip


def after(*corrections: BoxCorrection) -> list[tuple[str, str | None, float]]:
    found = with_box_corrections([box(), box(RIGHT, 0.5)], corrections, "review")
    return [(one["label"], one.get("prediction"), one["conf"]) for one in found]


def test_a_box_gets_another_answer() -> None:
    assert after(BoxCorrection(RIGHT, FOX)) == [("animal", DEER, 0.9), ("animal", FOX, 0.5)]


def test_the_kind_of_a_box_follows_its_answer() -> None:
    human = Classification.HUMAN.value
    assert after(BoxCorrection(LEFT, human)) == [("human", human, 0.9), ("animal", DEER, 0.5)]


@pytest.mark.parametrize("nothing", [None, BLANK])
def test_a_false_box_is_removed(nothing: str | None) -> None:
    assert after(BoxCorrection(LEFT, nothing)) == [("animal", DEER, 0.5)]


def test_a_missed_animal_is_added() -> None:
    assert after(BoxCorrection(NEW, FOX))[0] == ("animal", FOX, 1.0)
    assert len(after(BoxCorrection(NEW, FOX))) == 3


def test_the_last_correction_of_a_box_counts() -> None:
    changed = after(BoxCorrection(NEW, FOX), BoxCorrection(NEW, DEER), BoxCorrection(LEFT, None))
    assert changed == [("animal", DEER, 1.0), ("animal", DEER, 0.5)]


def test_removing_an_added_box_leaves_the_others() -> None:
    assert len(after(BoxCorrection(NEW, FOX), BoxCorrection(NEW, None))) == 2


def image(*boxes: Box) -> Record:
    return {
        "filepath": "a.jpg", "detections": list(boxes), "prediction": DEER,
        "prediction_score": 0.9, "prediction_source": "classifier",
    }  # fmt: skip


def reviewed(record: Record, **values: Any) -> Record:
    values = {"label": None, "predicted": DEER, "at": AT, **values}
    (found,) = corrected([record], {"a.jpg": Correction("a.jpg", **values)})
    return found


def test_boxes_can_be_corrected_without_the_image() -> None:
    record = reviewed(image(box(), box(RIGHT)), boxes=(BoxCorrection(RIGHT, FOX),))
    assert record.get("prediction") == DEER and "review" not in record
    assert [one.get("prediction") for one in record.get("detections", ())] == [DEER, FOX]


def test_boxes_with_the_answer_of_the_image_follow_its_correction() -> None:
    record = reviewed(image(box(), box(RIGHT, answer=BLANK)), label=FOX)
    assert [one.get("prediction") for one in record.get("detections", ())] == [FOX, BLANK]


def test_nothing_is_in_the_boxes_of_a_blank_image() -> None:
    record = reviewed(image(box(), box(RIGHT, answer=FOX)), label=BLANK)
    assert [one.get("prediction") for one in record.get("detections", ())] == [BLANK, BLANK]


def test_corrections_of_boxes_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "p.json.corrections.jsonl"
    whole = Correction(
        "a.jpg", None, DEER, AT, boxes=(BoxCorrection(NEW, FOX),), counts={FOX: 3, DEER: 0}
    )
    plain = Correction("b.jpg", FOX, DEER, AT, "Jane")
    with CorrectionsFile(path) as file:
        file.add([whole, plain])
    assert read_corrections(path) == {"a.jpg": whole, "b.jpg": plain}
    assert json.loads(path.read_text().splitlines()[1]) == {
        "filepath": "b.jpg", "label": FOX, "predicted": DEER, "at": AT, "reviewer": "Jane",
    }  # fmt: skip


def test_an_empty_correction_withdraws_those_of_boxes(tmp_path: Path) -> None:
    path = tmp_path / "p.json.corrections.jsonl"
    with CorrectionsFile(path) as file:
        file.add([Correction("a.jpg", None, DEER, AT, boxes=(BoxCorrection(LEFT, None),))])
        file.add([Correction("a.jpg", None, DEER, AT)])
    assert read_corrections(path) == {}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"boxes": [{"bbox": [0.9, 0, 0.5, 0.1], "label": FOX}]}, "not inside its image"),
        ({"boxes": [{"bbox": [0, 0, 0.5, 0.1], "label": "fox"}]}, "does not have 7 parts"),
        ({"boxes": [{"label": FOX}]}, "not an object with a bbox"),
        ({"counts": {FOX: -1}}, "not whole numbers"),
    ],
)
def test_damaged_corrections_of_boxes_are_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, values: dict[str, Any], words: str
) -> None:
    path = tmp_path / "p.json.corrections.jsonl"
    line = {"filepath": "a.jpg", "label": None, "predicted": DEER, "at": AT, **values}
    path.write_text(json.dumps(line) + "\n")
    assert read_corrections(path) == {}
    assert words in caplog.text
