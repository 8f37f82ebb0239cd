from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from commands import run_here
from surveys import FOX, answered_box, box, record, write_predictions

PLACE = (0.1, 0.2, 0.2, 0.1)


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """A stone at one camera, found on ten days; and an animal at another."""
    stone = box(bbox=PLACE, conf=0.4)
    days = [f"2024-05-{day:02}T06:00:00" for day in range(1, 11)]
    records = [record(f"cam1/{day}.jpg", FOX, taken=day, boxes=[stone]) for day in days]
    records.append(record("cam2/a.jpg", FOX, taken=days[0]))
    return write_predictions(tmp_path / "p.json", *records)


def name_in(line: str) -> str:
    return line.split()[0]


def test_groups_are_printed_decided_and_taken_back(predictions: Path, tmp_path: Path) -> None:
    table, stones = tmp_path / "table.csv", ("stones", predictions)
    first = run_here(*stones).out.splitlines()
    assert first[0] == "1 group of boxes that never move."
    assert "undecided" in first[2] and first[2].endswith("cam1, red fox (Vulpes vulpes)")
    assert "--stone NAMES" in first[3]
    name = name_in(first[2])
    decided = run_here(*stones, "--stone", name, "--reviewer", "Jane")
    assert f"{name}      10    10     0%   0.40  stone" in decided.out
    rows = answers(predictions, table)
    assert rows.count("blank") == 10 and rows.count("red fox") == 1
    assert answers(predictions, table, "--corrections", "none").count("red fox") == 11
    assert "undecided" in run_here(*stones, "--undecided", "all").out
    assert answers(predictions, table).count("red fox") == 11
    lines = (tmp_path / "p.json.corrections.jsonl").read_text().splitlines()
    verdicts = [(one["verdict"], one["reviewer"]) for one in map(json.loads, lines)]
    assert verdicts == [("stone", "Jane"), (None, "")]


def answers(predictions: Path, table: Path, *flags: str) -> list[str]:
    run_here("speciesnet_to_table", predictions, table, *flags)
    with table.open(newline="") as file:
        return [row["common_name"] for row in csv.DictReader(file)]


def test_table_has_all_groups(predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "stones.csv"
    run_here("stones", predictions, "--animal", "all", "--out", out)
    with out.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["camera"], row["verdict"], row["boxes"], row["days"]) == (
        "cam1",
        "animal",
        "10",
        "10",
    )
    assert (row["xmin"], row["height"]) == ("0.1", "0.1")


def test_unknown_and_contradictory_groups_are_refused(predictions: Path) -> None:
    unknown = run_here("stones", predictions, "--stone", "zz")
    assert unknown.code == 1
    assert "There is no group 'zz'" in unknown.sentence
    both = run_here("stones", predictions, "--stone", "all", "--animal", "all")
    assert "is in two flags" in both.sentence
    assert not Path(f"{predictions}.corrections.jsonl").exists()


@pytest.mark.parametrize("kind", ["one", "all"])
def test_no_count_contains_stones(kind: str, tmp_path: Path) -> None:
    stone, animal = box(bbox=PLACE, conf=0.8), box(bbox=(0.6, 0.6, 0.2, 0.2))
    if kind == "all":
        stone, animal = (answered_box(FOX, bbox=one["bbox"]) for one in (stone, animal))
    records = [
        record(f"cam1/{day}.jpg", FOX, taken=f"2024-05-{day:02}T06:00:00",
               boxes=[stone, animal] if day == 5 else [stone], latitude=51.5, longitude=-0.1)
        for day in range(1, 11)
    ]  # fmt: skip
    predictions = write_predictions(tmp_path / "p.json", *records)

    def counts() -> list[int]:
        """Foxes in observations, sequences and events, in Camtrap DP, and in MegaDetector's file."""
        found = []
        for kind_of_row in ("observation", "sequence", "event"):
            foxes = rows_of(predictions, tmp_path, "--rows", kind_of_row)
            found.append(sum(int(r["count"]) for r in foxes if r["common_name"] == "red fox"))
        flags = ("--title", "x", "--contributor", "y", "--timezone", "+00:00")
        done = run_here("speciesnet_to_camtrap_dp", predictions, tmp_path / "dp", *flags)
        assert done.code == 0, done.err
        with (tmp_path / "dp" / "observations.csv").open(newline="") as file:
            observations = [row for row in csv.DictReader(file) if row["scientificName"]]
        for level in ("media", "event"):
            own = [row for row in observations if row["observationLevel"] == level]
            found.append(sum(int(row["count"]) for row in own))
        run_here("speciesnet_to_md", predictions, tmp_path / "md.json")
        images = json.loads((tmp_path / "md.json").read_text())["images"]
        found.append(sum(one["conf"] > 0 for image in images for one in image["detections"]))
        assert run_here("ecology", predictions, "--out", tmp_path / "tables").code == 0
        with (tmp_path / "tables" / "detections.csv").open(newline="") as file:
            found.append(sum(int(row["individuals"]) for row in csv.DictReader(file)))
        return found

    assert counts() == [11] * 7
    assert run_here("stones", predictions, "--stone", "all").code == 0
    assert counts() == [1] * 7
    run_here("stones", predictions, "--undecided", "all")
    assert counts() == [11] * 7


def rows_of(predictions: Path, folder: Path, *flags: str) -> list[dict[str, str]]:
    table = folder / "rows.csv"
    assert run_here("speciesnet_to_table", predictions, table, *flags).code == 0
    with table.open(newline="") as file:
        return list(csv.DictReader(file))
