from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from surveys import BLANK, DEER, FOX, answered_box, box, correction, record, survey_of

from speciesnet.export.megadetector import MegaDetectorConverter
from speciesnet.records import Box, Record
from speciesnet.survey.corrections import (
    Correction,
    CorrectionsFile,
    corrected,
    read_corrections,
    read_verdicts,
)
from speciesnet.survey.stone_verdicts import PlacedBox, StoneVerdict
from speciesnet.survey.stones import (
    Bin,
    SeenBox,
    Sightings,
    Stone,
    effective_days,
    overlaps,
    same_place,
    stones_in_pictures,
    with_verdicts,
)

PLACE = (0.1, 0.2, 0.2, 0.1)
START = datetime(2024, 5, 1, 12)


def dates(count: int, apart: timedelta) -> list[str | None]:
    return [(START + number * apart).isoformat() for number in range(count)]


def found(
    taken: Iterable[str | None],
    *,
    every: int = 1,
    label: str | None = None,
    conf: float = 0.5,
    places: Sequence[Sequence[float]] = (PLACE,),
    camera: str = "cam1",
) -> list[Stone]:
    """The stones among images of which every nth has a box."""
    sightings = Sightings()
    for number, date in enumerate(taken):
        boxes = [SeenBox("animal", conf, places[number % len(places)], label, 0.95)]
        sightings.add(f"{camera}/{number}.jpg", date, [] if number % every else boxes)
    return sightings.find()


def test_boxes_of_many_days_are_a_stone() -> None:
    (stone,) = found(dates(40, timedelta(hours=12)), every=2, label=DEER, conf=0.4)
    assert (stone.camera, stone.kind, len(stone.boxes), stone.days) == ("cam1", "animal", 20, 20)
    assert (stone.first, stone.last) == ("2024-05-01T12:00:00", "2024-05-20T12:00:00")
    assert stone.empty == pytest.approx(1 - 20 / 39)
    assert stone.answers == {DEER: 20}
    assert {path for path, _ in stone.boxes} == {f"cam1/{n}.jpg" for n in range(0, 40, 2)}
    assert sum(one.images for one in stone.time_line) == 40
    assert stone.time_line[0] == Bin(1, 1)


def test_many_boxes_of_one_night_are_an_animal_that_sleeps() -> None:
    assert found(dates(300, timedelta(minutes=2))) == []
    two_nights = [*dates(100, timedelta(minutes=2)), "2024-05-02T12:00:00", "2024-05-09T12:00:00"]
    assert found(two_nights) == []  # chance boxes of other days do not make it a stone


def test_a_stone_needs_eight_boxes_of_one_camera_and_kind() -> None:
    assert found(dates(7, timedelta(days=1))) == []
    assert len(found(dates(8, timedelta(days=1)))) == 1
    sightings = Sightings()
    for number, date in enumerate(dates(14, timedelta(days=1))):
        kind = ["animal", "human"][number % 2]
        sightings.add(f"cam1/{number}.jpg", date, [SeenBox(kind, 0.5, PLACE)])
        sightings.add(f"other{number}/0.jpg", date, [SeenBox("animal", 0.5, PLACE)])
    assert sightings.find() == []


def test_a_certain_species_that_comes_and_goes_is_an_animal_on_its_nest() -> None:
    days = dates(60, timedelta(hours=9))
    assert found(days, every=3, label=FOX, conf=0.95) == []
    assert len(found(days, label=FOX, conf=0.95)) == 1  # the place never looks empty
    assert len(found(days, every=3, label=FOX, conf=0.3)) == 1
    assert len(found(days, every=3, label=BLANK, conf=0.95)) == 1


