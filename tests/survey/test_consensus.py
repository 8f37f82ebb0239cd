from __future__ import annotations

import pytest
from surveys import BEAR, BLANK, BOAR, DEER, FOX, HUMAN, LABELS, UNKNOWN, box, record

from speciesnet.geofence import Rules, load_geofence
from speciesnet.packages.info import ModelInfo
from speciesnet.survey.consensus import consensus, mean_classes
from speciesnet.taxonomy import load_taxonomy

FAILED = {"filepath": "x.jpg", "failures": ["DETECTOR"]}


@pytest.fixture(scope="module")
def rules() -> Rules:
    package = ModelInfo("demo")
    return Rules(load_taxonomy(package), load_geofence(package))


def reviewed(label: str) -> dict[str, object]:
    return record("r.jpg", label, 1.0, prediction_source="review", classes={BEAR: 0.99})


def test_unsure_frames_that_agree_outweigh_a_surer_one(rules: Rules) -> None:
    frames = [record("a.jpg", FOX, classes={FOX: 0.7, DEER: 0.1}) for _ in range(3)]
    other = record("d.jpg", DEER, classes={DEER: 0.75, FOX: 0.65})
    answer = consensus([other, *frames], rules)
    assert answer == (FOX, pytest.approx((3 * 0.7 + 0.65) / 4), "classifier")


def test_blank_frames_do_not_count(rules: Rules) -> None:
    blanks = [record(f"{i}.jpg", BLANK, 0.99) for i in range(5)]
    assert consensus([*blanks, record("a.jpg", FOX, 0.9)], rules) == (FOX, 0.9, "classifier")
    answer = consensus(blanks, rules)
    assert answer == (BLANK, pytest.approx(0.99), "classifier")


def test_people_are_found_by_the_best_box_of_any_frame(rules: Rules) -> None:
    frames = [
        record("a.jpg", HUMAN, classes={HUMAN: 0.6, DEER: 0.3}, boxes=[box("human", 0.95)]),
        record("b.jpg", DEER, classes={DEER: 0.9}, boxes=[box("animal", 0.8)]),
    ]
    assert consensus(frames, rules) == (HUMAN, 0.95, "detector")


def test_failures_and_images_without_answer_do_not_count(rules: Rules) -> None:
    detector_only = {"filepath": "d.jpg", "detections": [box()]}
    classifier_only = {"filepath": "c.jpg", "classifications": {"classes": [FOX], "scores": [1.0]}}
    no_classes = {"filepath": "n.jpg", "prediction": FOX, "prediction_score": 0.9}
    uncounted = [FAILED, detector_only, classifier_only, no_classes]
    assert consensus(uncounted, rules) is None
    assert consensus([], rules) is None
    found = consensus([*uncounted, record("a.jpg", FOX, 0.9)], rules)
    assert found == (FOX, 0.9, "classifier")


def test_frames_that_agree_on_a_family_only_are_rolled_up(rules: Rules) -> None:
    wolf = FOX.replace("vulpes;vulpes;red fox", "canis;lupus;gray wolf")
    frames = [
        record("a.jpg", FOX, classes={FOX: 0.5, wolf: 0.4}),
        record("b.jpg", UNKNOWN, classes={wolf: 0.5, FOX: 0.4}),
    ]
    label, score, source = consensus(frames, rules) or ("", 0, "")
    assert label == LABELS["canine family"]
    assert score == pytest.approx(0.9)
    assert source == "classifier+rollup_to_family"


def test_geofence_applies_where_the_images_were_taken(rules: Rules) -> None:
    frames = [record("a.jpg", DEER, 0.95, country="KEN") for _ in range(2)]
    label, _, source = consensus(frames, rules) or ("", 0, "")
    assert source.startswith("classifier+geofence+rollup")
    assert label != DEER
    unfenced = Rules(rules.taxonomy_map, rules.geofence_map, enable_geofence=False)
    assert consensus(frames, unfenced) == (DEER, pytest.approx(0.95), "classifier")


def test_reviewed_frames_decide(rules: Rules) -> None:
    frames = [record(f"{i}.jpg", FOX, 0.99) for i in range(4)]
    assert consensus([*frames, reviewed(BOAR)], rules) == (BOAR, 1.0, "review")
    # The animal was out of sight there: the others still show it.
    assert consensus([reviewed(BLANK), *frames], rules) == (FOX, pytest.approx(0.99), "classifier")
    blanks = [record(f"{i}.jpg", BLANK, 0.9, boxes=[]) for i in range(2)]
    assert consensus([reviewed(BLANK), *blanks], rules) == (BLANK, pytest.approx(0.9), "classifier")
    assert consensus([reviewed(BLANK), reviewed(BLANK)], rules) == (BLANK, 1.0, "review")
    several = [reviewed(BLANK), reviewed(BLANK), reviewed(DEER), reviewed(BOAR), reviewed(BOAR)]
    assert consensus(several, rules) == (BOAR, 1.0, "review")
    assert consensus([FAILED, reviewed(BEAR)], rules) == (BEAR, 1.0, "review")


def test_mean_counts_classes_that_an_image_does_not_list_as_zero() -> None:
    first = {"classes": [FOX, DEER], "scores": [0.6, 0.4]}
    second = {"classes": [DEER, BOAR], "scores": [0.5, 0.5]}
    classes, scores = mean_classes([first, second])
    assert classes == [DEER, FOX, BOAR]
    assert scores == pytest.approx([0.45, 0.3, 0.25])
    many = {"classes": [str(i) for i in range(9)], "scores": [0.1] * 9}
    assert mean_classes([many])[0] == ["0", "1", "2", "3", "4"]


def test_malformed_label_is_a_value_error(rules: Rules) -> None:
    with pytest.raises(ValueError, match="parts instead of 7"):
        consensus([record("a.jpg", "fox", classes={"fox": 0.5})], rules)
