from __future__ import annotations

from typing import Any

import pytest

from speciesnet.errors import InputError
from speciesnet.pipeline import PastResults, Photo, past_photos
from speciesnet.records import Box, Record
from speciesnet.records.boxes import BoxSelection

FOX: Any = {"classes": ["fox"], "scores": [0.9]}
HARE: Any = {"classes": ["hare"], "scores": [0.8]}


def box(conf: float, **more: Any) -> Box:
    plain = {"category": "1", "label": "animal", "conf": conf, "bbox": [conf / 10, 0, 0.5, 0.5]}
    return {**plain, **more}  # type: ignore[typeddict-item]


def past(detections: list[Box], classified: list[Box] | None, **boxes: Any) -> Photo:
    record: Record = {"filepath": "a.jpg", "classifications": FOX}
    if classified is not None:
        record["detections"] = classified
    results = PastResults(
        {"a.jpg": {"filepath": "a.jpg", "detections": detections}}, {"a.jpg": record}
    )
    (photo,) = past_photos(["a.jpg"], results, BoxSelection(**boxes))
    return photo


def test_classes_of_boxes_come_from_the_classifier() -> None:
    found = [box(0.9, classifications=FOX), box(0.3, classifications=HARE), box(0.02)]
    photo = past([box(0.9), box(0.3), box(0.02)], found)
    assert photo.box_classifications == {0: FOX, 1: HARE}
    assert photo.classifications == FOX


def test_only_the_boxes_of_the_selection_get_answers() -> None:
    found = [box(0.9, classifications=FOX), box(0.3, classifications=HARE)]
    assert past([box(0.9), box(0.3)], found, limit=1).box_classifications == {0: FOX}


def test_rounded_boxes_are_the_same_boxes() -> None:
    rounded = box(0.9, classifications=FOX) | {"bbox": [0.09001, 0, 0.5, 0.49995]}
    assert past([box(0.9)], [rounded]).box_classifications == {0: FOX}  # type: ignore[list-item]


def test_an_image_without_boxes_to_classify_needs_no_classes_of_boxes() -> None:
    assert past([box(0.05)], None).box_classifications == {}


@pytest.mark.parametrize(
    ("detections", "classified", "words"),
    [
        (
            [box(0.9)],
            None,
            "no classes for its boxes. Run the classifier again with --classify all",
        ),
        ([box(0.9), box(0.3)], [box(0.9, classifications=FOX)], "belong to different boxes"),
        ([box(0.9)], [box(0.8, classifications=FOX)], "belong to different boxes"),
        (
            [box(0.9), box(0.3)],
            [box(0.9, classifications=FOX), box(0.3)],
            "Detection 2 of a.jpg has not been classified",
        ),
    ],
)
def test_classes_of_other_boxes_are_refused(
    detections: list[Box], classified: list[Box] | None, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        past(detections, classified)
