from __future__ import annotations

import csv
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from commands import Outcome, run_here
from known_survey import SURVEY
from surveys import BOAR, DEER, FOX, HUMAN, LABELS, box, correction, record, write_predictions

from speciesnet.records import Record
from speciesnet.survey.corrections import CorrectionsFile, corrections_path

REPOSITORY = Path(__file__).parents[2]


def ecology(predictions: Path, folder: Path, *flags: str) -> Outcome:
    return run_here("ecology", predictions, "--out", folder, *flags)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    return write_predictions(tmp_path / "p.json", *SURVEY)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "tables"


def test_all_tables_are_written(predictions: Path, out: Path) -> None:
    outcome = ecology(predictions, out, "--occasion_days", "3")
    assert outcome.code == 0, outcome.err
    first, *notes = outcome.out.splitlines()
    assert first == f"4 detections of 2 taxa in 9 trap nights at 2 stations: {out}"
    assert any("blank: 4" in note for note in notes)
    assert any("--timezone" in note for note in notes)
    assert any("--deployments" in note for note in notes)
    assert rows(out / "detection_history" / "Vulpes_vulpes.csv") == [
        {"Station": "cam1", "o1": "1", "o2": "0", "o3": "0"},
        {"Station": "cam2", "o1": "0", "o2": "1", "o3": "NA"},
    ]
    assert rows(out / "effort.csv")[1] == {"Station": "cam2", "o1": "1", "o2": "2", "o3": "NA"}
    fox = rows(out / "record_table.csv")[2]
    expected = {
        "Station": "cam1", "Species": "Vulpes vulpes", "DateTimeOriginal": "2024-05-02 23:00:00",
        "Date": "2024-05-02", "Time": "23:00:00", "delta.time.secs": "2400", "delta.time.mins": "40.0",
        "delta.time.hours": "0.7", "delta.time.days": "0.0", "Directory": "/survey/cam1",
        "FileName": "3.jpg", "n_images": "1", "light": "", "sun_hour": "",
    }  # fmt: skip
    assert fox.items() >= expected.items()
    accumulated = [(row["unit"], row["species"]) for row in rows(out / "accumulation.csv")]
    assert accumulated[:2] == [("station", "1.5"), ("station", "2.0")]
    assert len(accumulated) == 2 + 11


def test_the_sun_needs_positions_and_a_time_zone(tmp_path: Path, out: Path) -> None:
    placed: list[Record] = [{**one, "latitude": -1.29, "longitude": 36.82} for one in SURVEY]
    predictions = write_predictions(tmp_path / "p.json", *placed)
    assert "Sun times" not in ecology(predictions, out, "--timezone", "Africa/Nairobi").out
    lights = [row["light"] for row in rows(out / "record_table.csv")]
    assert lights == ["night", "night", "night", "night"]  # the deer at 06:00: sunrise is at 06:26
    assert {row["time"] for row in rows(out / "activity.csv")} == {"clock", "sun"}
    ecology(predictions, out, "--timezone", "+00:00")
    assert rows(out / "record_table.csv")[0]["light"] == "day"


def test_sun_times_without_positions_are_reported(predictions: Path, out: Path) -> None:
    outcome = ecology(predictions, out, "--timezone", "Africa/Nairobi")
    assert "Sun times of 4 detections are not calculated, because the positions of" in outcome.out


def test_corrections_are_applied(predictions: Path, out: Path) -> None:
    with CorrectionsFile(corrections_path(predictions)) as file:
        file.add([correction("/survey/cam2/7.jpg", BOAR)])
    assert ecology(predictions, out).code == 0
    found = {row["taxon"]: row["events"] for row in rows(out / "detections.csv")}
    assert found == {"Odocoileus virginianus": "1", "Sus scrofa": "1", "Vulpes vulpes": "2"}


