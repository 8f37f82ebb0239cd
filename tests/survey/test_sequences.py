"""Which photographs belong together, and their one answer."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest
from surveys import BEAR, BLANK, BOAR, DEER, FOX, HUMAN, LABELS, UNKNOWN, box, record

from speciesnet.ensemble.geofence import Rules, load_geofence
from speciesnet.ensemble.taxonomy import load_taxonomy
from speciesnet.files.packages.info import ModelInfo
from speciesnet.records import Classifications, Record
from speciesnet.survey.sequences import (
    camera_folder,
    is_blank,
    mean_classes,
    sequence_answer,
    sequence_numbers,
)

FAILED: Record = {"filepath": "x.jpg", "failures": ["DETECTOR"]}


@pytest.fixture(scope="module")
def rules() -> Rules:
    package = ModelInfo("demo")
    return Rules(load_taxonomy(package), load_geofence(package))


def reviewed(label: str) -> Record:
    return record("r.jpg", label, 1.0, prediction_source="review", classes={BEAR: 0.99})


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("survey/cam1/a.jpg", "survey/cam1"),
        ("survey/cam1/DCIM/100RECNX/a.jpg", "survey/cam1"),
        ("C:\\survey\\cam1\\dcim\\101BTCF_\\a.jpg", "C:/survey/cam1"),
        ("survey/100RECNX/cam1/a.jpg", "survey/100RECNX/cam1"),
        ("survey/cam1/100RECNX/a.jpg", "survey/cam1"),
        ("survey/cam1/101EK113/a.jpg", "survey/cam1"),
        ("survey/cam1/100_BTCF/a.jpg", "survey/cam1"),
        ("survey/cam1/100media/a.jpg", "survey/cam1"),
        ("survey/cam1/DCIM/101A_001/a.jpg", "survey/cam1"),
        ("survey/cam1/100MFCAM/a.jpg", "survey/cam1"),
        ("survey/cam1/101CUDDY/a.jpg", "survey/cam1"),
        ("survey/cam1/100SYCAM/a.jpg", "survey/cam1"),
        ("survey/cam1/100STLTH/a.jpg", "survey/cam1"),
        ("survey/cam1/100IMAGE/a.jpg", "survey/cam1"),
        ("survey/cam1/DCIM/a.jpg", "survey/cam1"),
        ("DCIM/100CANON/a.jpg", ""),
        ("a.jpg", ""),
    ],
)
def test_folders_made_by_a_camera_count_as_the_folder_above(path: str, folder: str) -> None:
    assert "/".join(camera_folder(path)) == folder


@pytest.mark.parametrize(
    "folder",
    [
        "survey/10012345", "survey/20230415", "survey/101NORTH", "survey/205_EAST", "survey/101A_001",
        "survey/DCIM/10012345", "survey/DCIM/20230415", "survey/DCIM/cam1", "survey/DCIM/cam1/101NORTH",
    ],
)  # fmt: skip
def test_serial_numbers_dates_and_sites_are_cameras(folder: str) -> None:
    assert "/".join(camera_folder(f"{folder}/a.jpg")) == folder


def test_sequences_of_a_camera_end_with_a_pause() -> None:
    taken = [
        ("a", "2024-05-01T06:30:00"),
        ("b", "2024-05-01T06:30:10"),
        ("a", "2024-05-01T06:31:00"),
        ("a", "2024-05-01T06:32:01"),
        ("a", None),
        ("a", None),
    ]
    assert sequence_numbers(taken) == [1, 1, 1, 2, 3, 4]
    assert sequence_numbers(taken, gap=61) == [1, 1, 1, 1, 2, 3]
    assert sequence_numbers(taken, gap=0) == [1, 1, 2, 3, 4, 5]


def every(seconds: int, count: int) -> list[tuple[str, str | None]]:
    start = datetime(2024, 5, 1, 6)
    moments = [start + timedelta(seconds=seconds * i) for i in range(count)]
    return [("cam1", moment.isoformat()) for moment in moments]


def test_timer_does_not_make_one_sequence_of_a_day() -> None:
    assert Counter(sequence_numbers(every(60, 600))).most_common(1)[0][1] == 16  # 15 minutes
    numbers = sequence_numbers(every(60, 600), blanks=[True] * 600)
    assert Counter(numbers).most_common(1)[0][1] == 6  # 5 minutes


def test_blank_photographs_separate_animals() -> None:
    taken = every(60, 600)
    fox, raccoon = 3, 360
    numbers = sequence_numbers(taken, blanks=[i not in (fox, raccoon) for i in range(600)])
    assert numbers[fox] != numbers[raccoon]
    of_fox = [i for i, number in enumerate(numbers) if number == numbers[fox]]
    assert of_fox == list(range(fox + 6))
    assert sequence_numbers(taken[:8], blanks=[False, *[True] * 6, False])[-1] == 2
    assert sequence_numbers(taken[:6], blanks=[False, *[True] * 4, False]) == [1] * 6


def test_longest_duration_grows_with_the_gap() -> None:
    assert sequence_numbers(every(60, 600), gap=3600, blanks=[True] * 600) == [
        *[1] * 301,
        *[2] * 299,
    ]
    assert set(sequence_numbers(every(60, 600), gap=3600)) == {1}


def test_blank_is_an_answer_and_not_a_failure() -> None:
    assert is_blank(record("a.jpg", BLANK))
    assert not is_blank(record("a.jpg", FOX))
    assert not is_blank(FAILED)


def test_uncertain_frames_that_agree_outweigh_a_more_certain_one(rules: Rules) -> None:
    frames = [record("a.jpg", FOX, classes={FOX: 0.7, DEER: 0.1}) for _ in range(3)]
    other = record("d.jpg", DEER, classes={DEER: 0.75, FOX: 0.65})
    answer = sequence_answer([other, *frames], rules)
    assert answer == (FOX, pytest.approx((3 * 0.7 + 0.65) / 4), "classifier")


def test_blank_frames_do_not_count(rules: Rules) -> None:
    blanks = [record(f"{i}.jpg", BLANK, 0.99) for i in range(5)]
    assert sequence_answer([*blanks, record("a.jpg", FOX, 0.9)], rules) == (FOX, 0.9, "classifier")
    answer = sequence_answer(blanks, rules)
    assert answer == (BLANK, pytest.approx(0.99), "classifier")


def test_people_are_found_by_the_best_box_of_any_frame(rules: Rules) -> None:
    frames = [
        record("a.jpg", HUMAN, classes={HUMAN: 0.6, DEER: 0.3}, boxes=[box("human", 0.95)]),
        record("b.jpg", DEER, classes={DEER: 0.9}, boxes=[box("animal", 0.8)]),
    ]
    assert sequence_answer(frames, rules) == (HUMAN, 0.95, "detector")


def test_failures_and_images_without_answer_do_not_count(rules: Rules) -> None:
    detector_only: Record = {"filepath": "d.jpg", "detections": [box()]}
    classes: Classifications = {"classes": [FOX], "scores": [1.0]}
    classifier_only: Record = {"filepath": "c.jpg", "classifications": classes}
    no_classes: Record = {"filepath": "n.jpg", "prediction": FOX, "prediction_score": 0.9}
    uncounted = [FAILED, detector_only, classifier_only, no_classes]
    assert sequence_answer(uncounted, rules) is None
    assert sequence_answer([], rules) is None
    found = sequence_answer([*uncounted, record("a.jpg", FOX, 0.9)], rules)
    assert found == (FOX, 0.9, "classifier")


def test_frames_that_agree_only_on_a_family_are_rolled_up(rules: Rules) -> None:
    wolf = FOX.replace("vulpes;vulpes;red fox", "canis;lupus;gray wolf")
    frames = [
        record("a.jpg", FOX, classes={FOX: 0.5, wolf: 0.4}),
        record("b.jpg", UNKNOWN, classes={wolf: 0.5, FOX: 0.4}),
    ]
    label, score, source = sequence_answer(frames, rules) or ("", 0, "")
    assert label == LABELS["canine family"]
    assert score == pytest.approx(0.9)
    assert source == "classifier+rollup_to_family"


def test_geofence_applies_where_the_images_were_taken(rules: Rules) -> None:
    frames = [record("a.jpg", DEER, 0.95, country="KEN") for _ in range(2)]
    label, _, source = sequence_answer(frames, rules) or ("", 0, "")
    assert source.startswith("classifier+geofence+rollup")
    assert label != DEER
    unfenced = Rules(rules.taxonomy_map, rules.geofence_map, enable_geofence=False)
    assert sequence_answer(frames, unfenced) == (DEER, pytest.approx(0.95), "classifier")


def test_reviewed_frames_decide(rules: Rules) -> None:
    frames = [record(f"{i}.jpg", FOX, 0.99) for i in range(4)]
    assert sequence_answer([*frames, reviewed(BOAR)], rules) == (BOAR, 1.0, "review")
    # The animal was out of sight there: the others still show it.
    assert sequence_answer([reviewed(BLANK), *frames], rules) == (
        FOX,
        pytest.approx(0.99),
        "classifier",
    )
    blanks = [record(f"{i}.jpg", BLANK, 0.9, boxes=[]) for i in range(2)]
    assert sequence_answer([reviewed(BLANK), *blanks], rules) == (
        BLANK,
        pytest.approx(0.9),
        "classifier",
    )
    assert sequence_answer([reviewed(BLANK), reviewed(BLANK)], rules) == (BLANK, 1.0, "review")
    several = [reviewed(BLANK), reviewed(BLANK), reviewed(DEER), reviewed(BOAR), reviewed(BOAR)]
    assert sequence_answer(several, rules) == (BOAR, 1.0, "review")
    assert sequence_answer([FAILED, reviewed(BEAR)], rules) == (BEAR, 1.0, "review")


def test_mean_counts_classes_that_an_image_does_not_list_as_zero() -> None:
    first: Classifications = {"classes": [FOX, DEER], "scores": [0.6, 0.4]}
    second: Classifications = {"classes": [DEER, BOAR], "scores": [0.5, 0.5]}
    classes, scores = mean_classes([first, second])
    assert classes == [DEER, FOX, BOAR]
    assert scores == pytest.approx([0.45, 0.3, 0.25])
    many: Classifications = {"classes": [str(i) for i in range(9)], "scores": [0.1] * 9}
    assert mean_classes([many])[0] == ["0", "1", "2", "3", "4"]


def test_malformed_label_is_a_value_error(rules: Rules) -> None:
    with pytest.raises(ValueError, match="parts instead of 7"):
        sequence_answer([record("a.jpg", "fox", classes={"fox": 0.5})], rules)
