from __future__ import annotations

import csv
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from photographs import NAIROBI, photograph
from PIL import ExifTags

from speciesnet.constants import Classification
from speciesnet.errors import InputError
from speciesnet.export.tables import Rows, columns, table_rows, to_dataframe, write_table
from speciesnet.predictions.reading import read_records
from speciesnet.survey.corrections import Correction, corrected
from speciesnet.survey.photographs import Photographs

DEER = "uuid;mammalia;cetartiodactyla;cervidae;odocoileus;virginianus;white-tailed deer"
FOX = "u;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
BOX = {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]}
PERSON = {"category": "2", "label": "human", "conf": 0.5, "bbox": [0.5, 0.5, 0.2, 0.2]}
KEPT = {"datetime": "2024-05-01T06:30:00", "latitude": 1.5, "longitude": 2.5, "make": "A"}


def write(records: Any, path: Path, rows: Rows = "image", **options: Any) -> int:
    return write_table(table_rows(records, rows=rows), path, columns(rows), **options)


def record(name: str = "a.jpg", **values: Any) -> dict[str, Any]:
    answer = {"prediction": DEER, "prediction_score": 0.8, "prediction_source": "classifier"}
    return {"filepath": name, "detections": [BOX, PERSON], **answer, **values}


def test_row_of_an_image_has_its_answer_and_best_box() -> None:
    (row,) = table_rows([record(country="USA", metadata=KEPT, model_version="4.0.0a")])
    assert {key: value for key, value in row.items() if value is not None} == {
        "file": "a.jpg", "datetime": "2024-05-01T06:30:00", "latitude": 1.5, "longitude": 2.5,
        "country": "USA", "uuid": "uuid", "class": "mammalia", "order": "cetartiodactyla",
        "family": "cervidae", "genus": "odocoileus", "species": "virginianus",
        "common_name": "white-tailed deer", "score": 0.8, "source": "classifier", "boxes": 2,
        "category": "animal", "confidence": 0.9, "xmin": 0.1, "ymin": 0.2, "width": 0.3,
        "height": 0.4, "camera_make": "A", "model_version": "4.0.0a",
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


def test_failures_and_single_steps_have_rows_too() -> None:
    failed = {"filepath": "a.jpg", "failures": ["CLASSIFIER", "DETECTOR"]}
    boxes = {"filepath": "b.jpg", "detections": []}
    unknown = record("c.jpg", prediction=Classification.UNKNOWN.value, detections=[])
    first, second, third = table_rows([failed, boxes, unknown])
    assert (first["failures"], first["boxes"], first["score"]) == (
        "CLASSIFIER, DETECTOR",
        None,
        None,
    )
    assert (second["boxes"], second["common_name"]) == (0, None)
    assert (third["common_name"], third["species"]) == ("no cv result", None)


def test_what_people_said_stands_beside_what_was_predicted() -> None:
    said = Correction("a.jpg", FOX, DEER, "2024-05-02T08:00:00+00:00", "Jane")
    reviewed, other = table_rows(corrected([record(), record("b.jpg")], {"a.jpg": said}))
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
def test_pandas_reads_what_was_written(shared: Path, tmp_path: Path, kind: str, rows: Any) -> None:
    records = list(read_records(shared / "golden" / "output_ensemble.json"))
    path = tmp_path / f"table.{kind}"
    count = write(records, path, rows)
    found = pd.read_csv(path) if kind == "csv" else pd.read_parquet(path)
    assert list(found.columns) == list(columns(rows))
    boxes = [(r["filepath"], *b["bbox"]) for r in records for b in r["detections"]]
    if rows == "detection":
        sides = ["file", "xmin", "ymin", "width", "height"]
        assert list(found[sides].itertuples(index=False, name=None)) == boxes
    else:
        assert list(found["file"]) == [r["filepath"] for r in records]
        assert list(found["score"]) == [r["prediction_score"] for r in records]
        assert [";".join(map(str, row)) for row in found.loc[:, "uuid":"common_name"].values] == [
            r["prediction"] for r in records
        ]
    assert count == len(found) == (len(boxes) if rows == "detection" else len(records))


@pytest.mark.parametrize("name", ["=1+1.jpg", "+1.jpg", "-1.jpg", "@SUM(1).jpg", "\t=1.jpg"])
def test_spreadsheets_compute_nothing(tmp_path: Path, name: str) -> None:
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
def test_names_that_are_no_unicode_are_shown(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"t.{kind}"
    write([record("caf\udce9.jpg")], path)
    found = pd.read_csv(path) if kind == "csv" else pd.read_parquet(path)
    assert list(found["file"]) == ["caf\\udce9.jpg"]


def test_excel_is_told_of_utf8_on_request(tmp_path: Path) -> None:
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


def test_malformed_record_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    bad = record(detections=[{"conf": 0.5}])
    with pytest.raises(InputError, match=r"record of a.jpg is malformed"):
        write([record(), bad], tmp_path / "t.csv")
    with pytest.raises(InputError, match=r"must end with .csv or .parquet"):
        write([record()], tmp_path / "t.xlsx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_table(tmp_path: Path, kind: str) -> None:
    def many(number: int) -> Iterator[dict[str, Any]]:
        return (record(f"{i}.jpg") for i in range(number))

    def peak(number: int) -> int:
        tracemalloc.start()
        write(many(number), tmp_path / f"t.{kind}")
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10)
    assert peak(40_000) < peak(20_000) + 500_000