def test_a_trail_is_not_a_stone() -> None:
    random = np.random.default_rng(1)
    sides = random.uniform((0.1, 0.48, 0.15, 0.1), (0.6, 0.52, 0.25, 0.2), (400, 4))
    places = [tuple(map(float, box)) for box in sides]
    assert found(dates(400, timedelta(hours=3)), places=places) == []
    places[::4] = [PLACE] * 100
    (stone,) = found(dates(400, timedelta(hours=3)), places=places)
    assert len(stone.boxes) == 100


def test_without_dates_twenty_boxes_are_needed() -> None:
    assert found([None] * 19) == []
    (stone,) = found([None] * 20)
    assert (stone.first, stone.last, stone.empty, stone.time_line) == (None, None, 0.0, ())


def test_large_and_faint_boxes_are_left_out() -> None:
    days = dates(30, timedelta(days=1))
    assert found(days, places=[(0.1, 0.1, 0.5, 0.5)]) == []
    assert found(days, conf=0.09) == []


def test_groups_are_those_around_the_box_with_the_most_others() -> None:
    shifts = [0.0, 0.03, 0.015, 0.014, 0.016, 0.5]  # of a box of width 0.2
    sides = np.array([(0.1 + shift, 0.2, 0.2, 0.1) for shift in shifts], np.float32)
    (group,) = same_place(sides, 3)
    assert group.tolist() == [2, 0, 1, 3, 4]
    assert same_place(sides, 6) == []


def test_blocks_find_the_same_neighbors_as_all_pairs() -> None:
    random = np.random.default_rng(2)
    sides = random.uniform(0.2, 0.3, (900, 4)).astype(np.float32)
    groups = same_place(sides, 5)
    near = overlaps(sides, sides) >= 0.85
    assert len(groups[0]) == near.sum(axis=1).max() > 5


def test_effective_days_count_rare_days_less() -> None:
    hours = np.array([0.0] * 98 + [30.0, 60.0])
    assert effective_days(hours * 3600) == pytest.approx(1 / (0.98**2 + 2 * 0.01**2))


def test_verdict_is_kept_next_to_corrections_and_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "p.json.corrections.jsonl"
    (stone,) = found(dates(8, timedelta(days=1)))
    with CorrectionsFile(path) as file:
        file.add([stone.decided("stone", "2024-06-01T00:00:00+00:00", "Jane")])
        file.add([correction("cam1/0.jpg", FOX)])
    corrections = read_corrections(path)
    assert len(corrections) == 8
    assert corrections["cam1/0.jpg"].label == FOX
    assert [one.verdict for one in with_verdicts([stone], read_verdicts(path))] == ["stone"]
    with CorrectionsFile(path) as file:
        file.add([stone.decided(None, "2024-06-02T00:00:00+00:00", "Jane")])
    assert [*read_corrections(path)] == ["cam1/0.jpg"]
    assert read_verdicts(path) == {}


def test_verdict_stays_when_images_are_added(tmp_path: Path) -> None:
    (before,) = found(dates(8, timedelta(days=1)))
    (after,) = found(dates(14, timedelta(days=1)))
    verdicts = {before.name: before.decided("animal", "", "")}
    (decided,) = with_verdicts([after], verdicts)
    assert (decided.name, decided.verdict) == (before.name, "animal")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("verdict", "rock"),
        ("boxes", []),
        ("boxes", [[1, list(PLACE)]]),
        ("boxes", [["a", [0, 0, 2, 2]]]),
        ("at", 3),
    ],
)
def test_damaged_verdict_is_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, key: str, value: object
) -> None:
    path = tmp_path / "p.json.corrections.jsonl"
    line = StoneVerdict("ab", "stone", (PlacedBox("a.jpg", PLACE),), "", "").as_json()
    path.write_text(json.dumps({**line, key: value}) + "\n")
    assert read_verdicts(path) == {}