def test_films_are_detections(tmp_path: Path, out: Path) -> None:
    boxes = [
        {**box(), "frame_number": 0, "timestamp": 0.0},
        {**box(bbox=(0.6, 0.6, 0.2, 0.2)), "frame_number": 10, "timestamp": 1.0},
    ]
    film = record("cam1/a.mp4", FOX, taken="2024-05-01T22:00:00") | {
        "detections": boxes, "frame_rate": 10.0, "frames_processed": [0, 10], "duration": 2.0,
        "frame": {"frame_number": 10, "timestamp": 1.0},
    }  # fmt: skip
    assert ecology(write_predictions(tmp_path / "p.json", film), out).code == 0
    [row] = rows(out / "record_table.csv")
    assert (row["FileName"], row["Time"], row["count"]) == ("a.mp4", "22:00:00", "1")


def test_people_are_detections_if_wanted(tmp_path: Path, out: Path) -> None:
    hiker = record("/survey/cam1/x.jpg", HUMAN, taken="2024-05-04T10:00:00", boxes=[box("human")])
    predictions = write_predictions(tmp_path / "p.json", *SURVEY, hiker)
    assert "people: 1" in ecology(predictions, out).out
    assert ecology(predictions, out, "--people").code == 0
    assert "Homo sapiens" in {row["taxon"] for row in rows(out / "detections.csv")}


def test_another_run_replaces_the_tables(predictions: Path, out: Path) -> None:
    assert ecology(predictions, out).code == 0
    write_predictions(predictions, *[one for one in SURVEY if one.get("prediction") != DEER])
    assert ecology(predictions, out).code == 0
    assert [path.name for path in (out / "detection_history").iterdir()] == ["Vulpes_vulpes.csv"]


def test_a_survey_without_animals_has_empty_tables(tmp_path: Path, out: Path) -> None:
    predictions = write_predictions(tmp_path / "p.json", record("cam1/a.jpg", FOX))
    outcome = ecology(predictions, out)
    assert outcome.code == 0, outcome.err
    assert "animals without a date: 1" in outcome.out and "cam1/a.jpg" in outcome.out
    assert rows(out / "detections.csv") == []
    assert [row["file"] for row in rows(out / "undated.csv")] == ["cam1/a.jpg"]


def test_other_files_are_never_overwritten(predictions: Path, out: Path) -> None:
    out.mkdir()
    (out / "detections.csv").write_text("mine", encoding="utf-8")
    outcome = ecology(predictions, out)
    assert outcome.code != 0
    assert "contains other files. Pass an empty or new folder to --out." in outcome.sentence
    assert (out / "detections.csv").read_text(encoding="utf-8") == "mine"


def test_the_folder_is_required(predictions: Path) -> None:
    outcome = run_here("ecology", predictions)
    assert outcome.sentence.endswith("Pass the folder for the tables, such as --out tables.")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--min_active_days", "8"), "more than the 7 days of an occasion"),
        (("--timezone", "Nairobi"), "--timezone Nairobi is not a time zone"),
        (("--deployments", "missing.csv"), "missing.csv"),
        (("--occasion_days", "0"), "occasion_days"),
    ],
)
def test_bad_input_is_named(
    predictions: Path, out: Path, flags: tuple[str, ...], words: str
) -> None:
    outcome = ecology(predictions, out, *flags)
    assert outcome.code != 0
    assert words in outcome.sentence
    assert not (out / "detections.csv").exists()


def many_records() -> list[Record]:
    """Five cameras in May: foxes at night, deer in the morning, boars around midnight, some canids."""
    chance = np.random.default_rng(5)
    found: list[Record] = []
    for camera in range(5):
        for label, peak, share in (
            (FOX, 22, 0.5),
            (DEER, 6, 0.9),
            (BOAR, 23, 0.4),
            (LABELS["canine family"], 3, 0.2),
        ):
            for day in np.flatnonzero(chance.random(25 + camera) < share):
                hours = 24 * int(day) + 24 + float(chance.normal(peak, 2))
                moment = np.datetime64("2024-05-01T00:00:00") + np.timedelta64(
                    int(hours * 3600), "s"
                )
                name = f"/survey/cam{camera}/{label[-3:]}{day}.jpg"
                found.append(record(name, label, taken=str(moment)))
    return found


