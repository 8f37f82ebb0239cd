from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from barriers import check_on_phone
from playwright.sync_api import Page, expect
from surveys import BLANK, DEER, FOX, MODEL, record, survey_of

from speciesnet.files.moved_photographs import Photographs
from speciesnet.survey.evaluation.labels import Written, WrittenLabels
from speciesnet.survey.evaluation.pairs import pair_up
from speciesnet.survey.evaluation.result import evaluate
from speciesnet.survey.report.evaluation import write_evaluation

NewPage = Callable[..., Page]
IMAGES = sorted((MODEL.parent / "images").rglob("*.jpg"))
ANSWERS = [(FOX, "red fox")] * 3 + [(DEER, "red fox"), (BLANK, "blank"), (FOX, "blank")]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages about three foxes, a fox called deer, a blank, and a fox in a blank."""
    folder = tmp_path_factory.mktemp("evaluation")
    records, labels = [], WrittenLabels("labels.csv")
    for number, (answer, label) in enumerate(ANSWERS):
        path = folder / f"{number}.jpg"
        shutil.copyfile(IMAGES[number], path)
        records.append(record(path, answer))
        labels.add(str(path), Written((label,), 1, ""))
    survey = survey_of(folder, *records)
    result = evaluate(survey, pair_up(survey, labels))
    return write_evaluation(survey, result, folder / "pages", Photographs()).parent


def test_number_leads_to_its_photographs(new_page: NewPage, pages: Path) -> None:
    page = new_page((pages / "index.html").as_uri())
    page.get_by_role("link", name="red fox identified as white-tailed deer").click()
    expect(page.locator("#count")).to_have_text("1 of 6 images")
    expect(page.get_by_label("Label and answer")).to_have_value("0-2")
    page.locator(".card").click()
    expect(page.locator("#facts")).to_contain_text("red fox (the answer: wrong)")


def test_results_are_filters(new_page: NewPage, pages: Path) -> None:
    page = new_page((pages / "gallery.html").as_uri())
    page.get_by_label("Result").select_option("wrong")
    expect(page.locator("#count")).to_have_text("2 of 6 images")
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator("#count")).to_have_text("6 of 6 images")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index.html", "gallery.html"])
def test_pages_fit_a_phone_and_have_no_barriers(
    name: str, scheme: str, new_page: NewPage, pages: Path
) -> None:
    check_on_phone(new_page, (pages / name).as_uri(), scheme)
