"""One survey has the same boxes and the same numbers in every export and on every page."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from commands import run_here
from surveys import BOAR, DEER, FOX, HUMAN, LABELS, answered_box, box, record, write_predictions

from speciesnet.ensemble.taxonomy import split_label
from speciesnet.files.moved_photographs import Photographs
from speciesnet.records import Box, Record
from speciesnet.scripts.speciesnet_to_table import KINDS
from speciesnet.survey.corrections import Correction, corrections_path
from speciesnet.survey.survey import Survey, load_survey

MAMMAL = LABELS["mammal"]
LEFT, MIDDLE, RIGHT = (0.0, 0.1, 0.2, 0.3), (0.35, 0.1, 0.2, 0.3), (0.7, 0.1, 0.2, 0.3)
Counts = dict[str, dict[str, int]]  # by photograph, or by the hour of an event at a camera


def certain(label: str, bbox: Any, kind: str = "animal", conf: float = 0.9) -> Box:
    return answered_box(label, kind, 0.95, bbox=bbox, conf=conf)


def doubtful(bbox: Any, conf: float = 0.5, **scores: float) -> Box:
    classes = {LABELS[name]: score for name, score in scores.items()}
    found: Any = answered_box(MAMMAL, score=0.7, bbox=bbox, conf=conf) | {
        "classifications": {"classes": [*classes], "scores": [*classes.values()]},
        "prediction_source": "classifier+rollup_to_class",
    }
    return found


def at(name: str, taken: str, answer: str, *boxes: Box) -> Record:
    metadata = {"datetime": f"2024-05-01T{taken}", "latitude": -1.29, "longitude": 36.82}
    return record(f"s/{name}.jpg", answer, 0.95, boxes=boxes, metadata=metadata)


def survey() -> list[Record]:
    boar = {"wild boar": 0.6, "red fox": 0.1}
    return [
        # A boar, twice on the same pixels, and next to it something that is probably another boar.
        at("cam1/a", "06:30:00", BOAR, certain(BOAR, LEFT), certain(BOAR, LEFT, "vehicle", 0.3)),
        at("cam1/b", "06:30:02", BOAR, certain(BOAR, LEFT), doubtful(MIDDLE, **boar),
           doubtful(MIDDLE, 0.4, **boar), box(bbox=RIGHT, conf=0.06)),
        at("cam1/c", "06:30:04", MAMMAL, doubtful(LEFT, **boar), doubtful(RIGHT, **boar),
           certain(HUMAN, MIDDLE, "human")),
        # Later, something that could be anything next to a deer, and again without the deer.
        at("cam1/d", "09:00:00", DEER, certain(DEER, LEFT), doubtful(RIGHT, **{"no cv result": 0.1})),
        at("cam1/e", "09:00:02", MAMMAL, doubtful(LEFT), doubtful(RIGHT)),
        at("cam2/a", "06:30:00", FOX, certain(FOX, LEFT), certain(FOX, RIGHT)),
        at("cam2/b", "06:30:01", FOX, certain(FOX, RIGHT), doubtful(LEFT, **boar)),
    ]  # fmt: skip


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open(encoding="utf-8", newline="")))


def hour_of(folder: str, taken: str) -> str:
    return f"{folder.rpartition('/')[2]} {taken[11:13]}"


def collected(cells: Iterable[tuple[str, str, str]]) -> Counts:
    """The numbers in the column ``count``."""
    found: Counts = defaultdict(dict)
    for key, name, count in cells:
        if count:
            found[key][name] = int(count)
    return dict(found)


def parsed(cells: Iterable[tuple[str, str]]) -> Counts:
    """The numbers in the column ``counts``."""
    pairs = (
        (key, (one.rpartition(": ") for one in text.split("; "))) for key, text in cells if text
    )
    return {key: {name: int(number) for name, _, number in numbers} for key, numbers in pairs}


def named(counts: Counts, *, is_scientific: bool = False) -> Counts:
    """Numbers by common name, or by scientific name; vehicles, which have none, are left out then."""
    found: Counts = defaultdict(dict)
    for key, numbers in counts.items():
        for label, number in numbers.items():
            parts = split_label(label)
            if name := parts.scientific_name if is_scientific else parts.name:
                found[key][name] = number
    return dict(found)


FIXES = [
    Correction("s/cam1/a.jpg", DEER, BOAR, "2024-05-02T08:00:00+00:00"),
    Correction("s/cam2/a.jpg", None, FOX, "2024-05-02T08:00:00+00:00", counts={FOX: 5}),
]


def pages_of(predictions: Path, fixes: list[Correction], smooth: bool) -> Survey:
    """The survey that the pages of a report show."""
    return load_survey(
        predictions,
        photographs=Photographs(),
        corrections={one.filepath: one for one in fixes},
        smooth_boxes=smooth,
    )


@pytest.fixture(params=[(True, []), (False, []), (True, FIXES), (False, FIXES)])
def exported(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, Survey, bool]:
    """The folder of all exports, the survey of a report, and whether boxes are smoothed."""
    smooth, fixes = request.param
    predictions = write_predictions(tmp_path / "p.json", *survey())
    lines = (json.dumps(fix.as_json()) + "\n" for fix in fixes)
    corrections_path(predictions).write_text("".join(lines), encoding="ascii")
    project = ("--title", "T", "--contributor", "Jane", "--timezone", "+03:00")
    for command, name, flags in (
        *(("to_table", f"{rows}.csv", ("--rows", rows)) for rows in KINDS),
        ("to_camtrap_dp", "dp", project),
        ("to_md", "md.json", ()),
    ):
        off = () if smooth else ("--nosmooth_boxes",)
        done = run_here(f"speciesnet_{command}", predictions, tmp_path / name, *flags, *off)
        assert done.code == 0, done.err
    return tmp_path, pages_of(predictions, fixes, smooth), smooth


def test_photographs_show_the_same_everywhere(exported: tuple[Path, Survey, bool]) -> None:
    folder, pages, smooth = exported
    counts = {one.filepath: one.counts for one in pages.pictures}
    images, observations = rows_of(folder / "image.csv"), rows_of(folder / "observation.csv")
    assert parsed((row["file"], row["counts"]) for row in images) == named(counts)
    cells = ((row["file"], row["common_name"], row["count"]) for row in observations)
    assert collected(cells) == named(counts)
    media = [
        (f"s/{row['mediaID']}", row["scientificName"], row["count"])
        for row in rows_of(folder / "dp" / "observations.csv")
        if row["observationLevel"] == "media"
    ]
    assert collected(media) == named(counts, is_scientific=True)
    assert counts["s/cam1/b.jpg"] == ({BOAR: 2} if smooth else {BOAR: 1, MAMMAL: 1})


def test_events_show_the_same_everywhere(exported: tuple[Path, Survey, bool]) -> None:
    folder, pages, _ = exported
    counts = {
        hour_of(one.camera, pages.pictures[one.pictures[0]].taken or ""): pages.counts_of(one)
        for one in pages.sequences
    }
    events, sequences = rows_of(folder / "event.csv"), rows_of(folder / "sequence.csv")
    hours = ((hour_of(row["folder"], row["start"]), row) for row in events)
    assert collected((hour, row["common_name"], row["count"]) for hour, row in hours) == named(
        counts
    )
    hours = ((hour_of(row["folder"], row["start"]), row) for row in sequences)
    assert parsed((hour, row["counts"]) for hour, row in hours) == named(counts)
    of_events = [
        (hour_of(row["deploymentID"], row["eventStart"]), row["scientificName"], row["count"])
        for row in rows_of(folder / "dp" / "observations.csv")
        if row["observationLevel"] == "event"
    ]
    assert collected(of_events) == named(counts, is_scientific=True)


def test_boxes_have_the_same_answers_everywhere(exported: tuple[Path, Survey, bool]) -> None:
    folder, pages, smooth = exported
    shown = [
        [None if box.label is None else split_label(box.label).name for box in one.shown_boxes]
        for one in pages.pictures
    ]
    content = json.loads((folder / "md.json").read_text(encoding="utf-8"))
    classes = content["classification_categories"]
    assert shown == [
        [classes[box["classifications"][0][0]] if "classifications" in box else None
         for box in image["detections"]] for image in content["images"]
    ]  # fmt: skip
    rows = rows_of(folder / "detection.csv")
    assert smooth == any(row["source"].endswith("+sequence") for row in rows)
    by_file: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_file[row["file"]].append(row["common_name"])
    answers = [one.answer or "" for one in pages.pictures]
    assert [*by_file.values()] == [
        [label or split_label(answer).name for label in labels]
        for labels, answer in zip(shown, answers, strict=True)
    ]
