from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from surveys import BLANK, DEER, FOX, HUMAN, LABELS, UNKNOWN, box, correction, record, survey_of

from speciesnet.survey.report.checks import failed_checks, open_checks


def checks(tmp_path: Path, *records: Mapping[str, object], **options: Any) -> list[list[str]]:
    survey = survey_of(tmp_path, *records, **options)
    return [open_checks(picture, survey) for picture in survey.pictures]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (record("a.jpg", FOX, 0.9), []),
        (record("a.jpg", FOX, 0.74), ["low"]),
        (record("a.jpg", UNKNOWN, 0.4, boxes=[]), ["low", "unknown"]),
        (record("a.jpg", BLANK, 0.99), []),
        (record("a.jpg", BLANK, 0.99, boxes=[box(conf=0.49)]), []),
        (record("a.jpg", BLANK, 0.99, boxes=[box(conf=0.5)]), ["disagree"]),
        (record("a.jpg", FOX, 0.9, boxes=[]), ["disagree"]),
        (record("a.jpg", FOX, 0.9, boxes=[box("human")]), ["disagree", "people"]),
        (record("a.jpg", FOX, 0.9, boxes=[box("human", 0.4)]), ["people"]),
        (record("a.jpg", FOX, 0.9, boxes=[box("human", 0.19)]), []),
        (record("a.jpg", FOX, 0.9, boxes=[box(conf=0.94), box("human", 0.91)]), ["people"]),
        (record("a.jpg", FOX, 0.9, boxes=[box(), box("vehicle", 0.5)]), ["vehicles"]),
        (record("a.jpg", LABELS["vehicle"], 0.9, boxes=[box("human", 0.6)]), ["people"]),
        ({"filepath": "a.jpg", "detections": [box(), box("human", 0.5)]}, ["people"]),
        ({"filepath": "a.jpg", "detections": [box("human")]}, []),
        (record("a.jpg", HUMAN, 0.9, boxes=[box("human")]), []),
        (record("a.jpg", HUMAN, 0.9, boxes=[box("vehicle")]), []),
        (record("a.jpg", HUMAN, 0.9, boxes=[box("animal")]), ["disagree"]),
        (record("a.jpg", LABELS["vehicle"], 0.9, boxes=[]), []),
        (
            record("a.jpg", prediction_source="classifier+geofence+rollup_to_family"),
            ["geofence"],
        ),
        ({"filepath": "a.jpg", "failures": ["DETECTOR"]}, []),
        ({"filepath": "a.jpg", "detections": [box()]}, []),
        (
            {"filepath": "a.jpg", "classifications": {"classes": [FOX], "scores": [0.5]}},
            ["low"],
        ),
    ],
)
def test_checks_of_one_image(
    tmp_path: Path, found: Mapping[str, object], expected: list[str]
) -> None:
    assert checks(tmp_path, found) == [expected]


def test_image_that_differs_from_its_sequence(tmp_path: Path) -> None:
    at: dict[str, Any] = {"taken": "2024-05-01T06:30:00"}
    foxes = [record(f"{i}.jpg", FOX, 0.95, **at) for i in range(3)]
    found = checks(tmp_path, *foxes, record("d.jpg", DEER, 0.8, **at), record("b.jpg", BLANK, **at))
    assert found == [[], [], [], ["sequence"], []]


def test_single_image_does_not_differ_from_its_sequence(tmp_path: Path) -> None:
    # The rules of the run are not available, so its roll-up cannot be repeated.
    answered = record("a.jpg", LABELS["canine family"], 0.9, classes={FOX: 0.9})
    assert checks(tmp_path, answered) == [[]]


def test_reviewed_image_needs_no_check_until_the_correction_is_withdrawn(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, record("a.jpg", FOX, 0.5), corrections=[correction("a.jpg", FOX)])
    (picture,) = survey.pictures
    assert open_checks(picture, survey) == []
    assert failed_checks(picture, survey) == ["low"]
