from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from surveys import BOAR, DEER, FOX, HUMAN, answered_box, record, survey_of

from speciesnet.server.errors import RejectedError
from speciesnet.survey.corrections import CorrectionsFile, corrections_path, read_corrections
from speciesnet.survey.report import review_items
from speciesnet.survey.report.review import Review
from speciesnet.survey.report.review_items import SavedIds

LEFT, NEW = [0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.2, 0.2]


@pytest.fixture
def review(tmp_path: Path) -> Iterator[Review]:
    boxes = [answered_box(DEER, bbox=LEFT), answered_box(HUMAN, "human", bbox=(0.5, 0.1, 0.2, 0.6))]
    survey = survey_of(tmp_path, record("s/a.jpg", DEER, boxes=boxes), record("s/b.jpg"))
    with CorrectionsFile(corrections_path(tmp_path / "predictions.json")) as file:
        yield Review(survey, file, "Jane")


def item(label: str | None = None, position: int = 0, **values: Any) -> dict[str, Any]:
    return {"position": position, "path": f"s/{'ab'[position]}.jpg", "label": label, **values}


def lines(review: Review) -> list[dict[str, Any]]:
    path = review._file.path
    return list(map(json.loads, path.read_text().splitlines())) if path.exists() else []


def test_boxes_and_counts_are_saved_and_among_the_changes(review: Review) -> None:
    boxes = [{"bbox": LEFT, "label": BOAR}, {"bbox": NEW, "label": None}]
    review.add([item(boxes=boxes, counts={BOAR: 3})])
    (line,) = lines(review)
    assert (line["label"], line["boxes"], line["counts"]) == (None, boxes, {BOAR: 3})
    (found,) = read_corrections(review._file.path).values()
    assert (found.predicted, found.reviewer) == (DEER, "Jane")
    (change,) = review.changes(0)["items"]  # type: ignore[misc]  # a list
    assert (change["label"], change["boxes"], change["counts"]) == (None, boxes, {BOAR: 3})
    assert review.survey.pictures[0].counts == {BOAR: 3}
    review.add([item()])
    (change,) = review.changes(1)["items"]  # type: ignore[misc]
    assert (change["boxes"], change["counts"]) == ([], None)
    assert review.survey.pictures[0].correction is None
    assert "boxes" not in lines(review)[-1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"boxes": "x"}, "boxes must be a list"),
        ({"boxes": {}}, "boxes must be a list"),
        ({"boxes": [{"bbox": LEFT, "label": BOAR}] * 1001}, "at most 1000 boxes"),
        ({"boxes": [None]}, "a box is not an object"),
        ({"boxes": [{"label": BOAR}]}, "a box is not an object"),
        ({"boxes": [{"bbox": LEFT[:3], "label": BOAR}]}, "four numbers"),
        ({"boxes": [{"bbox": ["0.1", 0, 0, 0], "label": BOAR}]}, "four numbers"),
        ({"boxes": [{"bbox": [True, 0, 0, 0], "label": BOAR}]}, "four numbers"),
        ({"boxes": [{"bbox": [0.9, 0, 0.3, 0.1], "label": BOAR}]}, "not inside its image"),
        ({"boxes": [{"bbox": [-0.1, 0, 0.3, 0.1], "label": BOAR}]}, "not inside its image"),
        ({"boxes": [{"bbox": [float("nan"), 0, 0, 0], "label": BOAR}]}, "not inside its image"),
        ({"boxes": [{"bbox": [10**400, 0, 0, 0], "label": BOAR}]}, "not inside its image"),
        ({"boxes": [{"bbox": LEFT, "label": "boar"}]}, "does not have 7 parts"),
        ({"boxes": [{"bbox": LEFT, "label": "u;;;;;;unicorn"}]}, "no such label"),
        ({"counts": [3]}, "counts must be an object"),
        ({"counts": {"u;;;;;;unicorn": 1}}, "no such label"),
        ({"counts": {BOAR: -1}}, "whole number"),
        ({"counts": {BOAR: 1.5}}, "whole number"),
        ({"counts": {BOAR: True}}, "whole number"),
        ({"counts": {BOAR: "3"}}, "whole number"),
        ({"counts": {BOAR: 10**9}}, "whole number"),
    ],
)
def test_invalid_boxes_and_counts_are_refused(review: Review, values: Any, message: str) -> None:
    with pytest.raises(RejectedError, match=message) as caught:
        review.add([item(FOX, 1), item(**values)])
    assert caught.value.status == 400
    assert str(caught.value).count(".") <= 2
    assert lines(review) == []


def test_correction_that_is_sent_again_is_saved_once(review: Review) -> None:
    review.add([item(FOX, id="1"), item(FOX, 1, id="2"), item(FOX, 1, id="2")])
    review.add([item(BOAR, id="3")])
    review.add([item(FOX, id="1"), item(DEER, 1, id="4")])  # the first one lost its response
    assert [(one["filepath"], one["label"]) for one in lines(review)] == [
        ("s/a.jpg", FOX), ("s/b.jpg", FOX), ("s/a.jpg", BOAR), ("s/b.jpg", DEER),
    ]  # fmt: skip
    assert review.survey.pictures[0].answer == BOAR
    review.add([item(FOX, id="1")])
    assert len(lines(review)) == 4


def test_refused_correction_can_be_sent_again(review: Review) -> None:
    with pytest.raises(RejectedError):
        review.add([item(FOX, id="1"), item("no label", id="2")])
    review.add([item(FOX, id="1")])
    assert len(lines(review)) == 1


@pytest.mark.parametrize("identifier", [None, 1, [], "", "x" * 101])
def test_unusual_identifiers(review: Review, identifier: Any) -> None:
    review.add([item(FOX, id=identifier)])
    assert len(lines(review)) == 1


def test_oldest_identifiers_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_items, "KEPT_IDS", 2)
    saved = SavedIds()
    saved.add([{"id": name} for name in "abc"])
    assert saved.unsaved([{"id": name} for name in "abc"]) == [{"id": "a"}]
