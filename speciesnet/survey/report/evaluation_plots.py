"""Plots of an evaluation as SVG."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speciesnet.survey.evaluation.intervals import Share
from speciesnet.survey.evaluation.measures import Bin, BlankRule
from speciesnet.survey.report.plots import COLOURS, as_svg, short_name

_MAX_CLASSES = 20
_PRECISION, _RECALL = COLOURS["animal"], COLOURS["vehicle"]


@as_svg
def reliability(figure: Figure, bins: Sequence[Bin]) -> None:
    """Draws the share of true answers by score, with intervals; the diagonal means reliable scores."""
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=COLOURS["blank"], linestyle="--", linewidth=1)
    for one in bins:
        _interval(axes, one.mean, one.true, COLOURS["animal"])
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("mean score of the answers")
    axes.set_ylabel("share of true answers")


def _interval(axes: Axes, x: float, share: Share, colour: str) -> None:
    if share.value is None:
        return
    axes.plot([x, x], [share.low, share.high], color=colour, linewidth=1.5)
    axes.plot([x], [share.value], color=colour, marker="o", markersize=5)


@as_svg
def precision_and_recall(figure: Figure, classes: Sequence[tuple[str, Share, Share]]) -> None:
    """Draws the precision and recall of each class, with their intervals.

    Args:
        figure: Where to draw; callers leave it out.
        classes: The name, precision and recall of each class, the most important first.
    """
    shown = list(classes[:_MAX_CLASSES])[::-1]
    figure.set_figheight(1.2 + 0.34 * max(len(shown), 3))
    axes = figure.add_subplot()
    for row, (_, precision, recall) in enumerate(shown):
        for share, colour, marker, offset in (
            (precision, _PRECISION, "o", 0.14),
            (recall, _RECALL, "s", -0.14),
        ):
            if share.value is not None:
                y = row + offset
                axes.plot([share.low, share.high], [y, y], color=colour, linewidth=1.5)
                axes.plot([share.value], [y], color=colour, marker=marker, markersize=5)
    axes.plot([], [], color=_PRECISION, marker="o", label="precision")
    axes.plot([], [], color=_RECALL, marker="s", label="recall")
    names = [short_name(name) for name, _, _ in shown]
    axes.set_yticks(range(len(shown)), names, parse_math=False)
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_xlim(0, 1.02)
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=9)


@as_svg
def blanks(figure: Figure, rules: Sequence[BlankRule]) -> None:
    """Draws the share of animals lost against the work saved; the numbers are minimum scores."""
    axes = figure.add_subplot()
    for one in rules:
        if one.saved.value is not None and one.lost.value is not None:
            _interval(axes, one.saved.value, one.lost, COLOURS["human"])
            axes.annotate(
                f"{one.threshold:g}", (one.saved.value, one.lost.value), xytext=(5, 4),
                textcoords="offset points", fontsize=8,
            )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.set_xlabel("share of photographs thrown away")
    axes.set_ylabel("share of animals lost")
