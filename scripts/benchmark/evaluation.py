"""Measures how often the intervals of ``speciesnet evaluate`` contain the truth, in simulated surveys.

    PYTHONPATH=scripts python -m benchmark.evaluation [--surveys 2000]

In each sequence, most photographs are right or wrong together. The first table compares the interval for
clustered photographs with Wilson's interval, which treats photographs as independent. The second one
labels the photographs that the plan of a survey chooses, and compares the estimate for the whole survey
with the share of the labeled photographs.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Iterator
from typing import NamedTuple

from speciesnet.constants import Classification
from speciesnet.survey.evaluation.confusion import judge
from speciesnet.survey.evaluation.intervals import quantile_of, share_of, wilson
from speciesnet.survey.evaluation.pairs import Pair
from speciesnet.survey.evaluation.strata import plan, strata_of, whole_survey
from speciesnet.survey.survey import Picture, PictureSequence, Survey

ANSWERS = (
    "1;mammalia;carnivora;canidae;vulpes;vulpes;red fox",
    "2;mammalia;cetartiodactyla;cervidae;odocoileus;virginianus;white-tailed deer",
    "3;mammalia;cetartiodactyla;suidae;sus;scrofa;wild boar",
)
CAMERAS = 10


def hits_of(
    draw: random.Random, sequences: int, accuracy: float, alike: float, longest: int = 12
) -> Iterator[tuple[bool, int]]:
    """Whether each photograph is right, and its sequence.

    Args:
        draw: The random numbers.
        sequences: Their number.
        accuracy: The expected share of right photographs.
        alike: The probability that a photograph is right or wrong together with its sequence.
        longest: Sequences have 1 to this number of photographs.
    """
    for sequence in range(sequences):
        fate = draw.random() < accuracy
        for _ in range(draw.randint(1, longest)):
            yield (fate if draw.random() < alike else draw.random() < accuracy), sequence


def coverage(
    surveys: int, sequences: int, accuracy: float, alike: float, seed: int = 0
) -> tuple[float, float]:
    """How often the intervals contain the truth: the one for clusters, and Wilson's."""
    draw, clustered, naive = random.Random(seed), 0, 0
    for _ in range(surveys):
        found = share_of(hits_of(draw, sequences, accuracy, alike))
        low, high = wilson(found.hits / found.total, found.total, quantile_of(None, 0.95))
        clustered += found.low <= accuracy <= found.high
        naive += low <= accuracy <= high
    return clustered / surveys, naive / surveys


def survey_with_truth(
    draw: random.Random, sequences: int, alike: float, longest: int = 6
) -> tuple[Survey, list[Pair]]:
    """A survey whose truth is known, with a label for every photograph.

    The score of a sequence is the probability that it is right.

    Args:
        draw: The random numbers.
        sequences: Their number.
        alike: The probability that a photograph is right or wrong together with its sequence.
        longest: Sequences have 1 to this number of photographs.
    """
    pictures: list[Picture] = []
    pairs: list[Pair] = []
    found: list[PictureSequence] = []
    for number in range(sequences):
        label, score = draw.choice(ANSWERS), draw.choice((0.5, 0.7, 0.9, 0.99))
        camera, fate = f"cam{number % CAMERAS}", draw.random() < score
        positions = range(len(pictures), len(pictures) + draw.randint(1, longest))
        for position in positions:
            is_right = fate if draw.random() < alike else draw.random() < score
            path, truth = f"{camera}/{position}.jpg", label if is_right else Classification.BLANK
            pictures.append(
                Picture(
                    path, camera, label, score, "classifier", failures=(), boxes=(), classes=(),
                    taken=None, position=None, place=(None, None), sequence=number,
                )
            )  # fmt: skip
            pairs.append(
                Pair(position, path, camera, number, None, label, score, str(truth), {}, None)
            )
        answer = label, score, "classifier"
        found.append(PictureSequence(camera, number, [*positions], answer))
    return Survey("made up", pictures, found, labels=[*ANSWERS]), pairs


class Planned(NamedTuple):
    """How good estimates are after labeling what a plan chooses.

    Attributes:
        coverage: How often the interval of the whole survey contains the truth.
        half: Half of this interval, on average.
        promised: Half of it as the plan promises, on average.
        error: The root mean square error of the estimate.
        error_of_labelled: The one of the share of the labeled photographs.
        error_of_random: The one of the share in as many random sequences.
    """

    coverage: float
    half: float
    promised: float
    error: float
    error_of_labelled: float
    error_of_random: float


def planned(surveys: int, sequences: int, alike: float, hours: float, seed: int = 0) -> Planned:
    """Plans, labels and estimates some simulated surveys."""
    draw = random.Random(seed)
    rows: list[tuple[float, ...]] = []
    for number in range(surveys):
        survey, pairs = survey_with_truth(draw, sequences, alike)
        truth = _right(pairs)
        made = plan(survey, strata_of(survey, []), seconds_per_image=3.0, hours=hours, seed=number)
        labelled = _of(pairs, made.sequences)
        estimate = whole_survey(strata_of(survey, judge(labelled, "species")))
        assert estimate is not None
        by_chance = _of(pairs, draw.sample(range(sequences), len(made.sequences)))
        rows.append(
            (
                estimate.low <= truth <= estimate.high,
                (estimate.high - estimate.low) / 2,
                made.error,
                (estimate.value - truth) ** 2,
                (_right(labelled) - truth) ** 2,
                (_right(by_chance) - truth) ** 2,
            )
        )
    means = [statistics.fmean(column) for column in zip(*rows, strict=True)]
    return Planned(*means[:3], *(square**0.5 for square in means[3:]))


def _of(pairs: list[Pair], sequences: list[int]) -> list[Pair]:
    wanted = set(sequences)
    return [pair for pair in pairs if pair.sequence in wanted]


def _right(pairs: list[Pair]) -> float:
    return statistics.fmean(pair.truth == pair.predicted for pair in pairs)


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--surveys", type=int, default=2000)
    surveys = parser.parse_args().surveys
    out = sys.stdout
    out.write("sequences accuracy alike  clustered  Wilson\n")
    for sequences in (20, 50, 200):
        for accuracy in (0.7, 0.9, 0.97):
            for alike in (0.0, 0.5, 0.9):
                clustered, naive = coverage(surveys, sequences, accuracy, alike)
                out.write(f"{sequences:9} {accuracy:8} {alike:5}  {clustered:9.3f} {naive:7.3f}\n")
                out.flush()
    out.write("sequences alike hours  coverage  half promised  error labelled  random\n")
    for sequences, hours in ((300, 0.1), (300, 0.2), (1000, 0.3)):
        for alike in (0.0, 0.5, 0.9):
            row = " ".join(f"{one:8.3f}" for one in planned(surveys // 5, sequences, alike, hours))
            out.write(f"{sequences:9} {alike:5} {hours:5} {row}\n")
            out.flush()


if __name__ == "__main__":
    main()
