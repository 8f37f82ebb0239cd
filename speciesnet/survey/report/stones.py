"""The page of boxes that never move: it shows each group once, with its timeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from speciesnet.ensemble.taxonomy import split_label
from speciesnet.survey.report.pages import Link
from speciesnet.survey.report.thumbnails import Preview
from speciesnet.survey.stone_verdicts import PlacedBox
from speciesnet.survey.stones import Stone
from speciesnet.survey.survey import Survey

STONES_PAGE, STONES_HEADING = "stones.html", "Boxes that never move"
TIME_LINE_HEIGHT = 20.0


@dataclass(frozen=True)
class StoneCard:
    """A group as the page shows it.

    Attributes:
        stone: The group.
        answers: Its answers with their numbers, most frequent first.
        pictures: The central box, the first one and the last one, each with its thumbnail.
        bars: The heights of the timeline's bars: for all images, and for those with the box.
    """

    stone: Stone
    answers: Sequence[tuple[str, int]]
    pictures: Sequence[tuple[PlacedBox, Preview]]
    bars: Sequence[tuple[float, float]]


def stones_link(stones: Sequence[Stone]) -> list[Link]:
    """The entry of the menu with the number of undecided groups, if there are any groups."""
    undecided = sum(stone.verdict is None for stone in stones)
    return [Link(STONES_PAGE, "Never moving", undecided)] if stones else []


def stone_cards(
    survey: Survey, stones: Sequence[Stone], preview_of: Callable[[int], Preview]
) -> list[StoneCard]:
    """The groups of a page, undecided ones first.

    Args:
        survey: The survey.
        stones: The groups.
        preview_of: Returns the preview of the image at a position in the survey.
    """
    positions = {picture.filepath: i for i, picture in enumerate(survey.pictures)}
    cards = []
    for stone in sorted(stones, key=lambda stone: stone.verdict is not None):
        shown = dict.fromkeys((stone.boxes[0], stone.boxes[1], stone.boxes[-1]))
        most = max((one.images for one in stone.time_line), default=1) or 1
        cards.append(
            StoneCard(
                stone,
                [(split_label(label).name, count) for label, count in stone.answers.items()][:3],
                [(box, preview_of(positions[box.filepath])) for box in shown],
                [
                    (TIME_LINE_HEIGHT * one.images / most, TIME_LINE_HEIGHT * one.boxes / most)
                    for one in stone.time_line
                ],
            )
        )
    return cards
