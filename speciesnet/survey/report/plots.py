"""Plots of a survey as SVG, for pages and for print."""

from __future__ import annotations

import functools
import io
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any, Concatenate, ParamSpec
from xml.sax.saxutils import quoteattr

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Colors that are distinguishable on white and black, even by readers with red-green color blindness.
COLOURS = {
    "animal": "#0f8a7e", "human": "#d1495b", "vehicle": "#3d6fb6", "blank": "#9aa5a0",
    "unknown": "#c28f2c", "failed": "#6d6875",
}  # fmt: skip
_Values = ParamSpec("_Values")  # what a function below draws

_INK = "#010203"  # a placeholder for the color of the page's text
_MAP_ASPECT = 1.4  # width of the map divided by its height
_MAX_NAMES = 40  # a map with more cameras shows no names
_KM_PER_DEGREE = 111.32  # of latitude
_WIDTH = 5.2  # inches; the same for all plots, so that all letters have the same size
_HEIGHT = 3.0
_MAX_BARS = 25
_WEEKS_FROM = 120  # days; the bars of longer surveys are weeks
_NOT_XML = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# Any: matplotlib types its settings by name, and accepts dates where it declares numbers.
_STYLE: dict[Any, Any] = {
    **dict.fromkeys(("text.color", "xtick.color", "ytick.color", "grid.color"), _INK),
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor"), _INK),
    "svg.fonttype": "none",  # keeps text as text, which can be searched and has the page's font
    "svg.hashsalt": "speciesnet",  # makes the bytes of a plot reproducible
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.15,
}


def as_svg(draw: Callable[Concatenate[Figure, _Values], None]) -> Callable[_Values, str]:
    """Decorates a function that draws in a figure, so that it returns the plot as SVG."""

    @functools.wraps(draw)
    def render(*args: _Values.args, **kwargs: _Values.kwargs) -> str:
        with mpl.rc_context(_STYLE), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # browsers have the fonts
            figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
            FigureCanvasSVG(figure)
            draw(figure, *args, **kwargs)
            buffer = io.StringIO()
            figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        return buffer.getvalue()

    return render


def for_page(svg: str, name: str, title: str) -> str:
    """Returns the SVG to embed in a page, in the page's text color and at full width.

    Args:
        svg: The SVG from one of the functions below.
        name: A name that is unique on the page, of letters, digits and hyphens.
        title: The title for screen readers.
    """
    body = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    body = re.sub(r'(\bid="|"#|url\(#)(?=\w)', rf"\1{name}-", body)  # ids are unique in a page
    opening, rest = body[: body.index(">")], body[body.index(">") :]
    opening = re.sub(r' (width|height)="[^"]*"', "", opening)
    return f"{opening} role='img' aria-label={quoteattr(title)}{rest}"


def for_print(svg: str) -> str:
    """Returns the SVG as a file for printing, black on white."""
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return re.sub(r"(<svg [^>]*>)", rf"\1{ground}", svg.replace(_INK, "#1c2321"), count=1)


@as_svg
def species_bars(figure: Figure, counts: Sequence[tuple[str, int]]) -> None:
    """Draws the number of images of each species, which are passed in descending order."""
    shown = list(counts[:_MAX_BARS])[::-1]
    names, numbers = [short_name(name) for name, _ in shown], [n for _, n in shown]
    figure.set_figheight(1 + 0.24 * max(len(shown), 4))
    axes = figure.add_subplot()
    bars = axes.barh(range(len(shown)), numbers, color=COLOURS["animal"], height=0.72)
    axes.set_yticks(range(len(shown)), names, parse_math=False)
    axes.bar_label(bars, [f"{n:,}" for n in numbers], padding=3, fontsize=9)
    axes.set_xlabel("images")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.12, y=0.02)


def short_name(name: str) -> str:
    """Returns a name of at most 32 characters, without those that SVG does not allow."""
    name = _NOT_XML.sub("?", name)
    return name if len(name) <= 32 else f"{name[:31]}…"


@as_svg
def score_histogram(figure: Figure, scores: Sequence[float], threshold: float) -> None:
    """Draws a histogram of scores in [0, 1], and marks the score below which to check answers."""
    axes = figure.add_subplot()
    axes.hist(scores, bins=20, range=(0, 1), color=COLOURS["animal"], rwidth=0.92)
    axes.axvline(threshold, color=COLOURS["human"], linestyle="--", linewidth=1)
    axes.set_xlabel("score of the answer")
    axes.set_ylabel("images")
    _whole_numbers(axes)


