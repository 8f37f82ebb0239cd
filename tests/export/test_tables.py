from __future__ import annotations

import csv
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
from photographs import NAIROBI, photograph
from PIL import ExifTags

from speciesnet.constants import Classification
from speciesnet.errors import InputError
from speciesnet.export.tables import (
    SEQUENCE_COLUMNS,
    Rows,
    columns,
    sequence_rows,
    table_rows,
    to_dataframe,
    write_table,
)
from speciesnet.files.moved_photographs import Photographs
from speciesnet.predictions.layout import save_predictions
from speciesnet.predictions.reading import read_records
from speciesnet.records import Box, Record
from speciesnet.survey.clocks import ClockCorrections
from speciesnet.survey.corrections import Correction, corrected
from speciesnet.survey.dates import DateRules
from speciesnet.survey.survey import Survey, load_survey

DEER = "uuid;mammalia;cetartiodactyla;cervidae;odocoileus;virginianus;white-tailed deer"
FOX = "u;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
BOX: Box = {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]}
PERSON: Box = {"category": "2", "label": "human", "conf": 0.5, "bbox": [0.5, 0.5, 0.2, 0.2]}
KEPT: dict[str, str | float] = {
    "datetime": "2024-05-01T06:30:00",
    "latitude": 1.5,
    "longitude": 2.5,
    "make": "A",
}


def write(records: Iterable[Record], path: Path, rows: Rows = "image", **options: Any) -> int:
    return write_table(table_rows(records, rows=rows), path, columns(rows), **options)


def record(name: str = "a.jpg", **values: object) -> Record:
    answer = {"prediction": DEER, "prediction_score": 0.8, "prediction_source": "classifier"}
    found = {"filepath": name, "detections": [BOX, PERSON], **answer, **values}
    return cast("Record", found)  # values may be malformed, to test that


def test_row_of_an_image_has_its_answer_and_best_box() -> None:
    (row,) = table_rows([record(country="USA", metadata=KEPT, model_version="4.0.0a")])
    assert {key: value for key, value in row.items() if value is not None} == {
        "file": "a.jpg", "datetime": "2024-05-01T06:30:00", "latitude": 1.5, "longitude": 2.5,
        "country": "USA", "uuid": "uuid", "class": "mammalia", "order": "cetartiodactyla",
        "family": "cervidae", "genus": "odocoileus", "species": "virginianus",
        "common_name": "white-tailed deer", "score": 0.8, "source": "classifier", "boxes": 2,
        "category": "animal", "confidence": 0.9, "xmin": 0.1, "ymin": 0.2, "width": 0.3,
        "height": 0.4, "camera_make": "A", "model_version": "4.0.0a",
        "people": 1, "vehicles": 0, "count": 1, "counts": "white-tailed deer: 1; human: 1",
    }  # fmt: skip


def test_row_of_each_detection() -> None:
    found = list(table_rows([record(), record("b.jpg", detections=[])], rows="detection"))
    assert [(row["file"], row["box"], row["category"]) for row in found] == [
        ("a.jpg", 1, "animal"),
        ("a.jpg", 2, "human"),
    ]
    assert len(list(table_rows([record()], rows="detection", min_confidence=0.6))) == 1


def test_position_of_the_record_comes_before_that_of_the_camera() -> None:
    (row,) = table_rows([record(metadata=KEPT, latitude=-3.0, longitude=4.0)])
    assert (row["latitude"], row["longitude"]) == (-3.0, 4.0)


def test_failures_and_runs_of_one_component_have_rows() -> None:
    failed: Record = {"filepath": "a.jpg", "failures": ["CLASSIFIER", "DETECTOR"]}
    boxes: Record = {"filepath": "b.jpg", "detections": []}
    unknown = record("c.jpg", prediction=Classification.UNKNOWN.value, detections=[])
    first, second, third = table_rows([failed, boxes, unknown])
    assert (first["failures"], first["boxes"], first["score"]) == (
        "CLASSIFIER, DETECTOR",
        None,
        None,
    )
    assert (second["boxes"], second["common_name"]) == (0, None)
    assert (third["common_name"], third["species"]) == ("no cv result", None)


def test_corrected_answer_has_the_predicted_one_in_its_row() -> None:
    correction = Correction("a.jpg", FOX, DEER, "2024-05-02T08:00:00+00:00", "Jane")
    reviewed, other = table_rows(corrected([record(), record("b.jpg")], {"a.jpg": correction}))
    assert reviewed.items() >= {
        "common_name": "red fox", "source": "review", "predicted": DEER, "reviewer": "Jane",
        "reviewed_at": "2024-05-02T08:00:00+00:00",
    }.items()  # fmt: skip
    assert {other[name] for name in ("predicted", "reviewer", "reviewed_at")} == {None}


