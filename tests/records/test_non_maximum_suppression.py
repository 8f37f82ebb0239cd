from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from speciesnet.records.boxes import Boxes
from speciesnet.records.non_maximum_suppression import non_maximum_suppression


def naive_suppression(boxes: Boxes, scores: Boxes, threshold: float, at_most: int) -> list[int]:
    """Every pair of boxes in two loops, in float32 as the boxes are."""
    f = np.float32
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        x1, y1, x2, y2 = boxes[i]
        suppressed = False
        for k in kept:
            kx1, ky1, kx2, ky2 = boxes[k]
            width = max(f(0), min(x2, kx2) - max(x1, kx1))
            height = max(f(0), min(y2, ky2) - max(y1, ky1))
            intersection = width * height
            union = (kx2 - kx1) * (ky2 - ky1) + (x2 - x1) * (y2 - y1) - intersection
            if union > 0 and float(intersection / union) > threshold:
                suppressed = True
        if not suppressed and len(kept) < at_most:
            kept.append(i)
    return kept


@st.composite
def scored_boxes(draw: st.DrawFn) -> tuple[Boxes, Boxes]:
    count = draw(st.integers(0, 25))
    # Few values, so that boxes overlap, touch, coincide and tie; or many.
    numbers = draw(st.sampled_from([st.integers(0, 12).map(float), st.floats(0, 1280, width=32)]))
    starts = draw(arrays.arrays(np.float32, (count, 2), elements=numbers))
    sizes = draw(arrays.arrays(np.float32, (count, 2), elements=numbers))
    scores = draw(
        arrays.arrays(
            np.float32, count, elements=st.sampled_from([0.1, 0.2, 0.3]) | st.floats(0, 1, width=32)
        )
    )
    return np.concatenate((starts, starts + sizes), axis=1), scores


@settings(max_examples=300)
@given(scored_boxes(), st.sampled_from([0.45, 0.0, 0.5, 1.0]), st.sampled_from([300, 3, 1, 0]))
def test_suppression_is_that_of_every_pair(
    boxes_and_scores: tuple[Boxes, Boxes], threshold: float, at_most: int
) -> None:
    boxes, scores = boxes_and_scores
    kept = non_maximum_suppression(boxes, scores, threshold, at_most)
    assert kept.tolist() == naive_suppression(boxes, scores, threshold, at_most)


def test_an_overlap_of_exactly_the_threshold_is_kept() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 5, 10, 10]], dtype=np.float32)
    scores = np.array([0.9, 0.8], dtype=np.float32)
    assert non_maximum_suppression(boxes, scores, 0.5, 300).tolist() == [0, 1]
    assert non_maximum_suppression(boxes, scores, 0.4999, 300).tolist() == [0]


def test_a_suppressed_box_suppresses_nothing() -> None:
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], dtype=np.float32)
    scores = np.array([0.9, 0.8, 0.7], dtype=np.float32)
    assert non_maximum_suppression(boxes, scores, 0.4, 300).tolist() == [0, 2]


def test_boxes_of_no_area_are_all_kept() -> None:
    boxes = np.array([[5, 5, 5, 9]] * 3, dtype=np.float32)
    scores = np.array([0.7, 0.9, 0.8], dtype=np.float32)
    assert non_maximum_suppression(boxes, scores, 0.45, 300).tolist() == [1, 2, 0]


def test_equal_scores_stay_in_order() -> None:
    boxes = np.array([[i * 20, 0, i * 20 + 10, 10] for i in range(5)], dtype=np.float32)
    kept = non_maximum_suppression(boxes, np.full(5, 0.5, dtype=np.float32), 0.45, 3)
    assert kept.tolist() == [0, 1, 2]
