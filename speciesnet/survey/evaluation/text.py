"""An evaluation as lines of at most 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap

from speciesnet.ensemble.taxonomy import split_label
from speciesnet.files.input_notes import counted, plural
from speciesnet.survey.evaluation.intervals import Share
from speciesnet.survey.evaluation.measures import Group
from speciesnet.survey.evaluation.result import Evaluation
from speciesnet.survey.evaluation.strata import Plan
from speciesnet.survey.evaluation.thresholds import Chosen

WIDTH = 80
_SHOWN = 20  # rows of a printed table; the CSV files contain all of them
_MISTAKES = 8
_NAME = 22  # columns
_NARROW = 0.03  # an interval with a decimal place


def lines_of(evaluation: Evaluation) -> Iterator[str]:
    """The lines that describe an evaluation."""
    yield from _overall(evaluation)
    yield from _classes(evaluation)
    yield from _mistakes(evaluation)
    yield from _scores(evaluation)
    yield from _blanks(evaluation)
    yield from _numbers(evaluation)
    yield from _groups("Day (6:00 to 18:00) and night", evaluation.times)
    worst = sorted(evaluation.cameras, key=lambda one: one.right.value or 0.0)
    if len(worst) > 1:
        yield from _groups("Cameras, worst first", worst)
    if evaluation.notes:
        yield ""
    for note in evaluation.notes:
        yield from wrap(note, WIDTH, break_long_words=False, break_on_hyphens=False)


def percent(share: float | None) -> str:
    """A share as a percentage, such as "97.5%"; "-" for None.

    Examples:
        >>> percent(0.975), percent(1.0), percent(None)
        ('97.5%', '100%', '-')
    """
    if share is None:
        return "-"
    return "100%" if share == 1 else f"{100 * share:.1f}%"


def interval(share: Share) -> str:
    """A share with its interval, such as "90.0% (82 to 95)"; "-" if there are no photographs."""
    if share.value is None:
        return "-"
    return f"{percent(share.value)} ({bounds(share.low, share.high)})"


def bounds(low: float, high: float) -> str:
    """The ends of an interval in percent, with a decimal place if it is narrow.

    Examples:
        >>> bounds(0.82, 0.95), bounds(0.795, 0.804)
        ('82 to 95', '79.5 to 80.4')
    """
    places = 0 if high - low > _NARROW else 1
    return f"{100 * low:.{places}f} to {100 * high:.{places}f}"


def _overall(evaluation: Evaluation) -> Iterator[str]:
    right, outcomes = evaluation.right, evaluation.outcomes
    yield (
        f"{counted(right.total, 'labeled photograph')} in "
        f"{counted(evaluation.sequences, 'sequence')}, compared by {evaluation.rank}."
    )
    yield ""
    yield f"  right                {outcomes['right']:>7}  {interval(right)}"
    yield f"  right, not resolved  {outcomes['unresolved']:>7}  the answer is a higher taxon"
    yield f"  wrong                {outcomes['wrong']:>7}"
    yield f"  no answer            {outcomes['no answer']:>7}"
    yield ""
    effective = max(round(right.effective), 1)
    yield from wrap(
        f"The 95% intervals in parentheses treat {evaluation.clusters}s as independent: the photographs "
        f"are equivalent to {counted(effective, 'independent one')}.",
        WIDTH,
    )
    if estimate := evaluation.estimate:
        yield from wrap(
            f"Whole survey ({counted(evaluation.photographs, 'photograph')}), estimated from the labels: "
            f"{percent(estimate.value)} right ({bounds(estimate.low, estimate.high)})"
            + (
                f", for the {percent(estimate.covered)} with answers and scores like labeled ones."
                if estimate.covered < 1
                else "."
            ),
            WIDTH,
        )


def _short(name: str, width: int = _NAME) -> str:
    return name if len(name) <= width else f"{name[: width - 3]}..."


def _classes(evaluation: Evaluation) -> Iterator[str]:
    yield ""
    yield f"{'class':<{_NAME}} {'labels':>6} {'answers':>7}  {'precision':<20} {'recall':<20}".rstrip()
    for one in evaluation.classes[:_SHOWN]:
        yield (
            f"{_short(evaluation.name_of(one.taxon)):<{_NAME}} {one.recall.total:>6} "
            f"{one.precision.total:>7}  {interval(one.precision):<20} {interval(one.recall):<20}"
        ).rstrip()
    yield from _more(len(evaluation.classes), "class", "classes")


def _more(number: int, one: str, many: str) -> Iterator[str]:
    if number > _SHOWN:
        yield f"and {counted(number - _SHOWN, f'more {one}', f'more {many}')}; --csv FOLDER writes all."


def _mistakes(evaluation: Evaluation) -> Iterator[str]:
    wrong = [
        (len(members), truth, predicted)
        for (truth, predicted), members in evaluation.confusion.cells.items()
        if evaluation.judged[members[0]].outcome == "wrong"
    ]
    if not wrong:
        return
    yield ""
    yield "Most frequent mistakes"
    for number, truth, predicted in sorted(wrong, key=lambda one: -one[0])[:_MISTAKES]:
        names = map(evaluation.name_of, (truth, predicted))
        label, answer = (_short(name, 32) for name in names)
        yield f"{number:>7}  {label} identified as {answer}"


def _scores(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.calibration_error is None:
        return
    yield ""
    error = percent(evaluation.calibration_error)
    yield f"Scores differ from the share of true answers by {error} on average (ECE)"
    for one in evaluation.bins:
        yield (
            f"  {one.low:.1f} to {one.high:.1f}  {one.true.total:>7} answers, mean score "
            f"{one.mean:.2f}, true {interval(one.true)}"
        )


def _blanks(evaluation: Evaluation) -> Iterator[str]:
    if not evaluation.blanks:
        return
    yield ""
    yield "If you throw away the photographs with the answer blank"
    yield f"  {'score from':<11} {'work saved':<10}  {'photographs of animals lost':<28} visits lost"
    for one in evaluation.blanks:
        yield (
            f"  {one.threshold:<11.2f} {percent(one.saved.value):>10}  {interval(one.lost):<28} "
            f"{interval(one.visits_lost)}"
        ).rstrip()


def _numbers(evaluation: Evaluation) -> Iterator[str]:
    if numbers := evaluation.numbers:
        yield ""
        yield (
            f"Individuals: {numbers.labelled} labeled, {numbers.counted} counted; the number is right "
            f"in {interval(numbers.exact)}".rstrip()
        )
        total = counted(numbers.exact.total, "photograph")
        yield f"of {total}, and off by {numbers.mean_error:.2f} on average."
        yield ""
        yield "Individuals by species: the largest number in one photograph of each sequence"
        yield f"  {'':<{_NAME}} {'labels':>6} {'counted':>7}  {'right in sequences':<20} in photographs"
        in_photographs = {one.taxon: one.exact for one in evaluation.numbers_in_photographs}
        for one in evaluation.numbers_in_sequences[:_SHOWN]:
            yield (
                f"  {_short(evaluation.name_of(one.taxon)):<{_NAME}} {one.labelled:>6} "
                f"{one.counted:>7}  {interval(one.exact):<20} {interval(in_photographs[one.taxon])}"
            )
        yield from _more(len(evaluation.numbers_in_sequences), "class", "classes")


def _groups(title: str, groups: Iterable[Group]) -> Iterator[str]:
    groups = list(groups)
    yield ""
    yield f"{title:<29} {'photos':>7}  {'right':<20} or not resolved"
    for one in groups[:_SHOWN]:
        name = one.name or "(no folder)"
        name = name if len(name) <= 27 else f"...{name[-24:]}"
        yield f"  {name:<27} {one.right.total:>7}  {interval(one.right):<20} {interval(one.true)}"
    yield from _more(len(groups), "camera", "cameras")


def threshold_lines(chosen: list[Chosen], wanted: float, path: str) -> Iterator[str]:
    """The lines about the chosen thresholds."""
    found = [one for one in chosen if one.threshold is not None]
    missing = [one for one in chosen if one.threshold is None]
    yield ""
    yield (
        f"{counted(len(found), 'species reaches', 'species reach')} a precision of {percent(wanted)}: "
        f"{path}"
    )
    if missing:
        names = ", ".join(split_label(one.label).name for one in missing[:_MISTAKES])
        rest = f" and {len(missing) - _MISTAKES} more" if len(missing) > _MISTAKES else ""
        yield from wrap(
            f"{counted(len(missing), 'species does', 'species do')} not: {names}{rest}. "
            f"{plural(len(missing), 'Its threshold is', 'Their thresholds are')} left empty, so "
            f"{plural(len(missing), 'its', 'their')} answers do not change. Label more of these "
            "photographs, or enter thresholds.",
            WIDTH,
        )


def plan_lines(made: Plan, path: str) -> Iterator[str]:
    """The lines about what to look at next."""
    yield ""
    if not made.sequences:
        yield "There is nothing more to look at."
        return
    yield from wrap(
        f"Look at {counted(made.photographs, 'photograph')} in "
        f"{counted(len(made.sequences), 'sequence')} next ({made.seconds / 3600:.1f} hours)"
        + (": all that are left." if made.is_complete else "."),
        WIDTH,
    )
    points = 100 * min(made.error, 1)
    yield f"The share of right answers will then be known to within about {points:.1f} points."
    yield f"List of their paths: {path}"
