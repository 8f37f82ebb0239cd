"""Exports read records whose boxes are smoothed as those of a report."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from surveys import DEER, LABELS, answered_box, box, correction, record, write_predictions

from speciesnet.errors import InputError
from speciesnet.files.moved_photographs import Photographs
from speciesnet.images.metadata import PhotoMetadata
from speciesnet.records import Record
from speciesnet.survey import photographs as photographs_module
from speciesnet.survey.dates import DateRules, NamePattern
from speciesnet.survey.smoothed_records import SmoothedRecords

MAMMAL = LABELS["mammal"]
RIGHT = (0.7, 0.1, 0.2, 0.3)


def doubtful() -> Any:
    return answered_box(MAMMAL, score=0.7) | {
        "classifications": {"classes": [DEER], "scores": [0.6]},
        "prediction_source": "classifier+rollup_to_class",
    }


def burst(*seconds: int, **values: Any) -> list[Record]:
    certain = record("cam/0.jpg", DEER, boxes=[answered_box(DEER, score=0.95)], **values)
    others = [record(f"cam/{s}.jpg", MAMMAL, boxes=[doubtful()], **values) for s in seconds]
    return [certain, *others]


def dated(records: list[Record]) -> list[Record]:
    for one in records:
        second = int(one["filepath"][4:-4])
        one["metadata"] = {"datetime": f"2024-05-01T06:{second // 60:02}:{second % 60:02}"}
    return records


def labels(records: SmoothedRecords) -> list[str]:
    return labels_of(records)


def labels_of(records: Iterable[Record]) -> list[str]:
    return [box.get("prediction", "") for one in records for box in one.get("detections", ())]


def test_doubtful_boxes_follow_within_the_gap(tmp_path: Path) -> None:
    path = write_predictions(tmp_path / "p.json", *dated(burst(30, 200)))
    records = SmoothedRecords(path)
    assert labels(records) == labels(records) == [DEER, DEER, MAMMAL]
    assert labels(SmoothedRecords(path, gap=10)) == [DEER, MAMMAL, MAMMAL]
    assert labels(SmoothedRecords(path, smooth_boxes=False)) == [DEER, MAMMAL, MAMMAL]
    assert labels_of(records.predicted()) == [DEER, MAMMAL, MAMMAL]


def test_corrected_boxes_found_kinds_or_do_not(tmp_path: Path) -> None:
    path = write_predictions(tmp_path / "p.json", *dated(burst(30)))
    fox = LABELS["red fox"]
    fix = correction("cam/0.jpg", fox, DEER)
    assert labels(SmoothedRecords(path, corrections={"cam/0.jpg": fix})) == [fox, MAMMAL]


def test_dates_come_from_the_same_rules(tmp_path: Path) -> None:
    records = burst(30)
    for number, one in enumerate(records):
        one["filepath"] = f"cam/20240501_06303{number}.jpg"
    path = write_predictions(tmp_path / "p.json", *records)
    assert labels(SmoothedRecords(path)) == [DEER, MAMMAL]
    rules = DateRules(NamePattern("%Y%m%d_%H%M%S"))
    assert labels(SmoothedRecords(path, dates=rules)) == [DEER, DEER]
    assert rules.notes == [], "the pass that finds sequences reports nothing"


def test_each_photograph_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def read(path: str) -> PhotoMetadata:
        opened.append(path)
        return PhotoMetadata("2024-05-01T06:30:00", make="Reconyx")

    monkeypatch.setattr(photographs_module, "read_metadata", read)
    monkeypatch.chdir(tmp_path)
    records = burst(30)
    for one in records:
        Path(one["filepath"]).parent.mkdir(exist_ok=True)
        Path(one["filepath"]).touch()
        one.pop("metadata", None)
    path = write_predictions(tmp_path / "p.json", *records)
    found = SmoothedRecords(path, photographs=Photographs())
    metadata = {"datetime": "2024-05-01T06:30:00", "make": "Reconyx"}
    assert [one.get("metadata") for one in found] == [metadata] * 2
    assert labels(found) == [DEER, DEER]
    assert sorted(opened) == ["cam/0.jpg", "cam/30.jpg"]


def test_without_doubtful_boxes_no_photograph_is_opened(tmp_path: Path) -> None:
    records = [record("cam/0.jpg", DEER, boxes=[box()], metadata=None)]
    path = write_predictions(tmp_path / "p.json", *records)
    photographs = Photographs()
    assert [*SmoothedRecords(path, photographs=photographs)] == records
    assert photographs.missing == 0


def test_predictions_that_change_meanwhile_are_refused(tmp_path: Path) -> None:
    path = write_predictions(tmp_path / "p.json", *dated(burst(30)))
    records = SmoothedRecords(path)
    labels(records)
    write_predictions(path, *dated(burst(30))[::-1])
    with pytest.raises(InputError, match=r"changed while being read .* cam/30\.jpg"):
        labels(records)
