from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from commands import run_here
from surveys import (
    BLANK,
    DEER,
    FOX,
    correction,
    record,
    write_predictions,
)

from speciesnet.survey.corrections import corrections_path


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """Ten sequences of two photographs; the labels call the answers of the last two wrong."""
    records = [
        record(
            f"cam{number % 2}/{number}{part}.jpg",
            FOX,
            0.5 if number > 7 else 0.9,
            taken=f"2024-05-{number + 1:02}T0{number}:00:0{part}",
        )
        for number in range(10)
        for part in range(2)
    ]
    rows = [
        (f"cam{number % 2}/{number}{part}.jpg", "empty" if number > 7 else "Vulpes vulpes", 1)
        for number in range(10)
        for part in range(2)
    ]
    write_table(tmp_path / "labels.csv", ("File", "Species", "Count"), rows)
    return write_predictions(tmp_path / "p.json", *records)


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_prints_in_eighty_columns(predictions: Path, tmp_path: Path) -> None:
    done = run_here("evaluate", predictions, tmp_path / "labels.csv")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "20 labeled photographs in 10 sequences, compared by species."
    assert "  right                     16  80.0% (44 to 95)" in lines
    assert max(map(len, lines)) <= 80
    for text in (
        "blank identified as red fox",
        "Scores differ",
        "throw away",
        "Individuals: ",
        "Individuals by species",
        "cam1",
    ):
        assert text in done.out


def test_corrections_next_to_the_predictions_are_the_labels(predictions: Path) -> None:
    lines = [correction("cam0/00.jpg", FOX), correction("cam0/80.jpg", BLANK)]
    path = corrections_path(predictions)
    path.write_text("".join(json.dumps(one.as_json()) + "\n" for one in lines))
    done = run_here("evaluate", predictions)
    assert "  right                      1  50.0%" in done.out
    assert "18 of 20 photographs have no label." in done.out