def test_dates_are_read_from_the_photographs(tmp_path: Path) -> None:
    taken = {ExifTags.Base.DateTimeOriginal: "2024:05:01 06:30:00"}
    path = photograph(tmp_path / "a.jpg", details=taken, gps=NAIROBI)
    photographs = Photographs()
    records = [record(path), record(str(tmp_path / "gone.jpg"))]
    first, second = table_rows(records, photographs=photographs)
    assert (first["datetime"], first["latitude"]) == ("2024-05-01T06:30:00", -1.29)
    assert (second["datetime"], second["latitude"]) == (None, None)
    assert (photographs.found, photographs.missing) == (1, 1)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("rows", ["image", "detection"])
def test_pandas_reads_the_written_table(shared: Path, tmp_path: Path, kind: str, rows: Any) -> None:
    records = list(read_records(shared / "golden" / "output_ensemble.json"))
    path = tmp_path / f"table.{kind}"
    count = write(records, path, rows)
    found = pd.read_csv(path) if kind == "csv" else pd.read_parquet(path)
    assert list(found.columns) == list(columns(rows))
    boxes = [(r["filepath"], *b["bbox"]) for r in records for b in r.get("detections", [])]
    if rows == "detection":
        sides = ["file", "xmin", "ymin", "width", "height"]
        assert list(found[sides].itertuples(index=False, name=None)) == boxes
    else:
        assert list(found["file"]) == [r["filepath"] for r in records]
        assert list(found["score"]) == [r.get("prediction_score") for r in records]
        assert [";".join(map(str, row)) for row in found.loc[:, "uuid":"common_name"].values] == [
            r.get("prediction") for r in records
        ]
    assert count == len(found) == (len(boxes) if rows == "detection" else len(records))


