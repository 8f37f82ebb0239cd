from __future__ import annotations

from pathlib import Path

import pytest
from surveys import BLANK, DEER, FOX, LABELS, apart, box, record, survey_of

from speciesnet.errors import InputError
from speciesnet.survey.evaluation.labels import Written, WrittenLabels
from speciesnet.survey.evaluation.pairs import pair_up


def labels(**names: str | tuple[str, ...]) -> WrittenLabels:
    """Labels of ``cam1/NAME.jpg``; several of one photograph as a tuple."""
    found = WrittenLabels("labels.csv")
    for file, written in names.items():
        for name in (written,) if isinstance(written, str) else written:
            found.add(f"cam1/{file}.jpg", Written((name,), None, "Line 2 of labels.csv"))
    return found


def test_paths_are_matched_from_their_ends(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, record("/data/cam1/a.jpg"), record("/data/cam2/a.jpg", DEER))
    found = pair_up(survey, labels(a="red fox"))
    assert [(one.filepath, one.truth, one.predicted) for one in found.pairs] == [
        ("/data/cam1/a.jpg", FOX, FOX)
    ]
    assert (found.unlabelled, found.notes) == (1, ["1 of 2 photographs has no label."])


def test_labels_without_photographs_are_counted_and_named(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, record("cam1/a.jpg"))
    found = pair_up(survey, labels(a="red fox", x="red fox", y="red fox"))
    assert found.notes == [
        "2 labels of labels.csv have no photographs in the predictions, such as cam1/x.jpg."
    ]


def test_other_surveys_are_refused(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, record("cam1/a.jpg"))
    with pytest.raises(InputError, match=r"No photograph in .* and the predictions cam1/a"):
        pair_up(survey, labels(zz="red fox"))


def test_ambiguous_paths_are_refused(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, record("x/cam1/a.jpg"), record("y/cam1/a.jpg"))
    with pytest.raises(
        InputError, match=r"may be x/cam1/a\.jpg or y/cam1/a\.jpg\. Write whole paths"
    ):
        pair_up(survey, labels(a="red fox"))


def test_unknown_labels_are_refused_with_proposals_or_counted(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, record("cam1/a.jpg"), record("cam1/b.jpg"))
    written = labels(a="red fox", b="red foxx")
    with pytest.raises(InputError, match=r"'red foxx' \(1 time, first in Line 2 .* red fox\)"):
        pair_up(survey, written)
    found = pair_up(survey, written, skip_unknown=True)
    assert len(found.pairs) == 1
    assert "1 label that the model does not know is left out" in found.notes[0]


def test_unidentified_photographs_are_left_out(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, record("cam1/a.jpg"), record("cam1/b.jpg"))
    found = pair_up(survey, labels(a="red fox", b="unidentified"))
    assert len(found.pairs) == 1 and "unidentified and is left out" in found.notes[0]
    with pytest.raises(InputError, match="can be compared"):
        pair_up(survey, labels(b="unidentified"))


def test_of_several_labels_the_one_that_agrees_counts(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, record("cam1/a.jpg"), record("cam1/b.jpg", BLANK))
    written = labels(a=("white-tailed deer", "red fox"), b=("white-tailed deer", "red fox"))
    found = pair_up(survey, written)
    assert [one.truth for one in found.pairs] == [FOX, DEER]
    assert "2 photographs have several labels" in found.notes[0]


def test_failures_have_no_answer(tmp_path: Path) -> None:
    failed = {"filepath": "cam1/b.jpg", "failures": ["DETECTOR"]}
    survey = survey_of(tmp_path, record("cam1/a.jpg"), failed)
    found = pair_up(survey, labels(a="red fox", b="red fox"))
    assert [(one.predicted, one.score) for one in found.pairs] == [(FOX, 0.9), (None, 0.0)]
    assert "1 failed photograph does not count as right" in found.notes[0]
    with pytest.raises(InputError, match="has no answer for any photograph with a label"):
        pair_up(survey, labels(b="red fox"))


def test_individuals_are_added_up(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, record("cam1/a.jpg", boxes=apart([box(), box()])))
    written = WrittenLabels("labels.csv")
    for count in (2, 1):  # adults and young
        written.add("cam1/a.jpg", Written(("red fox",), count, "Line 2"))
    (one,) = pair_up(survey, written).pairs
    assert (one.individuals, one.labelled_individuals) == (2, 3)


def test_film_is_one_photograph(tmp_path: Path) -> None:
    film = record("cam1/a.mp4", LABELS["red fox"], frames_processed=[0, 30], frame_rate=30.0)
    written = WrittenLabels("labels.csv")
    written.add("cam1/a.mp4", Written(("red fox",), None, "Line 2"))
    (one,) = pair_up(survey_of(tmp_path, film), written).pairs
    assert one.truth == one.predicted == FOX