def test_writes_tables_and_json(predictions: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "tables", tmp_path / "e.json"
    run_here("evaluate", predictions, tmp_path / "labels.csv", "--csv", out, "--json", file)
    names = [
        "blanks",
        "calibration",
        "cameras",
        "classes",
        "confusion",
        "day_and_night",
        "individuals_by_species",
        "photographs",
    ]
    assert sorted(path.stem for path in out.iterdir()) == names
    cells = {(row["label"], row["answer"]): row for row in rows_of(out / "confusion.csv")}
    assert cells["red fox", "red fox"]["photographs"] == "16"
    assert cells["blank", "red fox"]["outcome"] == "wrong"
    (fox, _) = sorted(rows_of(out / "classes.csv"), key=lambda row: row["class"], reverse=True)
    assert (fox["latin"], fox["precision"], fox["recall"]) == ("vulpes", "0.8", "1.0")
    assert len(rows_of(out / "photographs.csv")) == 20
    (animals, visits) = rows_of(out / "individuals_by_species.csv")
    assert (animals["unit"], animals["units"], animals["labelled"]) == ("photograph", "20", "16")
    assert (visits["unit"], visits["counted"], visits["exact"]) == ("sequence", "10", "0.8")
    written = json.loads(file.read_text())
    assert (written["accuracy"], written["right"], written["wrong"]) == (0.8, 16, 4)
    assert written["confusion"][0]["photographs"] == 16


def test_rank_decides_what_is_right(predictions: Path, tmp_path: Path) -> None:
    rows = [("cam0/00.jpg", "american black bear"), ("cam1/10.jpg", "american black bear")]
    labels = write_table(tmp_path / "l.csv", ("file", "label"), rows)
    assert "0.0%" in run_here("evaluate", predictions, labels).out.splitlines()[2]
    by_order = run_here("evaluate", predictions, labels, "--rank", "order")
    assert "  right                      2  100%" in by_order.out


def test_thresholds_are_found_and_applied_by_exports(predictions: Path, tmp_path: Path) -> None:
    rules, table = tmp_path / "t.csv", tmp_path / "table.csv"
    flags = ("--wanted_precision", "0.9", "--precision_bound", "point", "--thresholds", rules)
    done = run_here("evaluate", predictions, tmp_path / "labels.csv", *flags)
    assert "1 species reaches a precision of 90.0%" in done.out
    assert rows_of(rules)[0]["threshold"] == "0.9"
    done = run_here("speciesnet_to_table", predictions, table, "--thresholds", rules)
    assert "4 answers below their thresholds" in done.err
    answers = [row["common_name"] for row in rows_of(table)]
    assert answers.count("red fox") == 16 and answers.count("animal") == 4
    run_here("speciesnet_to_md", predictions, tmp_path / "md.json", "--thresholds", rules)
    names = json.loads((tmp_path / "md.json").read_text())["classification_categories"]
    assert "red fox" in names.values() and "animal" in str(names.values())


def test_reviewed_answers_stay_above_every_threshold(predictions: Path, tmp_path: Path) -> None:
    rules = write_table(tmp_path / "t.csv", ("species", "threshold"), [("red fox", 0.95)])
    line = json.dumps(correction("cam0/00.jpg", FOX).as_json())
    corrections_path(predictions).write_text(f"{line}\n")
    table = tmp_path / "table.csv"
    run_here("speciesnet_to_table", predictions, table, "--thresholds", rules)
    answers = [(row["file"], row["common_name"]) for row in rows_of(table)]
    assert answers.count(("cam0/00.jpg", "red fox")) == 1
    assert [name for _, name in answers].count("animal") == 19


def test_folders_of_sequences_need_no_thresholds(predictions: Path, tmp_path: Path) -> None:
    rules = write_table(tmp_path / "t.csv", ("species", "threshold"), [("red fox", 0.95)])
    flags = ("--out", tmp_path / "o", "--by", "sequence", "--thresholds", rules)
    done = run_here("sort_images", predictions, *flags)
    assert done.code == 1 and "--thresholds is for the answers of photographs" in done.sentence


def test_chooses_what_to_look_at_next(predictions: Path, tmp_path: Path) -> None:
    rows = [("cam0/00.jpg", "red fox"), ("cam0/80.jpg", "blank")]
    labels = write_table(tmp_path / "l.csv", ("file", "label"), rows)
    chosen = tmp_path / "list.txt"
    flags = ("--review_list", chosen, "--review_hours", "0.01", "--seconds_per_image", "6")
    done = run_here("evaluate", predictions, labels, *flags)
    assert "Look at 6 photographs in 3 sequences next (0.0 hours)." in done.out
    paths = chosen.read_text().splitlines()
    assert len(paths) == 6 and not {"cam0/00.jpg", "cam0/80.jpg"} & set(paths)
    everything = ("--review_list", chosen, "--wanted_error", "0")
    assert "all that are left" in run_here("evaluate", predictions, labels, *everything).out


def test_writes_pages(predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "pages"
    done = run_here("evaluate", predictions, tmp_path / "labels.csv", "--html", out)
    assert done.code == 0, done.err
    page = (out / "index.html").read_text()
    assert 'href="gallery.html#cell=0-0"' in page and "red fox identified as red fox" in page
    data = (out / "data" / "pictures-0.js").read_text()
    assert '"truth","outcome","cell"' in data
    again = run_here("evaluate", predictions, tmp_path / "labels.csv", "--html", out)
    assert again.code == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").touch()
    refused = run_here(
        "evaluate", predictions, tmp_path / "labels.csv", "--html", tmp_path / "other"
    )
    assert refused.code == 1 and "contains other files" in refused.sentence


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--rank", "tribe"], "rank"),
        (["--label_column", "Art"], "no column 'Art'; its columns are File, Species, Count"),
        (["--review_hours", "1"], "pass --review_list FILE"),
        (["--review_list", "l.txt"], "--review_hours or --wanted_error"),
        (["--wanted_precision", "0.9"], "--thresholds FILE"),
        (["--json", "labels.csv"], "would overwrite the labels"),
        (["--json", "p.json"], "would overwrite the predictions"),
        (["--wanted_error", "2"], "wanted_error"),
    ],
)
def test_wrong_flags_are_refused(
    flags: list[str], message: str, predictions: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    done = run_here("evaluate", predictions, "labels.csv", *flags, cwd=tmp_path)
    assert done.code == 1 and message in done.sentence
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labels.csv", "", "is empty"),
        ("labels.csv", "a,b\n1,2\n", "no column with photographs"),
        ("labels.csv", "file,label\nother/x.jpg,red fox\n", "No photograph in"),
        ("labels.csv", "file,label\ncam0/00.jpg,red foxx\n", "perhaps red fox"),
        ("labels.json", "{}", "is not a file of labels"),
        ("labels.jsonl", "file,label\n", "does not contain corrections"),
    ],
)
def test_wrong_labels_are_refused(
    name: str, text: str, message: str, predictions: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(text)
    done = run_here("evaluate", predictions, path)
    assert done.code == 1 and message in done.sentence


def test_missing_files_are_named(predictions: Path, tmp_path: Path) -> None:
    assert "Pass one predictions file" in run_here("evaluate").sentence
    assert "There are no corrections for" in run_here("evaluate", predictions).sentence
    assert "no.csv" in run_here("evaluate", predictions, tmp_path / "no.csv").sentence


def test_review_shows_only_a_list(predictions: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("cam0/00.jpg\nelsewhere.jpg\n")
    done = run_here("review", predictions, "--filepaths_txt", listed)
    assert done.code == 1
    assert "1 of 2 photographs of the list is not in" in done.sentence
    listed.write_text("\n")
    assert "is empty" in run_here("review", predictions, "--filepaths_txt", listed).sentence


def test_animals_that_people_call_something_else_are_wrong(tmp_path: Path) -> None:
    source = write_predictions(tmp_path / "p.json", record("a.jpg", DEER))
    labels = write_table(tmp_path / "l.csv", ("file", "label"), [("a.jpg", "red fox")])
    assert "red fox identified as white-tailed deer" in run_here("evaluate", source, labels).out