def has_r() -> bool:
    """Whether R has the packages for the comparison."""
    if shutil.which("Rscript") is None:
        return False
    check = 'stopifnot(requireNamespace("vegan"), requireNamespace("circular"))'
    return subprocess.run(["Rscript", "-e", check], capture_output=True).returncode == 0


def test_tables_agree_with_r(tmp_path: Path, out: Path) -> None:
    if not has_r():
        pytest.skip("R with vegan and circular is missing")
    predictions = write_predictions(tmp_path / "p.json", *many_records())
    assert ecology(predictions, out).code == 0
    script = REPOSITORY / "scripts" / "check_ecology.R"
    done = subprocess.run(["Rscript", str(script), str(out)], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    for name in ("vegan::specaccum", "circular::density.circular", "overlap of", "history"):
        assert name in done.stdout


def test_nights_in_which_cameras_failed_do_not_count(tmp_path: Path, out: Path) -> None:
    # cam1 is silent for twelve nights, cam2 stops eleven nights early, and cam3 never works.
    days = {"cam1": [*range(1, 9), *range(20, 32)], "cam2": range(1, 21)}
    records = [
        record(f"s/{camera}/{day:02}.jpg", FOX, taken=f"2024-05-{day:02}T10:00:00")
        for camera, seen in days.items()
        for day in seen
    ]
    predictions = write_predictions(tmp_path / "p.json", *records)
    period = "2024-05-01T09:00:00,2024-05-31T12:00:00"
    table, corrected = tmp_path / "deployments.csv", tmp_path / "corrected.csv"
    lines = [f"{name},51.5,-0.1,{period}" for name in ("cam1", "cam2", "cam3")]
    columns = "deploymentID,latitude,longitude,deploymentStart,deploymentEnd"
    table.write_text("\n".join([columns, *lines]))
    flags = ("--no_pictures", "--deployments", table, "--deployments_out")
    found = run_here("cameras", predictions, *flags, corrected)
    assert "3 cameras, 3 with findings; they worked on 37 of 90 trap nights." in found.out
    outcome = ecology(predictions, out, "--deployments", str(corrected))
    assert "in 37 trap nights at 3 stations" in outcome.out
    nights = {row["station"]: row for row in rows(out / "detections_by_station.csv")}
    assert {name: row["trap_nights"] for name, row in nights.items()} == {
        "cam1": "18", "cam2": "19", "cam3": "0",
    }  # fmt: skip
    assert float(nights["cam1"]["per_100_trap_nights"]) == pytest.approx(100 * 20 / 18)
    (one, two, three) = rows(out / "camera_operation.csv")
    works = {day: (one[day], two[day], three[day]) for day in one if day.startswith("2024")}
    assert works["2024-05-08"] == ("1", "1", "0") and works["2024-05-15"] == ("0", "1", "0")
    assert works["2024-05-20"] == ("1", "1", "0") and works["2024-05-21"] == ("1", "NA", "0")
    again = run_here("cameras", predictions, "--no_pictures", "--deployments", corrected)
    assert "they worked on 37 of 37 trap nights" in again.out
    package = ("--title", "x", "--contributor", "y", "--timezone", "+00:00")
    done = run_here(
        "speciesnet_to_camtrap_dp",
        predictions,
        tmp_path / "dp",
        *package,
        "--deployments",
        corrected,
    )
    assert done.code == 0, done.err
    assert "notWorking" not in (tmp_path / "dp" / "deployments.csv").read_text()


def test_thresholds_of_species_apply(predictions: Path, tmp_path: Path, out: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("species,threshold\nred fox,0.95\n")
    assert ecology(predictions, out, "--thresholds", str(table)).code == 0
    assert [row["taxon"] for row in rows(out / "detections.csv")] == ["Odocoileus virginianus"]
