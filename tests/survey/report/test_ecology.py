from __future__ import annotations

from pathlib import Path

import pytest
from known_survey import SURVEY
from surveys import BLANK, FOX, correction, record, survey_of, write_predictions

from speciesnet.files.moved_photographs import Photographs
from speciesnet.survey.report.ecology import MAX_ROWS, EcologyPage, ecology_page
from speciesnet.survey.report.site import write_report


def page_of(folder: Path, *records: object, **options: object) -> EcologyPage:
    page = ecology_page(survey_of(folder, *records or SURVEY, **options))  # type: ignore[arg-type]
    assert page is not None
    return page


def test_rates_and_hours(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    assert (page.nights, page.stations, page.undated) == (9, 2, 0)
    fox, deer = page.rates
    assert (fox.taxon, fox.common, fox.events, fox.stations) == ("Vulpes vulpes", "red fox", 3, 2)
    assert fox.rate == pytest.approx(100 / 3)
    assert [(hour, cell) for hour, cell in enumerate(fox.hours) if cell[0]] == [
        (1, (1, 4)),
        (22, (1, 4)),
        (23, (1, 4)),
    ]
    assert deer.hours[6] == (1, 4)
    assert [one.species for one in page.curve] == [1.5, 2]


def test_corrections_are_applied(tmp_path: Path) -> None:
    page = page_of(tmp_path, corrections=[correction("/survey/cam1/4.jpg", BLANK)])
    assert [one.taxon for one in page.rates] == ["Vulpes vulpes"]


def test_a_survey_without_dated_animals_has_no_page(tmp_path: Path) -> None:
    assert ecology_page(survey_of(tmp_path, record("cam1/a.jpg", FOX))) is None


def test_intervals_and_densities(tmp_path: Path) -> None:
    records = [
        record(f"cam{n % 3}/{n}.jpg", FOX, taken=f"2024-05-{n + 1:02}T{n % 4:02}:00:00")
        for n in range(12)
    ]
    page = page_of(tmp_path, *records)
    (point,) = page.points
    assert point.interval is not None and point.interval[0] < point.rate < point.interval[1]
    (curve,) = page.activity
    assert (curve.name, sum(curve.hours)) == ("red fox", 12)
    assert max(curve.density, key=lambda one: one[1])[0] == pytest.approx(1.5, abs=0.3)
    assert (page.days[-1].samples, page.days[-1].species) == (30, 1)
    survey = survey_of(tmp_path, *records)
    write_report(survey, tmp_path / "report", Photographs())
    svg = (tmp_path / "report" / "plots" / "activity-by-time-of-day.svg").read_text()
    assert "red fox (12)" in svg


def test_long_curves_are_thinned_out(tmp_path: Path) -> None:
    records = [
        record(f"cam{n}/a.jpg", FOX, taken="2024-05-01T06:00:00") for n in range(3 * MAX_ROWS)
    ]
    numbers = page_of(tmp_path, *records).numbers
    assert len(numbers) <= MAX_ROWS + 1
    assert (numbers[0].samples, numbers[-1].samples) == (1, 3 * MAX_ROWS)


def test_the_report_has_the_page(tmp_path: Path) -> None:
    write_predictions(tmp_path / "predictions.json", *SURVEY)
    survey = survey_of(tmp_path, *SURVEY)
    out = tmp_path / "report"
    write_report(survey, out, Photographs())
    text = (out / "ecology.html").read_text(encoding="utf-8")
    assert "9 trap nights for 2 cameras" in text
    assert '<th scope="row"><i>Vulpes vulpes</i></th>' in text
    for name in (
        "detection-rates",
        "species-by-the-number-of-cameras",
        "species-by-the-number-of-camera-days",
    ):
        assert f'href="plots/{name}.svg"' in text and (out / "plots" / f"{name}.svg").is_file()
    assert "activity-by-time-of-day" not in text  # too few events
    assert "ecology.html" in (out / "index.html").read_text(encoding="utf-8")
