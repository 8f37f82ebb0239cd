from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from reviews import IMAGES
from surveys import (
    BLANK,
    BOAR,
    DEER,
    FOX,
    HUMAN,
    LABELS,
    UNKNOWN,
    answered_box,
    box,
    record,
    survey_of,
)

from speciesnet.files.moved_photographs import Photographs
from speciesnet.survey.box_corrections import BoxCorrection
from speciesnet.survey.corrections import Correction
from speciesnet.survey.report.site import write_report
from speciesnet.survey.survey import Survey

NewPage = Callable[..., Page]

ANIMAL, VEHICLE = "1f689929-883d-4dae-958c-3d57ab5b6c16;;;;;;animal", LABELS["vehicle"]
LEFT, RIGHT, NEW = (0.1, 0.1, 0.2, 0.2), (0.6, 0.1, 0.2, 0.2), (0.3, 0.5, 0.4, 0.4)

WALK = [
    answered_box(DEER, bbox=LEFT, conf=0.95),
    answered_box(HUMAN, "human", bbox=RIGHT, conf=0.6),
]
DOUBTFUL = [
    answered_box(UNKNOWN, bbox=LEFT), answered_box(BLANK, bbox=RIGHT, conf=0.5),
    answered_box(FOX, bbox=NEW, conf=0.19), box("human", 0.3),
]  # fmt: skip
PLAIN = [box(bbox=LEFT), box(bbox=RIGHT, conf=0.3), box("human", 0.5), box("vehicle", 0.1)]
CROWDED = [  # three of one individual, then a person in a vehicle
    answered_box(LABELS["mammal"], bbox=LEFT, score=0.95),
    answered_box(DEER, bbox=(0.11, 0.1, 0.2, 0.2), conf=0.5, score=0.7),
    box("vehicle", 0.4, LEFT),
    answered_box(HUMAN, "human", bbox=RIGHT, conf=0.35),
    answered_box(VEHICLE, "vehicle", bbox=RIGHT, conf=0.3),
]
FOLLOWING = [
    answered_box(DEER, bbox=LEFT, score=0.95),
    answered_box(LABELS["mammal"], bbox=RIGHT, conf=0.5, score=0.7) | {
        "classifications": {"classes": [DEER, FOX], "scores": [0.5, 0.1]},
        "prediction_source": "classifier+rollup_to_class",
    },
]  # fmt: skip
# The boxes and the predicted answer of images, and what a reviewer says about them.
CASES: list[tuple[Any, str, str | None, list[tuple[Any, str | None]], dict[str, int] | None]] = [
    (WALK, DEER, None, [], None),
    (WALK, DEER, BOAR, [], None),
    (WALK, DEER, BLANK, [], None),
    (WALK, DEER, None, [(LEFT, BOAR)], None),
    (WALK, DEER, BOAR, [(LEFT, DEER)], None),
    (WALK, DEER, None, [(LEFT, None), (RIGHT, None)], None),
    (WALK, DEER, None, [(RIGHT, BLANK), (NEW, FOX), (NEW, DEER)], None),
    (WALK, DEER, None, [(NEW, FOX), (NEW, None)], None),
    (WALK, DEER, None, [], {DEER: 2, FOX: 7, BOAR: 0}),
    (WALK, DEER, FOX, [(LEFT, HUMAN)], {}),
    (DOUBTFUL, FOX, None, [], None),
    (DOUBTFUL, UNKNOWN, None, [(LEFT, VEHICLE)], None),
    (PLAIN, FOX, None, [], None),
    (PLAIN, FOX, BLANK, [], None),
    (PLAIN, FOX, HUMAN, [], None),
    (PLAIN, FOX, None, [(RIGHT, DEER)], None),
    (PLAIN, HUMAN, None, [(LEFT, UNKNOWN)], None),
    ([], BLANK, None, [], None),
    ([], BLANK, FOX, [], None),
    ([], FOX, None, [], None),
    ([], BLANK, None, [(NEW, DEER), (LEFT, DEER)], None),
    ([box(conf=0.1)], ANIMAL, None, [], None),
    (PLAIN, BLANK, None, [], None),
    ([box(), box("human", 0.19)], HUMAN, None, [], None),
    ([box(bbox=LEFT)], HUMAN, None, [(NEW, HUMAN)], None),
    ([answered_box(BLANK), box()], BLANK, None, [], None),
    ([answered_box(FOX), box()], FOX, BLANK, [], None),
    (CROWDED, DEER, None, [], None),
    (CROWDED, DEER, FOX, [], None),
    (CROWDED, LABELS["mammal"], FOX, [], None),
    (CROWDED, VEHICLE, None, [((0.11, 0.1, 0.2, 0.2), None)], None),
    (CROWDED, DEER, None, [(LEFT, FOX), (RIGHT, VEHICLE)], None),
    (CROWDED, DEER, None, [((0.12, 0.1, 0.2, 0.2), DEER), (LEFT, DEER)], None),
    ([box(bbox=LEFT), box("human", 0.5, LEFT)], FOX, None, [], None),
    (FOLLOWING, DEER, None, [], None),
    (FOLLOWING, DEER, FOX, [], None),
    (FOLLOWING, DEER, BLANK, [], None),
    (FOLLOWING, DEER, FOX, [(NEW, DEER)], None),
    (FOLLOWING, FOX, DEER, [(RIGHT, BOAR)], None),
    (FOLLOWING, DEER, None, [(LEFT, None), (NEW, BOAR)], None),
]


