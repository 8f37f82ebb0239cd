"""Photographs with an answer and a label, without a survey."""

from __future__ import annotations

import itertools
from typing import Any

from speciesnet.survey.evaluation.confusion import Judged, judge
from speciesnet.survey.evaluation.pairs import Pair
from speciesnet.survey.evaluation.taxa import Rank

_numbers = itertools.count()


def pair(truth: str, predicted: str | None, score: float = 0.9, **values: Any) -> Pair:
    """A photograph; each is a sequence of its own unless ``sequence`` is given."""
    number = next(_numbers)
    counts = {} if predicted is None else {predicted: 1}
    made = Pair(
        number, f"{number}.jpg", "cam1", number, None, predicted, score, truth, counts, None
    )
    return made._replace(**values)


def judged(*pairs: Pair, rank: Rank = "species") -> list[Judged]:
    """These photographs at a rank."""
    return judge(pairs, rank)