@pytest.mark.parametrize("name", ["=1+1.jpg", "+1.jpg", "-1.jpg", "@SUM(1).jpg", "\t=1.jpg"])
def test_spreadsheets_evaluate_no_cell(tmp_path: Path, name: str) -> None:
    write([record(name, country=name, longitude=-1.5, latitude=2.0)], tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["file"] == row["country"] == f"'{name}"
    assert row["longitude"] == "-1.5"


def test_strange_names_are_one_cell(tmp_path: Path) -> None:
    names = ['a,b;"c".jpg', "line\nbreak.jpg", "Elch 🦌.jpg", "x" * 200 + ".jpg"]
    write(map(record, names), tmp_path / "t.csv")
    assert list(pd.read_csv(tmp_path / "t.csv")["file"]) == names


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_names_that_are_invalid_unicode_have_backslashes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"t.{kind}"
    write([record("caf\udce9.jpg")], path)
    found = pd.read_csv(path) if kind == "csv" else pd.read_parquet(path)
    assert list(found["file"]) == ["caf\\udce9.jpg"]


def test_byte_order_mark_and_delimiter_for_excel(tmp_path: Path) -> None:
    write([record("é.jpg")], tmp_path / "t.csv", bom=True, delimiter=";")
    assert (tmp_path / "t.csv").read_bytes().startswith(b"\xef\xbb\xbffile;datetime;")


def test_dataframe_has_types() -> None:
    kept = KEPT | {"datetime": "2024-05-01T06:30:00+03:00"}
    found = to_dataframe([record(metadata=kept), {"filepath": "b.jpg", "failures": ["DETECTOR"]}])
    assert found["datetime"][0] == pd.Timestamp("2024-05-01 06:30:00")
    assert found["boxes"].tolist()[0] == 2
    assert found[["datetime", "boxes"]].isna().to_numpy().tolist() == [[False, False], [True, True]]
    assert found.groupby("common_name").size().to_dict() == {"white-tailed deer": 1}
    assert list(to_dataframe([]).columns) == list(columns("image"))


def test_malformed_record_is_named_and_no_file_is_left(tmp_path: Path) -> None:
    bad = record(detections=[{"conf": 0.5}])
    with pytest.raises(InputError, match=r"record of a.jpg is malformed"):
        write([record(), bad], tmp_path / "t.csv")
    with pytest.raises(InputError, match=r"must end with .csv or .parquet"):
        write([record()], tmp_path / "t.xlsx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("speciesnet.export.tables._BATCH", 500)

    def many(number: int) -> Iterator[Record]:
        return (record(f"{i}.jpg") for i in range(number))

    def peak(number: int) -> int:
        tracemalloc.start()
        write(many(number), tmp_path / f"t.{kind}")
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10)
    assert peak(6000) < peak(1000) + 200_000  # 5,000 rows would take more than a megabyte


def small_survey(folder: Path, corrections: dict[str, Correction] | None = None) -> Survey:
    """Two cameras: a burst of two and a single picture, and one picture without a date."""
    records = []
    for name, taken in (
        ("a/1.jpg", "2024:05:01 06:30:00"), ("a/2.jpg", "2024:05:01 06:30:40"),
        ("a/3.jpg", "2024:05:01 09:00:00"), ("b/1.jpg", None),
    ):  # fmt: skip
        details = {ExifTags.Base.DateTimeOriginal: taken} if taken else None
        records.append(
            {
                "filepath": photograph(folder / name, details=details),
                "classifications": {"classes": [DEER, FOX], "scores": [0.9, 0.05]},
                "detections": [{"category": "1", "label": "animal", "conf": 0.9, "bbox": [0] * 4}],
                "prediction": DEER,
                "prediction_score": 0.9,
                "prediction_source": "classifier",
            }
        )
    path = folder / "predictions.json"
    save_predictions({"predictions": records}, str(path))
    return load_survey(path, photographs=Photographs(), corrections=corrections or {})


def test_row_for_each_sequence(tmp_path: Path) -> None:
    path = tmp_path / "sequences.csv"
    assert write_table(sequence_rows(small_survey(tmp_path)), path, SEQUENCE_COLUMNS) == 3
    found = pd.read_csv(path)
    assert list(found.columns) == list(SEQUENCE_COLUMNS)
    assert [Path(folder).name for folder in found["folder"]] == ["a", "a", "b"]
    assert list(found["sequence"]) == [1, 2, 1]
    assert list(found["images"]) == [2, 1, 1]
    assert list(found["start"].fillna("")) == ["2024-05-01T06:30:00", "2024-05-01T09:00:00", ""]
    assert found["end"][0] == "2024-05-01T06:30:40"
    assert set(found["common_name"]) == {"white-tailed deer"}


def test_folders_made_by_a_camera_share_a_sequence(tmp_path: Path) -> None:
    records = [
        {
            "filepath": photograph(
                tmp_path / f"a/DCIM/{folder}/1.jpg", details={ExifTags.Base.DateTimeOriginal: taken}
            ),
            "prediction": DEER,
            "prediction_score": 0.9,
            "prediction_source": "classifier",
        }
        for folder, taken in (
            ("100RECNX", "2024:05:01 06:30:00"),
            ("101RECNX", "2024:05:01 06:30:40"),
        )
    ]
    path = tmp_path / "predictions.json"
    save_predictions({"predictions": records}, str(path))
    survey = load_survey(path, photographs=Photographs(), corrections={})
    [row] = sequence_rows(survey)
    assert (Path(str(row["folder"])).name, row["images"]) == ("a", 2)


def test_corrections_decide_on_their_sequence(tmp_path: Path) -> None:
    first = (tmp_path / "a" / "1.jpg").as_posix()
    survey = small_survey(
        tmp_path, {first: Correction(first, FOX, DEER, "2024-06-01T00:00:00+00:00")}
    )
    row = next(sequence_rows(survey))
    assert (row["common_name"], row["score"], row["source"]) == ("red fox", 1.0, "review")
    assert (row["images"], row["reviewed"]) == (2, 1)


def test_people_and_vehicles_are_counted_whatever_the_lowest_confidence() -> None:
    found: list[Any] = [
        record(detections=[BOX, PERSON, PERSON | {"conf": 0.2}, PERSON | {"conf": 0.19}]),
        record(detections=[BOX | {"label": "vehicle", "category": "3"}]),
        record(detections=[]),
        {"filepath": "b.jpg", "failures": ["DETECTOR"]},
    ]
    rows = table_rows(found, min_confidence=0.8)
    counts = [(row.get("boxes"), row["people"], row["vehicles"]) for row in rows]
    assert counts == [(1, 2, 0), (1, 0, 1), (0, 0, 0), (None, None, None)]
    detections = table_rows(found[:1], rows="detection")
    assert [row["people"] for row in detections] == [2] * 4


def test_original_dates_have_a_column_if_clocks_are_corrected(tmp_path: Path) -> None:
    (tmp_path / "clocks.csv").write_text("folder,offset\ncam1,-3 days\n")
    rules = DateRules(clocks=ClockCorrections(str(tmp_path / "clocks.csv")))
    records = [record("cam1/a.jpg", metadata=KEPT), record("cam2/a.jpg", metadata=KEPT)]
    found = [
        (row["datetime"], row["datetime_original"]) for row in table_rows(records, dates=rules)
    ]
    assert found == [
        ("2024-04-28T06:30:00", "2024-05-01T06:30:00"),
        ("2024-05-01T06:30:00", "2024-05-01T06:30:00"),
    ]
    assert list(columns("image", rules))[:3] == ["file", "datetime", "datetime_original"]
    assert "datetime_original" not in columns("image", DateRules())
    frame = to_dataframe(records, dates=rules)
    assert (frame["datetime_original"] - frame["datetime"]).dt.days.tolist() == [3, 0]