def survey_of_cases(folder: Path) -> Survey:
    records, corrections = [], []
    for number, (boxes, predicted, label, answers, counts) in enumerate(CASES):
        path = folder / "s" / f"{number:02d}.jpg"
        path.parent.mkdir(exist_ok=True)
        shutil.copyfile(IMAGES[number % len(IMAGES)], path)
        records.append(record(path, predicted, boxes=boxes))
        boxed = tuple(BoxCorrection(*one) for one in answers)
        at = "2026-05-01T06:30:00+00:00"
        one = Correction(str(path), label, predicted, at, "", boxed, counts)
        corrections += [] if one.is_empty else [one]
    return survey_of(folder, *records, corrections=corrections)


def test_pages_and_exports_have_the_same_boxes_counts_and_answers(
    tmp_path: Path, new_page: NewPage
) -> None:
    survey = survey_of_cases(tmp_path)
    write_report(survey, tmp_path / "pages", Photographs())
    page = new_page((tmp_path / "pages" / "gallery.html").as_uri())
    expect(page.locator("#count")).to_have_text(f"{len(CASES)} of {len(CASES)} images")
    found = page.evaluate(
        """pictures.map((picture) => {
            const text = (label) => SURVEY.labels[label]?.text ?? label;
            return {
                boxes: boxesOf(picture).map((one) => [one.number, one.kind, text(one.label), one.conf]),
                counts: [...countsOf(picture)].map(([label, count]) => [text(label), count]),
                answers: answersOf(picture).map(text),
            };
        })"""
    )
    kinds = {"human": HUMAN, "vehicle": VEHICLE, "animal": ANIMAL}  # which a page may not number
    for number, (picture, one) in enumerate(zip(survey.pictures, found, strict=True)):
        boxes = [[i, b.kind, b.label or -1, b.conf] for i, b in picture.numbered_boxes]
        assert one["boxes"] == boxes, number
        counts = {kinds.get(label, label): count for label, count in one["counts"]}
        assert counts == picture.counts, number
        assert set(one["answers"]) - {-1} == set(picture.answers), number


def test_image_is_found_under_each_of_its_answers(tmp_path: Path, new_page: NewPage) -> None:
    paths = [tmp_path / name for name in ("walk.jpg", "deer.jpg")]
    for path, image in zip(paths, IMAGES, strict=False):
        shutil.copyfile(image, path)
    survey = survey_of(tmp_path, record(paths[0], DEER, boxes=WALK), record(paths[1], DEER))
    write_report(survey, tmp_path / "pages", Photographs())
    page = new_page((tmp_path / "pages" / "gallery.html").as_uri())
    for name, option, count in (
        ("label", "white-tailed deer (2)", 2), ("label", "human (1)", 1),
        ("category", "human (1)", 1), ("category", "animal (2)", 2),
    ):  # fmt: skip
        page.locator(f"select[name={name}]").select_option(label=option)
        expect(page.locator(".card")).to_have_count(count)
        page.locator("#clear-filters").click()
    page.fill("[name=text]", "human")
    expect(page.locator(".card .name")).to_have_text("white-tailed deer, human")
    page.locator(".card").click()
    expect(page.locator("#view .tag")).to_have_text(["white-tailed deer 0.90", "human 0.90"])
    individuals = page.locator("#facts dt:has-text('Individuals') + dd")
    expect(individuals).to_have_text("1 \N{MULTIPLICATION SIGN} white-tailed deer, "
                                     "1 \N{MULTIPLICATION SIGN} human")  # fmt: skip
    page.goto((tmp_path / "pages" / "species-human.html").as_uri())
    expect(page.locator(".card")).to_have_count(1)
    expect(page.locator("main")).to_contain_text("at most 1 in one image")
    page.goto((tmp_path / "pages" / "index.html").as_uri())
    expect(page.locator(".tiles")).to_contain_text("1 people")
    page.locator(".tiles a", has_text="people").click()
    expect(page.locator(".card")).to_have_count(1)


@pytest.mark.parametrize("width", [390, 1280])
def test_long_names_stay_inside_the_picture(tmp_path: Path, new_page: NewPage, width: int) -> None:
    path = tmp_path / "a.jpg"
    shutil.copyfile(IMAGES[0], path)
    boxes = [
        answered_box(DEER, bbox=(x, y, 0.05, 0.1)) for x in (0.0, 0.45, 0.95) for y in (0.0, 0.9)
    ]
    write_report(
        survey_of(tmp_path, record(path, DEER, boxes=boxes)), tmp_path / "p", Photographs()
    )
    page = new_page(
        (tmp_path / "p" / "gallery.html").as_uri(), viewport={"width": width, "height": 844}
    )
    page.locator(".card").click()
    expect(page.locator("#view .tag")).to_have_count(6)
    assert page.locator("#viewer").evaluate("it => it.scrollWidth <= it.clientWidth")
    outside = page.evaluate(
        """[...document.querySelectorAll("#view .tag")].filter((tag) => {
            const own = tag.getBoundingClientRect();
            const frame = tag.closest(".frame").getBoundingClientRect();
            return own.left < frame.left - 3 || own.right > frame.right + 3 || own.top < frame.top - 3;
        }).length"""
    )
    assert outside == 0


def test_data_of_a_survey_without_answers_of_boxes_have_no_new_columns(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, record("s/a.jpg", boxes=PLAIN))
    write_report(survey, tmp_path / "pages", Photographs())
    text = (tmp_path / "pages" / "data" / "pictures-0.js").read_text(encoding="ascii")
    _, columns, (row,) = json.loads(f"[{text.removeprefix('addPictures(').removesuffix(')')}]")
    assert len(columns) == 18
    assert {len(one) for one in row[columns.index("boxes")]} == {6}
