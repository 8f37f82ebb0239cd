"""Reports and tables smooth the boxes; the predictions and reviews do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from commands import run_here
from surveys import BOAR, DEER, FOX, LABELS, box, record, survey_of, write_predictions

from speciesnet.records import Box
from speciesnet.survey.box_corrections import BoxCorrection
from speciesnet.survey.corrections import Correction
from speciesnet.survey.survey import Survey

MAMMAL = LABELS["mammal"]
SIDES = (0.2, 0.3, 0.4, 0.5)


def answered(label: str, score: float, source: str = "classifier", **scores: float) -> Box:
    best_first = sorted(scores.items(), key=lambda item: -item[1])
    classes = {LABELS[name.replace("_", " ")]: value for name, value in best_first}
    classes = classes or {label: score}
    return {
        **box(bbox=SIDES),
        "classifications": {"classes": [*classes], "scores": [*classes.values()]},
        "prediction": label,
        "prediction_score": score,
        "prediction_source": source,
    }


def doubtful() -> Box:
    return answered(
        MAMMAL, 0.8, "classifier+rollup_to_class", red_fox=0.1, wild_boar=0.6, blank=0.2
    )


def herd() -> list[dict[str, Any]]:
    return [
        {**record("cam/1.jpg", BOAR, taken="2024-05-01T06:30:00",
                  boxes=[answered(BOAR, 0.95), answered(FOX, 0.9)])},
        {**record("cam/2.jpg", BOAR, taken="2024-05-01T06:30:02",
                  boxes=[{**answered(BOAR, 0.95), "bbox": [0.6, 0.1, 0.2, 0.2]}, doubtful()])},
    ]  # fmt: skip


def boxes_of(survey: Survey, position: int = 1) -> list[tuple[str | None, str | None]]:
    return [(one.label, one.source) for one in survey.pictures[position].shown_boxes]


def test_a_doubtful_box_follows_within_its_sequence(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, *herd())
    source = "classifier+rollup_to_class+sequence"
    assert boxes_of(survey) == [(BOAR, "classifier"), (BOAR, source)]
    assert survey.pictures[1].counts == {BOAR: 2}
    (sequence,) = survey.sequences
    assert survey.counts_of(sequence) == {BOAR: 2, FOX: 1}


def test_smoothing_can_be_switched_off(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, *herd(), smooth_boxes=False)
    assert boxes_of(survey)[1] == (MAMMAL, "classifier+rollup_to_class")
    assert survey.pictures[1].counts == {BOAR: 1, MAMMAL: 1}
    assert survey.followers == 1


def test_boxes_of_other_sequences_and_cameras_have_no_influence(tmp_path: Path) -> None:
    first, second = herd()
    for changes in ({"metadata": {"datetime": "2024-05-01T09:00:00"}}, {"filepath": "b/2.jpg"}):
        alone = second | changes
        alone["detections"] = [doubtful()]
        assert boxes_of(survey_of(tmp_path, first, alone))[0][0] == MAMMAL


def test_a_correction_decides_again_on_the_boxes_of_its_sequence(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, *herd())
    fix = BoxCorrection(SIDES, DEER)
    moment = "2024-05-02T08:00:00+00:00"
    survey.apply_corrections(
        {"cam/2.jpg": Correction("cam/2.jpg", None, BOAR, moment, boxes=(fix,))}
    )
    assert (DEER, "review") in boxes_of(survey)
    blank = LABELS["blank"]
    survey.apply_corrections({"cam/2.jpg": Correction("cam/2.jpg", blank, BOAR, moment)})
    assert {label for label, _ in boxes_of(survey)} == {blank}, "the whole image is"
    survey.apply_corrections({})
    assert boxes_of(survey)[1][0] == BOAR


def test_the_answer_of_the_sequence_does_not_depend_on_smoothing(tmp_path: Path) -> None:
    on, off = (survey_of(tmp_path, *herd(), smooth_boxes=smooth) for smooth in (True, False))
    assert on.sequences[0].answer == off.sequences[0].answer


def test_without_answers_of_boxes_nothing_changes(tmp_path: Path) -> None:
    records = [record(f"cam/{n}.jpg", FOX, taken="2024-05-01T06:30:00") for n in range(3)]
    survey = survey_of(tmp_path, *records)
    assert all(picture.smoothed == {} for picture in survey.pictures)


def test_more_classes_than_five_and_empty_ones_are_read(tmp_path: Path) -> None:
    first, second = herd()
    many = dict.fromkeys(list(LABELS.values())[5:20], 0.01) | {BOAR: 0.5}
    best = sorted(many, key=lambda label: -many[label])
    boxes: list[Box] = [
        {**doubtful(), "classifications": {"classes": best, "scores": [many[x] for x in best]}},
        {**doubtful(), "classifications": {"classes": [], "scores": []}},
    ]
    survey = survey_of(tmp_path, first, second | {"detections": boxes})
    assert [label for label, _ in boxes_of(survey)] == [BOAR, MAMMAL]


@pytest.mark.parametrize("flags", [[], ["--nosmooth_boxes"]])
def test_reports_have_a_flag_for_it(tmp_path: Path, flags: list[str]) -> None:
    predictions = write_predictions(tmp_path / "p.json", *herd())
    before = predictions.read_bytes()
    run_here("report", str(predictions), "--out", str(tmp_path / "report"), *flags)
    pages = "".join(p.read_text(encoding="utf-8") for p in (tmp_path / "report").rglob("*.html"))
    assert ("mammal" in pages) == bool(flags)
    assert predictions.read_bytes() == before
