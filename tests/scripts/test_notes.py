"""Notes that a user sees at the end of a command and in its pages, besides those in the log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import read_predictions, run_here
from PIL import Image
from surveys import FOX, record, write_predictions

from speciesnet.scripts.speciesnet_to_table import KINDS


def test_clock_corrections_without_a_camera_are_in_the_summary_and_among_the_checks(
    tmp_path: Path,
) -> None:
    predictions = write_predictions(
        tmp_path / "out.json", record("survey/cam1/a.jpg", taken="2024-05-01T06:30:00")
    )
    clocks = tmp_path / "clocks.csv"
    clocks.write_text("folder,offset\ncam1,+1:00:00\ncam<9>,+1:00:00\n")
    note = f"1 folder in {clocks} has no photographs in these predictions and is ignored: cam<9>."
    table = run_here(
        "speciesnet_to_table", predictions, tmp_path / "t.csv", "--clock_corrections", clocks
    )
    assert table.code == 0 and note in table.out
    report = tmp_path / "report"
    made = run_here("report", predictions, "--out", report, "--clock_corrections", clocks)
    assert made.code == 0 and note in made.out
    page = (report / "check.html").read_text(encoding="utf-8")
    assert note.replace("<9>", "&lt;9&gt;") in page
    assert "About the whole survey" in page


JUMPED = (
    "1 camera has a clock that seems to have jumped, such as survey/cam1 (from 2023-05-14 10:00 to "
    "2019-01-01 00:10). See speciesnet cameras, and correct the dates with a table for "
    "--clock_corrections."
)


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        *[("speciesnet_to_table", ["t.csv", "--rows", rows]) for rows in KINDS],
        ("report", ["--out", "report"]),
        ("sort_images", ["--out", "sorted", "--by", "sequence", "--dry_run"]),
    ],
)
def test_a_clock_that_jumped_is_in_the_log_and_in_the_summary_unless_its_dates_are_right(
    tmp_path: Path, module: str, arguments: list[str]
) -> None:
    taken = {"IMG_0001.JPG": "2023-05-14T10:00:00", "IMG_0002.JPG": "2019-01-01T00:10:00"}
    records = [record(f"survey/cam1/{name}", taken=date) for name, date in taken.items()]
    predictions = write_predictions(tmp_path / "out.json", *records)
    for name in taken:
        (tmp_path / "survey" / "cam1").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48)).save(tmp_path / "survey" / "cam1" / name)
    outcome = run_here(module, predictions, *arguments, cwd=tmp_path)
    assert outcome.code == 0
    assert outcome.out.count(JUMPED) == 1 and outcome.err.count(JUMPED) == 1
    if module == "report":
        assert JUMPED in (tmp_path / "report" / "check.html").read_text(encoding="utf-8")
    right = [record(f"survey/cam1/{name}", taken="2023-05-14T10:00:00") for name in taken]
    write_predictions(predictions, *right)
    again = run_here(module, predictions, *arguments, cwd=tmp_path)
    assert again.code == 0 and "to have jumped" not in again.out + again.err


def test_checks_without_notes_do_not_mention_the_whole_survey(tmp_path: Path) -> None:
    predictions = write_predictions(
        tmp_path / "out.json", record("survey/cam1/a.jpg", taken="2024-05-01T06:30:00")
    )
    assert run_here("report", predictions, "--out", tmp_path / "report").code == 0
    assert "About the whole survey" not in (tmp_path / "report" / "check.html").read_text()


def test_images_at_sea_are_counted_in_the_summary(tmp_path: Path) -> None:
    places = {"a.jpg": (30.0, -40.0), "b.jpg": (31.0, -40.0), "c.jpg": (-1.29, 36.82)}
    instances = [
        {"filepath": name, "latitude": north, "longitude": east}
        for name, (north, east) in places.items()
    ]
    (tmp_path / "in.json").write_text(json.dumps({"instances": instances}))
    records = [{"filepath": name, "detections": []} for name in places]
    (tmp_path / "boxes.json").write_text(json.dumps({"predictions": records}))
    classes = {"classes": [FOX], "scores": [0.9]}
    records = [{"filepath": name, "classifications": classes} for name in places]
    (tmp_path / "classes.json").write_text(json.dumps({"predictions": records}))
    outcome = run_here(
        "run_model", "--model", "demo", "--ensemble_only", "--instances_json", "in.json",
        "--detections_json", "boxes.json", "--classifications_json", "classes.json",
        "--predictions_json", "out.json", "--country_from_coordinates", cwd=tmp_path,
    )  # fmt: skip
    assert outcome.code == 0
    note = "2 images have no country, because their positions are at sea or 0, 0, such as a.jpg (at 30.0"
    assert note in outcome.out and note in outcome.err
    countries = [one.get("country") for one in read_predictions(tmp_path / "out.json")]
    assert countries == [None, None, "KEN"]


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (
            '{"filepath": "a", "la\n\nnonsense\n',
            "2 lines of {} are damaged and are skipped, such as line 1",
        ),
        ("", "{} is empty: it contains no corrections."),
    ],
)
@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("speciesnet_to_table", ["t.csv"]),
        ("speciesnet_to_md", ["md.json"]),
        (
            "speciesnet_to_camtrap_dp",
            ["dp", "--title", "T", "--contributor", "C", "--timezone", "UTC"],
        ),
        ("report", ["--out", "report"]),
        ("ecology", ["--out", "tables", "--timezone", "UTC"]),
        ("stones", []),
        ("sort_images", ["--out", "sorted"]),
        ("write_keywords", []),
        ("crops", ["--out", "crops"]),
        ("draw", ["--out", "drawn"]),
    ],
)
def test_damaged_and_empty_corrections_are_in_the_summary(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    arguments: list[str],
    content: str,
    note: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    found = record("cam1/a.jpg", taken="2024-05-01T06:30:00")
    found.setdefault("metadata", {}).update(latitude=1.5, longitude=36.5)
    predictions = write_predictions(tmp_path / "out.json", found)
    (tmp_path / "cam1").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "cam1" / "a.jpg")
    Path("out.json.corrections.jsonl").write_text(content)
    outcome = run_here(module, predictions, *arguments)
    assert outcome.code == 0
    expected = note.format(f"{predictions}.corrections.jsonl")
    assert outcome.out.count(expected) == 1 and outcome.err.count(expected) == 1


def test_target_labels_that_the_model_lacks_are_in_the_summary(tmp_path: Path) -> None:
    (tmp_path / "cam1").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "cam1" / "a.jpg")
    targets = tmp_path / "targets.txt"
    targets.write_text("lion\nlynx\n")
    outcome = run_here(
        "run_model", "--model", "demo", "--folders", tmp_path / "cam1", "--target_species_txt", targets,
        "--predictions_json", tmp_path / "out.json",
    )  # fmt: skip
    note = f"2 of 2 lines of {targets} are not labels of this model and are left out; the first is"
    assert outcome.code == 0 and outcome.out.count(note) == 1
