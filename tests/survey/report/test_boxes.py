"""Boxes with their own answers in reports: data of the pages, species, blurring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from surveys import BLANK, BOAR, DEER, FOX, HUMAN, UNKNOWN, answered_box, box, record, survey_of

from speciesnet.survey.box_corrections import BoxCorrection
from speciesnet.survey.corrections import Correction
from speciesnet.survey.report.payload import Payload, categories_of_picture
from speciesnet.survey.report.species import Species, group_by_species
from speciesnet.survey.report.thumbnails import Preview, people_of
from speciesnet.survey.survey import Survey

LEFT, RIGHT, NEW = (0.1, 0.1, 0.2, 0.2), (0.6, 0.1, 0.2, 0.2), (0.3, 0.5, 0.4, 0.4)
WALK = record(
    "s/walk.jpg",
    DEER,
    boxes=[
        answered_box(DEER, bbox=LEFT, conf=0.95),
        answered_box(HUMAN, "human", 0.8, bbox=RIGHT, conf=0.6),
        answered_box(FOX, bbox=NEW, conf=0.15),
    ],
)


def corrected(
    path: str,
    label: str | None = None,
    *boxes: tuple[Any, str | None],
    counts: dict[str, int] | None = None,
    predicted: str = DEER,
) -> Correction:
    answers = tuple(BoxCorrection(*one) for one in boxes)
    return Correction(path, label, predicted, "2026-05-01T06:30:00+00:00", "", answers, counts)


def chunk(survey: Survey) -> tuple[list[str], list[list[Any]]]:
    """The columns and the rows of the first script."""
    text = Payload(survey, "report").chunk(0, lambda _: Preview())
    _, columns, rows = json.loads(f"[{text.removeprefix('addPictures(').removesuffix(')')}]")
    return columns, rows


def species_of(survey: Survey) -> dict[str, Species]:
    return {one.label: one for one in group_by_species(survey, [Preview()] * len(survey.pictures))}


def test_boxes_have_their_answers_in_the_data(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, WALK)
    columns, (row,) = chunk(survey)
    header = json.loads(Payload(survey, "report").header().removeprefix("const SURVEY = "))
    texts = [label["text"] for label in header["labels"]]
    boxes = row[columns.index("boxes")]
    assert [(one[:2], texts[one[6]], one[7]) for one in boxes] == [
        (["animal", 0.95], DEER, 0.9), (["human", 0.6], HUMAN, 0.8), (["animal", 0.15], FOX, 0.9),
    ]  # fmt: skip
    assert "corrected" not in columns


def test_corrected_boxes_and_counts_are_in_the_data(tmp_path: Path) -> None:
    correction = corrected("s/walk.jpg", None, (RIGHT, None), (NEW, BOAR), counts={DEER: 4})
    survey = survey_of(tmp_path, WALK, record("s/b.jpg"), corrections=[correction])
    columns, rows = chunk(survey)
    values = rows[0][columns.index("corrected")]
    assert [one[:4] for one in values["boxes"]] == [list(RIGHT), list(NEW)]
    assert values["boxes"][0][4] == -1
    assert [count for _, count in values["counts"]] == [4]
    assert rows[1][columns.index("corrected")] is None
    assert -1 not in (values["boxes"][1][4], values["counts"][0][0])


def test_answers_of_boxes_make_the_data_a_quarter_larger_at_most(tmp_path: Path) -> None:
    def record_with(answered: bool, number: int) -> Any:
        sides = [[0.1234 + i / 10, 0.2345, 0.1111, 0.3333] for i in range(3)]
        boxes = [answered_box(DEER, bbox=one, conf=0.9123, score=0.9321) if answered
                 else box(bbox=one, conf=0.9123) for one in sides]  # fmt: skip
        classes = dict(zip([DEER, FOX, BOAR, HUMAN, BLANK], [0.9321, 0.0234, 0.0121, 0.01, 0.009],
                           strict=True))  # fmt: skip
        return record(f"s/IMG_{number:04d}.JPG", DEER, 0.9321, boxes=boxes, classes=classes)

    sizes = []
    for answered in (False, True):
        survey = survey_of(tmp_path, *(record_with(answered, i) for i in range(200)))
        sizes.append(
            len(Payload(survey, "report").chunk(0, lambda _: Preview("aa/0123456789.jpg")))
        )
    assert sizes[1] <= 1.25 * sizes[0]


def test_image_is_under_each_of_its_answers(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, WALK, record("s/b.jpg", DEER, boxes=[box(), box("human", 0.5)]))
    first, second = survey.pictures
    assert first.answers == (DEER, HUMAN)
    assert categories_of_picture(first) == ("animal", "human")
    assert second.answers == (DEER,)  # as in a run without answers of boxes
    assert second.counts == {DEER: 1, HUMAN: 1}
    found = species_of(survey)
    assert (found[DEER].count, found[HUMAN].count) == (2, 1)
    assert found[HUMAN].mean == pytest.approx(0.8)
    assert found[DEER].mean == pytest.approx(0.9)


def test_individuals_are_the_largest_number_of_each_sequence(tmp_path: Path) -> None:
    at, later = "2024-05-01T06:30:00", "2024-05-01T09:30:00"

    def herd(name: str, count: int, taken: str) -> Any:
        boxes = [answered_box(DEER, bbox=(i / 10, 0.1, 0.1, 0.2)) for i in range(count)]
        return record(f"s/{name}.jpg", DEER, boxes=boxes, taken=taken)

    survey = survey_of(
        tmp_path, herd("a", 2, at), herd("b", 5, at), herd("c", 1, at), herd("d", 3, later),
        record("s/e.jpg", UNKNOWN, boxes=[]),
    )  # fmt: skip
    found = species_of(survey)
    assert (found[DEER].most, found[DEER].individuals) == (5, 8)
    assert (found[UNKNOWN].most, found[UNKNOWN].individuals) == (0, 0)


def test_boxes_after_a_review(tmp_path: Path) -> None:
    correction = corrected("s/walk.jpg", None, (LEFT, None), (RIGHT, BOAR), ((0, 0, 0.1, 0.1), FOX))
    (picture,) = survey_of(tmp_path, WALK, corrections=[correction]).pictures
    found = [(number, one.label, one.kind) for number, one in picture.numbered_boxes]
    assert found == [(2, BOAR, "animal"), (3, FOX, "animal"), (4, FOX, "animal")]
    assert picture.counts == {FOX: 1, BOAR: 1}
    assert picture.answers == (DEER, FOX, BOAR)


def test_counts_of_a_reviewer_are_answers(tmp_path: Path) -> None:
    correction = corrected("s/b.jpg", counts={DEER: 12, BOAR: 0, FOX: 1})
    (picture,) = survey_of(tmp_path, record("s/b.jpg", DEER), corrections=[correction]).pictures
    assert picture.counts == {DEER: 12, FOX: 1}
    assert picture.answers == (DEER, FOX)


def test_failed_image_has_no_counts_of_its_classes(tmp_path: Path) -> None:
    failed = {"filepath": "a.jpg", "failures": ["DETECTOR"],
              "classifications": {"classes": [FOX], "scores": [0.9]}}  # fmt: skip
    (picture,) = survey_of(tmp_path, failed).pictures
    assert (picture.counts, picture.answers) == ({}, ())


@pytest.mark.parametrize(
    ("correction", "areas"),
    [
        (corrected("s/walk.jpg", None), [RIGHT]),
        (corrected("s/walk.jpg", None, (RIGHT, BOAR)), []),
        (corrected("s/walk.jpg", None, (RIGHT, None)), []),
        (corrected("s/walk.jpg", None, (LEFT, HUMAN)), [LEFT, RIGHT]),
        (corrected("s/walk.jpg", None, ((0.0, 0.0, 0.1, 0.1), HUMAN)), [(0.0, 0.0, 0.1, 0.1), RIGHT]),
    ],
)  # fmt: skip
def test_people_are_blurred_in_corrected_boxes(
    tmp_path: Path, correction: Correction, areas: list[Any]
) -> None:
    (picture,) = survey_of(tmp_path, WALK, corrections=[correction]).pictures
    assert people_of(picture) == tuple(pytest.approx((x, y, x + w, y + h)) for x, y, w, h in areas)


def test_animal_box_that_shows_a_person_is_blurred(tmp_path: Path) -> None:
    boxes = [box(bbox=LEFT), answered_box(HUMAN, "animal", bbox=RIGHT)]
    (picture,) = survey_of(tmp_path, record("a.jpg", DEER, boxes=boxes)).pictures
    assert people_of(picture) == (pytest.approx((0.6, 0.1, 0.8, 0.3)),)


def test_person_taken_for_an_animal_in_all_boxes_is_not_blurred(tmp_path: Path) -> None:
    person = record("a.jpg", HUMAN, boxes=[box("human", bbox=LEFT)])
    correction = corrected("a.jpg", DEER, (LEFT, DEER), predicted=HUMAN)
    (picture,) = survey_of(tmp_path, person, corrections=[correction]).pictures
    assert people_of(picture) == ()
