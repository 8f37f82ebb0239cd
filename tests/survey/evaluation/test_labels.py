from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from surveys import BLANK, DEER, FOX, correction

from speciesnet.errors import InputError
from speciesnet.survey.corrections import Correction
from speciesnet.survey.evaluation.labels import read_labels


def table(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def found_in(
    path: str, column: str | None = None
) -> dict[str, list[tuple[tuple[str, ...], int | None]]]:
    labels = read_labels(path, column)
    return {file: [(one.names, one.count) for one in of] for file, of in labels.by_file.items()}


def test_table_may_use_any_common_names_of_columns(tmp_path: Path) -> None:
    path = table(tmp_path / "l.csv", "File Path;Common Name;Count\na.jpg;red fox;2\nb.jpg;;\n")
    assert found_in(path) == {"a.jpg": [(("red fox",), 2)], "b.jpg": []}


def test_epithets_get_their_genus(tmp_path: Path) -> None:
    path = table(
        tmp_path / "l.csv", "file,genus,species,common_name\na.jpg,vulpes,vulpes,red fox\n"
    )
    assert found_in(path)["a.jpg"] == [(("vulpes vulpes", "red fox", "vulpes"), None)]


def test_timelapse_paths_are_joined(tmp_path: Path) -> None:
    path = table(
        tmp_path / "t.csv",
        "RootFolder,File,RelativePath,DateTime,DeleteFlag,Animal type\n"
        "survey,IMG_1.JPG,cam1\\100RECNX,2024-05-01 06:30:00,False,red fox\n",
    )
    assert found_in(path, "Animal type") == {"cam1\\100RECNX/IMG_1.JPG": [(("red fox",), None)]}


def test_folder_is_not_added_twice(tmp_path: Path) -> None:
    path = table(tmp_path / "l.csv", "file,folder,label\ncam1/a.jpg,cam1,fox\n/x/b.jpg,x,fox\n")
    assert list(found_in(path)) == ["cam1/a.jpg", "/x/b.jpg"]


def test_review_gives_labels_and_counts(tmp_path: Path) -> None:
    counted = Correction("b.jpg", FOX, FOX, "2024-05-02T08:00:00+00:00", "", (), {DEER: 1, FOX: 2})
    lines = [correction("a.jpg", BLANK), counted, correction("c.jpg", None)]
    path = tmp_path / "p.json.corrections.jsonl"
    path.write_text("".join(json.dumps(one.as_json()) + "\n" for one in lines))
    assert found_in(str(path)) == {
        "a.jpg": [((BLANK,), None)],
        "b.jpg": [((FOX,), 2), ((DEER,), 1)],
    }


MEDIA: tuple[str, ...] = ("mediaID", "deploymentID", "timestamp", "filePath")
OBSERVATIONS: tuple[str, ...] = (
    "observationID", "deploymentID", "mediaID", "eventStart", "eventEnd", "observationType",
    "scientificName", "count", "classificationMethod",
)  # fmt: skip


def package(
    folder: Path, media: Sequence[Mapping[str, str]], observations: Sequence[Mapping[str, str]]
) -> str:
    for name, columns, rows in (
        ("media", MEDIA, media),
        ("observations", OBSERVATIONS, observations),
    ):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
    resources = [{"name": name, "path": f"{name}.csv"} for name in ("media", "observations")]
    (folder / "datapackage.json").write_text(json.dumps({"resources": resources}))
    return str(folder)


MEDIUM = {
    "mediaID": "m1",
    "deploymentID": "d",
    "timestamp": "2024-05-01T06:30:00Z",
    "filePath": "a.jpg",
}
OTHER = {**MEDIUM, "mediaID": "m2", "timestamp": "2024-05-01T09:00:00Z", "filePath": "b.jpg"}
SEEN = {
    "observationID": "o", "deploymentID": "d", "mediaID": "m1", "observationType": "animal",
    "scientificName": "Vulpes vulpes", "count": "2", "classificationMethod": "human",
}  # fmt: skip


def test_camtrap_dp_observations_of_media(tmp_path: Path) -> None:
    blank = {**SEEN, "mediaID": "m2", "observationType": "blank", "scientificName": "", "count": ""}
    machine = {**SEEN, "scientificName": "Sus scrofa", "classificationMethod": "machine"}
    labels = read_labels(package(tmp_path, [MEDIUM, OTHER], [SEEN, blank, machine]))
    assert {
        file: [(one.names, one.count) for one in of] for file, of in labels.by_file.items()
    } == {
        "a.jpg": [(("Vulpes vulpes",), 2)],
        "b.jpg": [(("blank",), None)],
    }
    assert labels.notes == ["1 observation made by a machine is left out."]


def test_camtrap_dp_events_count_for_their_media(tmp_path: Path) -> None:
    event = {
        **SEEN, "mediaID": "", "eventStart": "2024-05-01T08:29:00+02:00",
        "eventEnd": "2024-05-01T06:31:00Z",
    }  # fmt: skip
    labels = read_labels(package(tmp_path, [MEDIUM, OTHER], [event]))
    assert list(labels.by_file) == ["a.jpg"]
    assert "Blank photographs among them count as wrong" in labels.notes[0]


def test_answers_of_a_machine_are_not_labels(tmp_path: Path) -> None:
    machine = {**SEEN, "classificationMethod": "machine"}
    with pytest.raises(InputError, match="made by a machine"):
        read_labels(package(tmp_path, [MEDIUM], [machine]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("file,label\n", "contains no labels"),
        ("file,label\na.jpg,\n", "contains no labels"),
        ("name,label\na,b\n", "no column with photographs; its columns are name, label"),
        ("file,when\na.jpg,b\n", "no column with labels"),
        ("file,label\n,fox\n", "Line 2 of .* does not name a photograph"),
        ("file,label,count\na.jpg,fox,two\n", "Line 2 of .*: count is 'two'"),
        ("file,label,count\na.jpg,fox,1.5\n", "must be a whole number"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_labels(table(tmp_path / "l.csv", text))


def test_missing_files_are_named(tmp_path: Path) -> None:
    for name in ("l.csv", "c.jsonl"):
        with pytest.raises(InputError, match=name):
            read_labels(str(tmp_path / name))
    with pytest.raises(InputError, match=r"media\.csv"):
        read_labels(str(tmp_path))
    with pytest.raises(InputError, match="no column 'Art'"):
        read_labels(table(tmp_path / "l.csv", "file,label\na.jpg,fox\n"), "Art")
