"""Plots of detection rates, activity and accumulation as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from speciesnet.survey.report.plots import COLOURS, as_svg, short_name

MAX_RATES = 25
MAX_ACTIVITIES = 8
_ROW = 0.24  # inches
_PANEL = 1.15


class RatePoint(NamedTuple):
    """The detection rate of a taxon.

    Attributes:
        name: Its name.
        rate: Its events per 100 trap nights.
        interval: The ends of the interval, or None.
    """

    name: str
    rate: float
    interval: tuple[float, float] | None


class DayCurve(NamedTuple):
    """The activity of a taxon over the day.

    Attributes:
        name: Its name.
        hours: Its events in each of the 24 hours.
        density: Hours from 0 to 24 and the density at them, per hour; may be empty.
    """

    name: str
    hours: Sequence[int]
    density: Sequence[tuple[float, float]]


@as_svg
def rates(figure: Figure, points: Sequence[RatePoint]) -> None:
    """Draws events per 100 trap nights with their intervals, in the order of the points."""
    shown = list(points[:MAX_RATES])[::-1]
    figure.set_figheight(1 + _ROW * max(len(shown), 4))
    axes = figure.add_subplot()
    for row, one in enumerate(shown):
        if one.interval is not None:
            axes.plot(one.interval, [row, row], color=COLOURS["animal"], linewidth=2, alpha=0.6)
    axes.plot(
        [one.rate for one in shown], range(len(shown)), "o", color=COLOURS["animal"], markersize=5
    )
    axes.set_yticks(range(len(shown)), [short_name(one.name) for one in shown], parse_math=False)
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_xlim(0, 1.05 * max(_reach(one) for one in shown))
    axes.set_xlabel("events per 100 trap nights, with 95% intervals")
    axes.grid(axis="y", visible=False)


def _reach(one: RatePoint) -> float:
    """How far the axis goes for a point; the end of a very wide interval is cut off."""
    end = one.rate if one.interval is None else min(one.interval[1], 4 * one.rate)
    return max(end, 1e-6)


@as_svg
def activity(figure: Figure, curves: Sequence[DayCurve]) -> None:
    """Draws the share of events in each hour and the density curve of each taxon, one below the other."""
    shown = curves[:MAX_ACTIVITIES]
    figure.set_figheight(0.7 + _PANEL * len(shown))
    panels = figure.subplots(len(shown), sharex=True, squeeze=False)
    for axes, one in zip(panels[:, 0], shown, strict=True):
        total = sum(one.hours)
        shares = [count / total for count in one.hours]
        middles = [hour + 0.5 for hour in range(24)]
        axes.bar(middles, shares, width=0.9, color=COLOURS["animal"], alpha=0.3)
        if one.density:
            hours, values = zip(*one.density, strict=True)
            axes.plot(hours, values, color=COLOURS["animal"])
        axes.set_title(
            f"{short_name(one.name)} ({total:,})", loc="left", fontsize=9, parse_math=False
        )
        axes.set_xlim(0, 24)
        axes.set_yticks([])
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
    panels[-1, 0].set_xticks(range(0, 25, 6), [f"{hour:02d}:00" for hour in range(0, 25, 6)])
    panels[-1, 0].set_xlabel("time of day, by the camera's clock")


@as_svg
def accumulation(
    figure: Figure, curve: Sequence[tuple[int, float, float]], unit: str = "cameras"
) -> None:
    """Draws the expected number of species in 1, 2, ... samples, with its standard deviation.

    Args:
        figure: Where to draw; callers leave it out.
        curve: The number of samples, the expected number of species and its standard deviation.
        unit: What the samples are.
    """
    samples = [one[0] for one in curve]
    axes = figure.add_subplot()
    low, high = ([max(n + sign * sd, 0) for _, n, sd in curve] for sign in (-1, 1))
    axes.fill_between(samples, low, high, color=COLOURS["animal"], alpha=0.25, linewidth=0)
    marker = "." if len(curve) < 100 else ""
    axes.plot(samples, [n for _, n, _ in curve], color=COLOURS["animal"], marker=marker)
    axes.set_xlabel(unit)
    axes.set_ylabel("species")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