def taken_out(
    one: Record, *bboxes: Sequence[float], by_person: Correction | None = None
) -> dict[str, Any]:
    """The record after its boxes at some places were found to be stones."""
    boxes = tuple(PlacedBox(one["filepath"], (b[0], b[1], b[2], b[3])) for b in bboxes)
    path = Path("corrections.jsonl")
    with CorrectionsFile(path) as file:
        file.add([StoneVerdict("ab", "stone", boxes, "2024-06-01T00:00:00+00:00", "Jane")])
        file.add([by_person] if by_person else [])
    (after,) = corrected([one], read_corrections(path))
    return cast("dict[str, Any]", after)


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_image_of_a_stone_alone_becomes_blank() -> None:
    after = taken_out(record("a.jpg", FOX, boxes=[box(bbox=PLACE), box(conf=0.1)]), PLACE)
    assert (after["prediction"], after["prediction_source"]) == (BLANK, "review")
    at = "2024-06-01T00:00:00+00:00"
    assert after.get("review") == {"predicted": FOX, "at": at, "reviewer": "Jane"}
    assert "classifications" not in after
    assert [one["conf"] for one in after["detections"]] == [0.1]


def test_image_of_a_stone_and_an_animal_gets_the_answer_of_the_animal() -> None:
    stone, deer = box(bbox=PLACE, conf=0.9), answered_box(DEER, conf=0.8)
    after = taken_out(record("a.jpg", FOX, boxes=[stone, deer]), PLACE)
    assert (after["prediction"], after["prediction_source"]) == (DEER, "classifier")
    unanswered = taken_out(record("a.jpg", FOX, boxes=[stone, box(conf=0.8)]), PLACE)
    assert unanswered["prediction"].endswith(";animal")
    kept = taken_out(record("a.jpg", FOX, boxes=[{**stone, "conf": 0.3}, box()]), PLACE)
    assert (kept["prediction"], len(kept["detections"])) == (FOX, 1)


def test_answer_of_a_person_counts_more_than_a_stone() -> None:
    one = record("a.jpg", FOX, boxes=[box(bbox=PLACE)])
    after = taken_out(one, PLACE, by_person=correction("a.jpg", DEER, predicted=FOX))
    assert (after["prediction"], after["detections"]) == (DEER, [])


def test_stone_leaves_all_frames_of_a_film() -> None:
    near = [PLACE[0] + 0.005, *PLACE[1:]]
    boxes: list[Box] = [
        {**box(bbox=PLACE), "frame_number": 0},
        {**box(bbox=near), "frame_number": 30},
        {**box(), "frame_number": 30},
    ]
    film = record("a.mp4", FOX, boxes=boxes)
    after = taken_out(cast("Record", {**film, "frames_processed": [0, 30]}), PLACE)
    assert [one["bbox"] for one in after["detections"]] == [box()["bbox"]]
    assert len(after["stones"]) == 2


def test_megadetector_export_has_negative_confidences() -> None:
    after = taken_out(record("a.jpg", FOX, boxes=[box(bbox=PLACE, conf=0.9), box(conf=0.3)]), PLACE)
    image = MegaDetectorConverter().image(cast("Record", after))
    boxes = image["detections"] or []
    assert [one["conf"] for one in boxes] == [0.3, -0.9]
    assert "classifications" not in boxes[1]


def test_survey_leaves_stones_out_but_still_finds_them(tmp_path: Path) -> None:
    records = [
        record(f"cam1/{number}.jpg", FOX, taken=date, boxes=[box(bbox=PLACE, conf=0.4)])
        for number, date in enumerate(dates(10, timedelta(days=1)))
    ]
    before = survey_of(tmp_path, *records)
    (stone,) = stones_in_pictures(before.pictures)
    path = tmp_path / "predictions.json.corrections.jsonl"
    with CorrectionsFile(path) as file:
        file.add([stone.decided("stone", "", "")])
    after = survey_of(tmp_path, *records, corrections=[*read_corrections(path).values()])
    assert {picture.answer for picture in after.pictures} == {BLANK}
    assert all(not picture.boxes and picture.correction is None for picture in after.pictures)
    assert stones_in_pictures(after.pictures) == [stone]
