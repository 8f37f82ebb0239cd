"""A small survey in which boxes have their own answers, and its exports."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from camtrap_packages import assert_valid
from megadetector_package import module_of_megadetector
from surveys import BLANK, DEER, FOX, HUMAN, UNKNOWN, box, record, survey_of, write_predictions

from speciesnet.constants import Classification
from speciesnet.export.camtrap_dp import Project, write_camtrap_dp
from speciesnet.export.megadetector import write_megadetector
from speciesnet.export.observations import observations_of
from speciesnet.export.tables import (
    EVENT_COLUMNS,
    SEQUENCE_COLUMNS,
    Row,
    columns,
    event_rows,
    sequence_rows,
    table_rows,
    to_dataframe,
    write_table,
)
from speciesnet.export.xmp import Keywords, keyword_tasks
from speciesnet.records import Box, Record
from speciesnet.survey.box_corrections import BoxCorrection
from speciesnet.survey.corrections import Correction, corrected

ANIMAL = Classification.ANIMAL.value
DEER_FAMILY = "f;mammalia;cetartiodactyla;cervidae;;;cervidae family"
LEFT, RIGHT = (0.0, 0.1, 0.2, 0.3), (0.6, 0.1, 0.2, 0.3)
PLACE = {"latitude": -1.29, "longitude": 36.82}
AT = "2024-05-02T08:00:00+00:00"


def answered(
    label: str, conf: float = 0.9, score: float = 0.8, kind: str = "animal", **values: Any
) -> Box:
    own: Any = {"prediction": label, "prediction_score": score, "prediction_source": "classifier"}
    found: Any = {"classifications": {"classes": [label], "scores": [score]}, **own}
    return box(kind, conf, **values) | found


def survey() -> list[Record]:
    """At 06:30 two deer and a hiker, then three deer; half an hour later four that are less certain.

    Then a single deer; and a camera with a fox without a date, a blank and a failure.
    """
    day = "2024-05-01T"
    walk = [answered(DEER, 0.95, 0.7, bbox=RIGHT), answered(HUMAN, 0.9, 0.99, "human", bbox=LEFT)]
    herd = [answered(DEER, 0.9 - i / 10) for i in range(3)]
    return [
        at("a", f"{day}06:30:00", DEER, 0.7, boxes=[*walk, answered(DEER, 0.5)]),
        at("b", f"{day}06:30:30", DEER, boxes=[*herd, answered(BLANK, 0.3)]),
        at("c", f"{day}06:59:00", DEER_FAMILY, boxes=[answered(DEER_FAMILY)] * 4),
        at("d", f"{day}07:29:00", DEER, boxes=[answered(DEER), box("animal", 0.05)]),
        record("cam2/e.jpg", FOX, boxes=[answered(FOX)]),
        record("cam2/f.jpg", BLANK, 0.995, boxes=[answered(BLANK, 0.4, 0.995)]),
        {"filepath": "cam2/g.jpg", "failures": ["DETECTOR"]},
    ]


def at(name: str, taken: str, *answer: Any, boxes: list[Box]) -> Record:
    return record(f"cam1/{name}.jpg", *answer, taken=taken, boxes=boxes, **PLACE)


def cells(rows: Iterable[Row], *names: str) -> list[tuple[object, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def test_image_has_the_count_of_its_answer_and_those_of_all_labels() -> None:
    assert list(columns("image"))[-2:] == ["count", "counts"]
    assert cells(table_rows(survey()), "file", "common_name", "count", "counts") == [
        ("cam1/a.jpg", "white-tailed deer", 2, "white-tailed deer: 2; human: 1"),
        ("cam1/b.jpg", "white-tailed deer", 3, "white-tailed deer: 3"),
        ("cam1/c.jpg", "cervidae family", 4, "cervidae family: 4"),
        ("cam1/d.jpg", "white-tailed deer", 1, "white-tailed deer: 1"),
        ("cam2/e.jpg", "red fox", 1, "red fox: 1"),
        ("cam2/f.jpg", "blank", None, None),
        ("cam2/g.jpg", None, None, None),
    ]


def test_images_without_box_answers_are_counted_by_their_boxes() -> None:
    boxes = [box("animal", 0.9), box("animal", 0.2), box("animal", 0.19), box("human", 0.6)]
    rows = table_rows([record("a.jpg", FOX, boxes=boxes)], min_confidence=0.95)
    assert cells(rows, "boxes", "count", "counts") == [(0, 2, "red fox: 2; human: 1")]


def test_detection_has_its_own_answer_otherwise_that_of_its_image() -> None:
    first, *_, last = survey()[:4]
    rows = table_rows([first, last], rows="detection")
    assert cells(rows, "file", "box", "common_name", "score", "source") == [
        ("cam1/a.jpg", 1, "white-tailed deer", 0.7, "classifier"),
        ("cam1/a.jpg", 2, "human", 0.99, "classifier"),
        ("cam1/a.jpg", 3, "white-tailed deer", 0.8, "classifier"),
        ("cam1/d.jpg", 1, "white-tailed deer", 0.8, "classifier"),
        ("cam1/d.jpg", 2, "white-tailed deer", 0.9, "classifier"),
    ]
    assert not {"count", "counts"} & set(columns("detection"))


def test_observation_is_a_label_of_an_image() -> None:
    rows = list(table_rows(survey(), rows="observation"))
    names = ("file", "common_name", "score", "confidence", "xmin", "count")
    assert cells(rows, *names) == [
        ("cam1/a.jpg", "white-tailed deer", 0.7, 0.95, 0.6, 2),
        ("cam1/a.jpg", "human", 0.99, 0.9, 0.0, 1),
        ("cam1/b.jpg", "white-tailed deer", 0.8, 0.9, 0.2, 3),
        ("cam1/c.jpg", "cervidae family", 0.8, 0.9, 0.2, 4),
        ("cam1/d.jpg", "white-tailed deer", 0.8, 0.9, 0.2, 1),
        ("cam2/e.jpg", "red fox", 0.8, 0.9, 0.2, 1),
        ("cam2/f.jpg", "blank", 0.995, None, None, None),
        ("cam2/g.jpg", None, None, None, None, None),
    ]
    assert list(columns("observation"))[-1] == "count"
    hidden = table_rows(survey()[:1], rows="observation", min_confidence=0.92)
    assert cells(hidden, "confidence", "count") == [(0.95, 2), (None, 1)]


def test_sequence_has_the_largest_counts_of_its_images(tmp_path: Path) -> None:
    rows = sequence_rows(survey_of(tmp_path, *survey(), photographs=None))
    assert list(SEQUENCE_COLUMNS)[-2:] == ["count", "counts"]
    assert cells(rows, "folder", "images", "common_name", "count", "counts") == [
        ("cam1", 2, "white-tailed deer", 3, "white-tailed deer: 3; human: 1"),
        ("cam1", 1, "cervidae family", 4, "cervidae family: 4"),
        ("cam1", 1, "white-tailed deer", 1, "white-tailed deer: 1"),
        ("cam2", 1, "red fox", 1, "red fox: 1"),
        ("cam2", 1, "blank", None, None),
        ("cam2", 1, None, None, None),
    ]


def test_event_is_half_an_hour_without_the_label_after_the_last_one() -> None:
    rows = list(event_rows(survey()))
    names = ("folder", "event", "start", "end", "images", "first_file", "common_name", "count")
    day = "2024-05-01T"
    assert cells(rows, *names) == [
        # 28.5 minutes before the four of the family, which are therefore these deer.
        ("cam1", 1, f"{day}06:30:00", f"{day}06:30:30", 2, "cam1/a.jpg", "white-tailed deer", 4),
        ("cam1", 2, f"{day}06:30:00", f"{day}06:30:00", 1, "cam1/a.jpg", "human", 1),
        ("cam1", 3, f"{day}07:29:00", f"{day}07:29:00", 1, "cam1/d.jpg", "white-tailed deer", 1),
        ("cam2", 1, None, None, 1, "cam2/e.jpg", "red fox", 1),
    ]
    assert list(rows[0]) == list(EVENT_COLUMNS)
    one_hour = event_rows(survey(), gap=60)
    assert cells(one_hour, "common_name", "images", "count")[0] == ("white-tailed deer", 3, 4)


def test_higher_taxa_in_an_image_without_a_date_have_no_event() -> None:
    rows = event_rows([record("a.jpg", FOX, boxes=[answered(FOX), box()])])
    assert cells(rows, "common_name", "count") == [("red fox", 1)]


def test_reviewed_images_of_an_event_are_counted() -> None:
    corrections = {
        "cam1/a.jpg": Correction("cam1/a.jpg", DEER, DEER, AT, "Jane"),
        "cam1/b.jpg": Correction("cam1/b.jpg", None, DEER, AT, "Jane", counts={DEER: 12}),
    }
    first, *_ = event_rows(corrected(survey(), corrections))
    assert (first["images"], first["reviewed"], first["count"]) == (2, 2, 12)
    rows = list(table_rows(corrected(survey(), corrections)))
    assert cells(rows[1:2], "predicted", "reviewer", "reviewed_at", "count") == [
        (None, "Jane", AT, 12)
    ]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_of_counts_can_be_written(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"t.{kind}"
    read = pd.read_csv if kind == "csv" else pd.read_parquet
    for rows in ("observation", "event"):
        count = write_table(table_rows(survey(), rows=rows), path, columns(rows))
        frame = read(path)
        assert (count, list(frame.columns)) == (len(frame), list(columns(rows)))
        assert frame["count"].sum() == (12 if rows == "observation" else 7)


def test_dataframes_of_counts_have_types() -> None:
    observations = to_dataframe(survey(), rows="observation")
    deer = observations["common_name"] == "white-tailed deer"
    assert observations["count"][deer].tolist() == [2, 3, 1]
    assert int(observations["count"].isna().sum()) == 2  # the blank and the failure
    events = to_dataframe(survey(), rows="event", event_gap=60)
    assert (events["end"] - events["start"]).max() == pd.Timedelta(minutes=59)
    assert events["count"].dtype == "Int32"


def test_camtrap_dp_has_a_row_for_each_label(tmp_path: Path, shared: Path) -> None:
    path = write_predictions(tmp_path / "predictions.json", *survey())
    write_camtrap_dp(path, tmp_path / "dp", Project("A", "B"), timezone_name="+03:00")
    assert_valid(tmp_path / "dp", shared / "schemas" / "camtrap-dp")
    with (tmp_path / "dp" / "observations.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = ("observationID", "observationType", "scientificName", "count", "bboxX")
    deer = "Odocoileus virginianus"
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("a.jpg#1", "animal", deer, "2", "0.6"),
        ("a.jpg#2", "human", "Homo sapiens", "1", "0.0"),
        ("b.jpg#1", "animal", deer, "3", "0.2"),
        ("c.jpg#1", "animal", "Cervidae", "4", "0.2"),
        ("d.jpg#1", "animal", deer, "1", "0.2"),
        ("cam1#1#e1", "animal", deer, "3", ""),
        ("cam1#1#e2", "human", "Homo sapiens", "1", ""),
        ("cam1#2#e1", "animal", "Cervidae", "4", ""),
        ("cam1#3#e1", "animal", deer, "1", ""),
    ]
    assert [row["classificationProbability"] for row in rows[:2]] == ["0.7", "0.99"]


def test_observation_of_a_corrected_box_is_human_work() -> None:
    boxes = (BoxCorrection(LEFT, FOX),)
    correction = Correction("cam1/a.jpg", None, DEER, AT, "Jane", boxes=boxes)
    deer, fox = observations_of(next(corrected(survey(), {"cam1/a.jpg": correction})))
    assert (deer.name, deer.is_human_work, deer.probability) == (
        "Odocoileus virginianus",
        False,
        0.7,
    )
    assert (fox.name, fox.is_human_work, fox.probability) == ("Vulpes vulpes", True, None)
    assert fox.origin == {
        "classificationMethod": "human", "classifiedBy": "Jane", "classificationTimestamp": AT,
    }  # fmt: skip
    assert fox.more["bboxX"] == "0.0"


def test_labels_of_the_same_name_are_one_observation() -> None:
    twin = "other" + FOX[FOX.index(";") :]
    found = observations_of(record("a.jpg", FOX, boxes=[answered(FOX), answered(twin)]))
    assert [(one.name, one.count) for one in found] == [("Vulpes vulpes", 2)]


def test_observation_of_an_image_in_which_all_boxes_are_blank_is_blank() -> None:
    [one] = observations_of(record("a.jpg", BLANK, boxes=[answered(BLANK)]))
    assert (one.kind, one.count) == ("blank", None)


def md(tmp_path: Path, *records: Record) -> Any:
    write_megadetector(records, tmp_path / "md.json")
    return json.loads((tmp_path / "md.json").read_text(encoding="utf-8"))


def test_megadetector_boxes_have_their_own_class(tmp_path: Path) -> None:
    found = md(tmp_path, *survey())
    names = found["classification_categories"]
    boxes = [
        [
            (
                one["category"],
                *((names[number], score) for number, score in one.get("classifications", ())),
            )
            for one in image["detections"] or []
        ]
        for image in found["images"]
    ]
    deer = ("1", ("white-tailed deer", 0.8))
    assert boxes == [
        [("1", ("white-tailed deer", 0.7)), ("2", ("human", 0.99)), deer],
        [deer, deer, deer, ("1", ("blank", 0.8))],
        [("1", ("cervidae family", 0.8))] * 4,
        [deer, ("1",)],  # which was not classified
        [("1", ("red fox", 0.8))],
        [("1", ("blank", 0.995))],
        [],
    ]


def test_megadetector_has_no_box_around_an_image_whose_answer_a_box_has(tmp_path: Path) -> None:
    person = answered(DEER, kind="human")
    [image] = md(tmp_path, record("a.jpg", DEER, boxes=[person]))["images"]
    assert [one["category"] for one in image["detections"]] == ["2"]
    [image] = md(tmp_path, record("a.jpg", FOX, boxes=[person]))["images"]
    assert [one["category"] for one in image["detections"]] == ["2", "4"]


def test_megadetector_validator_accepts_box_answers(tmp_path: Path) -> None:
    validate = module_of_megadetector("postprocessing.validate_batch_results")
    md(tmp_path, *survey())
    options = validate.ValidateBatchResultsOptions()
    options.raise_errors = True
    found = validate.validate_batch_results(str(tmp_path / "md.json"), options)
    assert found["validation_results"]["errors"] == []
    assert found["validation_results"]["warnings"] == []


def keywords(one: Record, min_score: float = 0.0) -> list[str]:
    [task] = keyword_tasks([one], min_score)
    return (task.keywords or Keywords()).flat


def test_keywords_are_those_of_all_boxes() -> None:
    [task] = keyword_tasks(survey()[:1])
    assert task.keywords is not None
    assert task.keywords.label == "White-tailed deer"
    assert task.keywords.flat == [
        "White-tailed deer", "Odocoileus virginianus", "animal", "Human", "Homo sapiens", "human",
        "person",
    ]  # fmt: skip
    assert keywords(survey()[0], 0.9) == ["Human", "Homo sapiens", "human", "person"]
    assert keywords(record("a.jpg", BLANK, boxes=[answered(BLANK), answered(FOX)])) == [
        "Red fox", "Vulpes vulpes", "animal",
    ]  # fmt: skip
    assert keywords(survey()[5]) == ["blank"]
    assert keywords(record("a.jpg", UNKNOWN, boxes=[answered(UNKNOWN)])) == []