@as_svg
def hours_of_day(figure: Figure, hours: Sequence[int]) -> None:
    """Draws the number of sequences that started in each hour, 0 to 23."""
    counts = Counter(hours)
    axes = figure.add_subplot()
    axes.bar(range(24), [counts[hour] for hour in range(24)], color=COLOURS["animal"])
    axes.set_xlim(-0.5, 23.5)
    axes.set_xticks(range(0, 24, 3), [f"{hour:02d}:00" for hour in range(0, 24, 3)])
    axes.set_xlabel("hour of the day, by the camera's clock")
    axes.set_ylabel("sequences")
    axes.grid(axis="x", visible=False)
    _whole_numbers(axes)


@as_svg
def timeline(figure: Figure, days: Sequence[tuple[date, str]]) -> None:
    """Draws the images of each category over time, by day or, in long surveys, by week.

    Args:
        figure: Where to draw; callers leave it out.
        days: The day and the category (a key of ``COLOURS``) of each image; at least one.
    """
    first, last = min(day for day, _ in days), max(day for day, _ in days)
    step = 7 if (last - first).days > _WEEKS_FROM else 1
    bins = (last - first).days // step + 1
    counts = Counter(((day - first).days // step, category) for day, category in days)
    axes = figure.add_subplot()
    bottom = [0] * bins
    for category, colour in COLOURS.items():
        filled = [i for i in range(bins) if counts[i, category]]
        if not filled:
            continue
        positions: Any = [first + timedelta(days=step * i) for i in filled]
        axes.bar(
            positions, [counts[i, category] for i in filled], width=step * 0.9,
            bottom=[bottom[i] for i in filled], color=colour, label=category,
        )  # fmt: skip
        for i in filled:
            bottom[i] += counts[i, category]
    locator = AutoDateLocator(minticks=3, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.set_ylabel(f"images a {'week' if step == 7 else 'day'}")
    axes.grid(axis="x", visible=False)
    _whole_numbers(axes)
    figure.legend(
        loc="outside upper left", ncols=6, frameon=False, fontsize=8.5,
        handlelength=0.9, handletextpad=0.4, columnspacing=1.1,
    )  # fmt: skip


@as_svg
def position_map(figure: Figure, points: Sequence[tuple[float, float, int, str]]) -> None:
    """Draws the positions of cameras with a scale, without a map in the background.

    Args:
        figure: Where to draw; callers leave it out.
        points: Latitude and longitude in degrees, number of images, and name of each camera; at
            least one.
    """
    longitudes = [p[1] for p in points]
    if max(longitudes) - min(longitudes) > 180:  # the survey crosses the date line
        points = [(p[0], p[1] % 360, *p[2:]) for p in points]
    latitudes, longitudes = [p[0] for p in points], [p[1] for p in points]
    south, north, west, east = min(latitudes), max(latitudes), min(longitudes), max(longitudes)
    squeeze = max(math.cos(math.radians((south + north) / 2)), 0.01)  # of a degree of longitude
    # The height in degrees of latitude, with room for the names and the full width.
    tall = max(1.4 * (north - south), 1.6 * (east - west) * squeeze / _MAP_ASPECT, 0.01)
    half = tall * _MAP_ASPECT / squeeze / 2
    most = max(p[2] for p in points)
    sizes = [40 + 360 * p[2] / most for p in points]
    figure.set_figheight(3.8)
    axes = figure.add_subplot()
    axes.scatter(longitudes, latitudes, s=sizes, color=COLOURS["animal"], alpha=0.55, linewidth=0)
    axes.set_xlim((west + east) / 2 - 0.9 * half, (west + east) / 2 + 1.1 * half)
    axes.set_ylim((south + north) / 2 - tall / 2, (south + north) / 2 + tall / 2)
    axes.set_aspect(1 / squeeze)
    if len(points) <= _MAX_NAMES:
        for number, (latitude, longitude, _, name) in enumerate(sorted(points)):
            axes.annotate(
                short_name(name), (longitude, latitude), xytext=(7, 6 if number % 2 else -11),
                textcoords="offset points", fontsize=8, parse_math=False,
            )  # fmt: skip
    axes.ticklabel_format(useOffset=False)
    axes.xaxis.set_major_formatter(lambda x, _: f"{(x + 180) % 360 - 180:g}")
    axes.set_xlabel("longitude (degrees)")
    axes.set_ylabel("latitude (degrees)")
    _scale_bar(axes, squeeze)


def _scale_bar(axes: Axes, squeeze: float) -> None:
    west, east = axes.get_xlim()
    room = (east - west) * _KM_PER_DEGREE * squeeze / 4
    power = 10 ** math.floor(math.log10(room))
    km = max(factor * power for factor in (1, 2, 5) if factor * power <= room)
    share = km / (_KM_PER_DEGREE * squeeze) / (east - west)
    text = f"{km:g} km" if km >= 1 else f"{1000 * km:g} m"
    axes.plot([0.03, 0.03 + share], [0.05, 0.05], color=_INK, linewidth=2, transform=axes.transAxes)
    axes.text(0.03, 0.07, text, fontsize=8, transform=axes.transAxes)


def _whole_numbers(axes: Axes) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
