"""An evaluation as tables and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from speciesnet.ensemble.taxonomy import split_label
from speciesnet.ensemble.thresholds import COLUMNS as THRESHOLD_COLUMNS
from speciesnet.survey.evaluation.intervals import Share
from speciesnet.survey.evaluation.measures import Group
from speciesnet.survey.evaluation.result import Evaluation
from speciesnet.survey.evaluation.thresholds import Chosen

Cell = str | int | float | None
Row = dict[str, Cell]

_THRESHOLD_TYPES: tuple[type, ...] = (str, str, float, float, float, int, int)


class Table(NamedTuple):
    """A table.

    Attributes:
        name: The name of its file, without an extension.
        types: Its columns and their types.
        rows: Its rows; None is an empty cell.
    """

    name: str
    types: dict[str, type]
    rows: list[Row]


def tables_of(evaluation: Evaluation) -> list[Table]:
    """All tables of an evaluation."""
    return [
        _classes(evaluation),
        _confusion(evaluation),
        _calibration(evaluation),
        _blanks(evaluation),
        _individuals(evaluation),
        _groups("cameras", evaluation.cameras),
        _groups("day_and_night", evaluation.times),
        _photographs(evaluation),
    ]


def as_json(evaluation: Evaluation) -> dict[str, object]:
    """The evaluation as JSON: the overall results, and the rows of the tables."""
    overall: Row = {
        "survey": evaluation.survey,
        "rank": evaluation.rank,
        "clusters": evaluation.clusters,
        "photographs": evaluation.photographs,
        "labelled": len(evaluation.judged),
        "sequences": evaluation.sequences,
        **{name.replace(" ", "_"): count for name, count in evaluation.outcomes.items()},
        **_share("accuracy", evaluation.right),
        "effective_photographs": round(evaluation.right.effective, 1),
        **_share("right_or_unresolved", evaluation.true),
        "calibration_error": evaluation.calibration_error,
    }
    found: dict[str, object] = {**overall, "whole_survey": None, "individuals": None}
    if estimate := evaluation.estimate:
        found["whole_survey"] = {
            "accuracy": estimate.value, "accuracy_from": estimate.low,
            "accuracy_to": estimate.high, "covered": estimate.covered,
        }  # fmt: skip
    if numbers := evaluation.numbers:
        found["individuals"] = {
            "labelled": numbers.labelled, "counted": numbers.counted,
            "mean_error": numbers.mean_error, **_share("exact", numbers.exact),
        }  # fmt: skip
    found |= {table.name: table.rows for table in tables_of(evaluation)}
    return found | {"notes": evaluation.notes}


def thresholds_table(chosen: Iterable[Chosen]) -> Table:
    """The table of thresholds that ``ensemble.thresholds.read_thresholds`` reads."""
    rows: list[Row] = [
        {
            "label": one.label,
            "species": split_label(one.label).name,
            "threshold": one.threshold,
            "precision": one.precision.value,
            "precision_from": one.precision.low,
            "labelled": one.answers,
            "kept": one.precision.total if one.threshold is not None else None,
        }
        for one in chosen
    ]
    types: dict[str, type] = dict(zip(THRESHOLD_COLUMNS, _THRESHOLD_TYPES, strict=True))
    return Table("thresholds", types, rows)


def _share(name: str, share: Share) -> Row:
    return {name: share.value, f"{name}_from": share.low, f"{name}_to": share.high}


def _types(rows: Sequence[Row], columns: Iterable[str]) -> dict[str, type]:
    """The type of each column: that of its first cell that is not empty, or text."""
    types: dict[str, type] = dict.fromkeys(rows[0] if rows else columns, str)
    for row in reversed(rows):
        types |= {name: type(cell) for name, cell in row.items() if cell is not None}
    return types


def _table(name: str, rows: Iterator[Row], columns: str) -> Table:
    kept = list(rows)
    return Table(name, _types(kept, columns.split()), kept)


def _classes(evaluation: Evaluation) -> Table:
    def rows() -> Iterator[Row]:
        for one in evaluation.classes:
            yield {
                "class": evaluation.name_of(one.taxon),
                "latin": one.taxon.names[-1] if one.taxon.names else None,
                "labelled": one.recall.total,
                "answered": one.precision.total,
                **_share("precision", one.precision),
                **_share("recall", one.recall),
                "unresolved": one.unresolved,
            }

    return _table("classes", rows(), "class latin labelled answered precision recall unresolved")


def _confusion(evaluation: Evaluation) -> Table:
    matrix = evaluation.confusion

    def rows() -> Iterator[Row]:
        for (truth, predicted), members in matrix.cells.items():
            yield {
                "label": evaluation.name_of(truth),
                "answer": evaluation.name_of(predicted),
                "outcome": evaluation.judged[members[0]].outcome,
                "photographs": len(members),
            }

    return _table("confusion", rows(), "label answer outcome photographs")


def _calibration(evaluation: Evaluation) -> Table:
    def rows() -> Iterator[Row]:
        for one in evaluation.bins:
            yield {
                "score_from": one.low, "score_to": one.high, "photographs": one.true.total,
                "mean_score": one.mean, **_share("true", one.true),
            }  # fmt: skip

    return _table("calibration", rows(), "score_from score_to photographs mean_score true")


def _blanks(evaluation: Evaluation) -> Table:
    def rows() -> Iterator[Row]:
        for one in evaluation.blanks:
            yield {
                "score_from": one.threshold, **_share("saved", one.saved),
                **_share("animals_lost", one.lost), **_share("visits_lost", one.visits_lost),
            }  # fmt: skip

    return _table("blanks", rows(), "score_from saved animals_lost visits_lost")


def _individuals(evaluation: Evaluation) -> Table:
    def rows() -> Iterator[Row]:
        for unit, numbers in (
            ("photograph", evaluation.numbers_in_photographs),
            ("sequence", evaluation.numbers_in_sequences),
        ):
            for one in numbers:
                yield {
                    "class": evaluation.name_of(one.taxon), "unit": unit, "units": one.exact.total,
                    "labelled": one.labelled, "counted": one.counted,
                    **_share("exact", one.exact), "mean_error": one.mean_error,
                }  # fmt: skip

    columns = "class unit units labelled counted exact mean_error"
    return _table("individuals_by_species", rows(), columns)


def _groups(name: str, groups: Iterable[Group]) -> Table:
    def rows() -> Iterator[Row]:
        for one in groups:
            yield {
                "group": one.name, "photographs": one.right.total, **_share("right", one.right),
                **_share("right_or_unresolved", one.true),
            }  # fmt: skip

    return _table(name, rows(), "group photographs right right_or_unresolved")


def _photographs(evaluation: Evaluation) -> Table:
    def rows() -> Iterator[Row]:
        for one in evaluation.judged:
            yield {
                "file": one.pair.filepath, "datetime": one.pair.taken,
                "label": evaluation.name_of(one.truth),
                "answer": evaluation.name_of(one.predicted), "score": one.pair.score,
                "outcome": one.outcome, "count": one.pair.individuals,
                "labelled_count": one.pair.labelled_individuals,
            }  # fmt: skip

    columns = "file datetime label answer score outcome count labelled_count"
    return _table("photographs", rows(), columns)
