"""An evaluation: all measures for one survey."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from speciesnet.files.paths import shared_start, split_path
from speciesnet.survey.evaluation.confusion import (
    OUTCOMES,
    ClassResult,
    Clusters,
    Confusion,
    Judged,
    Outcome,
    class_results,
    confusion_of,
    judge,
    share_where,
)
from speciesnet.survey.evaluation.intervals import Share
from speciesnet.survey.evaluation.measures import (
    Bin,
    BlankRule,
    Group,
    Numbers,
    SpeciesNumbers,
    blank_rules,
    calibration,
    calibration_error,
    groups_of,
    numbers_by_species,
    numbers_of,
    time_of_day,
)
from speciesnet.survey.evaluation.pairs import Pairs
from speciesnet.survey.evaluation.strata import Estimate, Stratum, strata_of, whole_survey
from speciesnet.survey.evaluation.taxa import Rank, Taxon, TaxonNames
from speciesnet.survey.survey import Survey


@dataclass(frozen=True)
class Evaluation:
    """How accurate the program is for a survey.

    Attributes:
        survey: The name of the predictions file.
        rank: The rank at which answers and labels are compared.
        clusters: The units that count as independent.
        photographs: The photographs of the survey.
        sequences: The sequences with a label.
        judged: The photographs with a label.
        outcomes: The number of photographs with each outcome.
        right: The share of right answers.
        true: The share of answers that are right, or right at a higher rank.
        estimate: The share of right answers in the whole survey.
        strata: The strata of the survey.
        classes: Precision and recall.
        confusion: The confusion matrix.
        bins: The reliability of the scores.
        calibration_error: See ``measures.calibration_error``.
        blanks: The effect of throwing away blanks.
        numbers: How accurately individuals are counted, or None.
        numbers_in_photographs: The same for each taxon; empty if the labels have no numbers.
        numbers_in_sequences: The same for the largest number in one photograph of a sequence.
        cameras: The results by camera.
        times: The results for day and night.
        names: The names of taxa.
        notes: Sentences on what was left out.
    """

    survey: str
    rank: Rank
    clusters: Clusters
    photographs: int
    sequences: int
    judged: list[Judged]
    outcomes: Mapping[Outcome, int]
    right: Share
    true: Share
    estimate: Estimate | None
    strata: list[Stratum]
    classes: list[ClassResult]
    confusion: Confusion
    bins: list[Bin]
    calibration_error: float | None
    blanks: list[BlankRule]
    numbers: Numbers | None
    numbers_in_photographs: list[SpeciesNumbers]
    numbers_in_sequences: list[SpeciesNumbers]
    cameras: list[Group]
    times: list[Group]
    names: TaxonNames
    notes: list[str]

    def name_of(self, taxon: Taxon) -> str:
        """The name of a taxon for people."""
        return self.names.of(taxon)


def evaluate(
    survey: Survey, pairs: Pairs, rank: Rank = "species", clusters: Clusters = "sequence"
) -> Evaluation:
    """Evaluates the photographs of a survey that have a label.

    Args:
        survey: The survey, without corrections.
        pairs: Its photographs with a label.
        rank: The rank at which answers and labels are compared.
        clusters: The units that count as independent. Sequences of one camera also resemble each other,
            so cameras are safer units, but many of them are needed.
    """
    judged = judge(pairs.pairs, rank, clusters)
    strata = strata_of(survey, judged)
    cameras = _short_names({one.pair.camera for one in judged})
    found = Counter(one.outcome for one in judged)
    bins = calibration(judged)
    labels = [*survey.labels, *(p.label for p in survey.pictures if p.label)]
    return Evaluation(
        survey=survey.name,
        rank=rank,
        clusters=clusters,
        photographs=len(survey.pictures),
        sequences=len({one.pair.sequence for one in judged}),
        judged=judged,
        outcomes={outcome: found[outcome] for outcome in OUTCOMES},
        right=share_where(judged, lambda one: one.outcome == "right"),
        true=share_where(judged, lambda one: one.is_true),
        estimate=whole_survey(strata) if pairs.unlabelled else None,
        strata=strata,
        classes=class_results(judged),
        confusion=confusion_of(judged),
        bins=bins,
        calibration_error=calibration_error(bins),
        blanks=blank_rules(judged),
        numbers=(numbers := numbers_of(judged)),
        numbers_in_photographs=numbers_by_species(judged, rank) if numbers else [],
        numbers_in_sequences=(
            numbers_by_species(judged, rank, in_sequences=True) if numbers else []
        ),
        cameras=groups_of(judged, lambda one: cameras[one.pair.camera]),
        times=groups_of(judged, time_of_day),
        names=TaxonNames(labels),
        notes=pairs.notes,
    )


def _short_names(cameras: Collection[str]) -> dict[str, str]:
    """The folders of cameras below the folder that contains all of them."""
    parts = {camera: split_path(camera) for camera in cameras}
    shared = len(shared_start(parts.values()))
    return {
        camera: "/".join(names[min(shared, len(names) - 1) :]) if names else ""
        for camera, names in parts.items()
    }
