"""The page for ecologists of a report, in a browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from barriers import check_on_phone
from playwright.sync_api import Page, expect
from surveys import BOAR, DEER, FOX, record, survey_of

from speciesnet.files.moved_photographs import Photographs
from speciesnet.survey.report.site import write_report

NewPage = Callable[..., Page]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three cameras in May: foxes at night at all of them, deer in the morning at two, one boar."""
    folder = tmp_path_factory.mktemp("ecology")
    seen = [(FOX, camera, day, 18 + day % 6) for camera in range(3) for day in range(1, 29, 2)]
    seen += [(DEER, camera, day, 5 + day % 4) for camera in range(2) for day in range(1, 29, 3)]
    seen += [(BOAR, 2, 14, 12)]
    records = [
        record(f"cam{camera}/{label[-4:]}{day}.jpg", label,
               taken=f"2024-05-{day:02}T{hour:02}:{day:02}:00")
        for label, camera, day, hour in seen
    ]  # fmt: skip
    write_report(survey_of(folder, *records), folder / "report", Photographs())
    return (folder / "report" / "ecology.html").as_uri()


def test_page_shows_plots_and_their_numbers(address: str, new_page: NewPage) -> None:
    page = new_page(address)
    expect(page.get_by_role("heading", level=1)).to_have_text("Ecology")
    figures = page.locator("figure.plot")
    expect(figures).to_have_count(4)
    for name, words in {
        "Detection rates": [
            "red fox",
            "white-tailed deer",
            "wild boar",
            "events per 100 trap nights",
        ],
        "Activity by time of day": ["red fox (42)", "white-tailed deer (20)", "12:00"],
        "Species by the number of cameras": ["species", "cameras"],
        "Species by the number of camera days": ["camera days"],
    }.items():
        plot = page.get_by_role("img", name=name, exact=True)
        assert plot.bounding_box()["width"] > 200  # type: ignore[index]
        for word in words:
            expect(plot).to_contain_text(word)
    activity = page.get_by_role("img", name="Activity by time of day")
    expect(activity).not_to_contain_text("wild boar")  # a single event has no pattern
    rates = page.get_by_role("region", name="Detection rates").locator("tbody tr")
    expect(rates).to_have_count(3)
    expect(rates.first).to_contain_text("Vulpes vulpes")
    expect(rates.first.locator("td").last).to_contain_text(" to ")
    hours = page.get_by_role("region", name="Activity by hour").locator("tbody tr")
    nights = [hours.first.locator("td").nth(hour).inner_text() for hour in range(24)]
    assert nights == ["" if hour not in (19, 21, 23) else nights[hour] for hour in range(24)]
    assert sum(map(int, filter(None, nights))) == 42
    page.get_by_text("Numbers", exact=True).click()
    expect(page.locator("details table tbody tr")).to_have_count(3)


def test_file_of_a_plot_opens(address: str, new_page: NewPage) -> None:
    page = new_page(address)
    page.get_by_role("link", name="SVG").first.click()
    expect(page.locator("svg")).to_contain_text("red fox")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_no_barriers_and_fits_a_phone(
    address: str, new_page: NewPage, scheme: str
) -> None:
    check_on_phone(new_page, address, scheme)
