from __future__ import annotations

import re
import warnings
from datetime import date, timedelta
from functools import cache
from xml.etree import ElementTree as ET

import pytest

from speciesnet.survey.report import plots

NAMES = ["<script>alert(1)</script>", "$x$ & \"y\" 'z'", "🦊 狐", "caf\udce9", "a\nb", "w" * 200]
MAKERS = {
    "species": lambda: plots.species_bars([(name, 10 - i) for i, name in enumerate(NAMES)]),
    "scores": lambda: plots.score_histogram([0.1, 0.5, 1.0], 0.75),
    "hours": lambda: plots.hours_of_day([0, 5, 23, 23]),
    "days": lambda: plots.timeline([(date(2024, 5, 1), "animal"), (date(2024, 5, 3), "blank")]),
    "map": lambda: plots.position_map(
        [(1.0 + i, 36.0, i, name) for i, name in enumerate(NAMES, 1)]
    ),
}


@cache
def plot(name: str) -> str:
    return MAKERS[name]()


def texts(svg: str) -> list[str]:
    return [
        "".join(element.itertext()) for element in ET.fromstring(svg).iter() if _is(element, "text")
    ]


def _is(element: ET.Element, tag: str) -> bool:
    return element.tag.rpartition("}")[2] == tag


@pytest.mark.parametrize("name", MAKERS)
def test_plots_are_svg_with_text_and_without_scripts(name: str) -> None:
    svg = plot(name)
    svg.encode()
    tree = ET.fromstring(svg)
    tags = {element.tag.rpartition("}")[2].lower() for element in tree.iter()}
    assert tags <= {
        "svg", "g", "path", "text", "tspan", "rect", "use", "defs", "style", "clippath", "metadata",
        "rdf", "work", "type", "format", "creator", "agent", "title",
    }  # fmt: skip
    assert texts(svg)


def test_names_are_plain_text() -> None:
    for svg in (plot("species"), plot("map")):
        shown = " ".join(texts(svg))
        for name in (
            "<script>alert(1)</script>",
            "$x$ & \"y\" 'z'",
            "🦊 狐",
            "caf?",
            "w" * 31 + "…",
        ):
            assert name in shown


def test_emoji_give_no_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.species_bars([("🦊 狐", 1)])


def test_same_plot_has_the_same_bytes() -> None:
    assert plots.hours_of_day([0, 5, 23, 23]) == plot("hours")


def test_plot_in_a_page_has_its_text_colour_and_unique_ids() -> None:
    page = plots.for_page(plot("hours"), "hours-2", 'Foxes "by" <hour>')
    assert page.startswith("<svg")
    assert "currentColor" in page
    assert "#010203" not in page
    tree = ET.fromstring(page)
    assert tree.get("aria-label") == 'Foxes "by" <hour>'
    assert (tree.get("width"), tree.get("height")) == (None, None)
    ids = {element.get("id", "") for element in tree.iter()} - {""}
    assert ids
    assert all(name.startswith("hours-2-") for name in ids)
    used = re.findall(r'(?:url\(#|href="#)([^")]+)', page)
    assert used
    assert set(used) <= ids


def test_plot_for_print_is_black_on_white() -> None:
    svg = plots.for_print(plot("hours"))
    ET.fromstring(svg)
    assert svg.count('fill="white"') == 1
    assert "#010203" not in svg


def bars(svg: str) -> int:
    colours = "|".join(plots.COLOURS.values())
    return len(re.findall(rf'<path d="[^"]*" clip-path="[^"]*" style="fill: (?:{colours})', svg))


def test_timeline_has_a_bar_for_each_day_or_week_with_images() -> None:
    first = date(2024, 5, 1)
    days = [
        (first, "animal"),
        (first, "animal"),
        (first + timedelta(1), "animal"),
        (first, "blank"),
    ]
    svg = plots.timeline(days)
    assert bars(svg) == 3
    assert "images a day" in texts(svg)
    assert {"animal", "blank"} < set(texts(svg))
    svg = plots.timeline([*days, (first + timedelta(121), "animal")])
    assert bars(svg) == 3
    assert "images a week" in texts(svg)


def test_timeline_of_dates_far_apart() -> None:
    days = [(date(1995, 1, 1), "animal"), (date(2099, 12, 31), "animal")]
    assert len(plots.timeline(days)) < 50_000
    assert bars(plots.timeline(days[:1])) == 1


@pytest.mark.parametrize(
    "points",
    [
        [(0.0, 0.0, 1, "one")],
        [(90.0, 0.0, 1, "pole"), (89.9, 180.0, 2, "near")],
        [(-90.0, -180.0, 1, "a"), (90.0, 180.0, 5, "b")],
        [(1.0, 36.0, 1, ""), (1.00001, 36.0, 1, "")],
        [(i / 10, i / 7, 1, f"cam{i}") for i in range(60)],
    ],
)
def test_map_has_a_scale_for_any_positions(
    points: list[tuple[float, float, int, str]],
) -> None:
    shown = texts(plots.position_map(points))
    assert any(re.fullmatch(r"[\d.e+]+ k?m", text) for text in shown)
    assert ("cam3" in shown) is False
