from __future__ import annotations

import random

import pytest
from benchmark.evaluation import planned, survey_with_truth

from speciesnet.survey.evaluation.confusion import judge
from speciesnet.survey.evaluation.strata import paths_of, plan, strata_of, whole_survey


def test_strata_contain_every_sequence_once() -> None:
    survey, pairs = survey_with_truth(random.Random(1), 200, alike=0.9)
    strata = strata_of(survey, judge(pairs, "species"))
    assert sorted(n for one in strata for n in one.sequences) == [*range(200)]
    assert sum(one.photographs for one in strata) == len(survey.pictures)
    assert sum(len(one.labelled) for one in strata) == len(pairs)


def test_labels_of_all_photographs_leave_no_doubt() -> None:
    survey, pairs = survey_with_truth(random.Random(1), 50, alike=0.9)
    found = whole_survey(strata_of(survey, judge(pairs, "species")))
    truth = sum(one.truth == one.predicted for one in pairs) / len(pairs)
    assert found is not None
    assert found.value == found.low == found.high == pytest.approx(truth)
    assert found.covered == 1
    assert whole_survey(strata_of(survey, [])) is None


def test_estimate_holds_although_doubtful_answers_were_reviewed_more_often() -> None:
    found = planned(60, 300, alike=0.9, hours=0.1)
    assert found.coverage >= 0.9
    assert found.error < found.error_of_random < found.error_of_labelled
    assert found.half == pytest.approx(found.promised, rel=0.15)


def test_plan_keeps_to_the_time() -> None:
    survey, pairs = survey_with_truth(random.Random(1), 200, alike=0.9)
    seen = judge(pairs[:20], "species")
    strata = strata_of(survey, seen)
    made = plan(survey, strata, seconds_per_image=10, hours=0.5)
    assert 1700 <= made.seconds <= 1800 and made.seconds == 10 * made.photographs
    assert not {one.pair.sequence for one in seen} & set(made.sequences)
    assert len([*paths_of(survey, made.sequences)]) == made.photographs
    assert plan(survey, strata, seconds_per_image=10, hours=0.5) == made


def test_plan_looks_at_doubtful_strata_more() -> None:
    survey, _ = survey_with_truth(random.Random(1), 400, alike=0.9)
    made = plan(survey, strata_of(survey, []), seconds_per_image=3, hours=0.2)
    scores = [survey.pictures[survey.sequences[n].pictures[0]].score for n in made.sequences]
    assert scores.count(0.5) > 2 * scores.count(0.99) > 0


def test_plan_stops_at_the_wanted_error() -> None:
    survey, _ = survey_with_truth(random.Random(1), 400, alike=0.9)
    strata = strata_of(survey, [])
    made = plan(survey, strata, seconds_per_image=3, wanted_error=0.08)
    assert 0.07 < made.error <= 0.08 and not made.is_complete
    everything = plan(survey, strata, seconds_per_image=3, wanted_error=0.0)
    assert everything.is_complete and everything.error == 0
    assert everything.photographs == len(survey.pictures)
