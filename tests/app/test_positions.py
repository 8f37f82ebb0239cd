from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image
from surveys import FOX, record, write_predictions
from windows import Page

from speciesnet.app.window import Window


@pytest.fixture
def survey(page: Page, home: Path) -> str:
    """A survey of two cards of one camera, with dates but without positions."""
    images = sorted(home.glob("card*/*.jpg"))
    for image in images:
        Image.new("L", (64, 48)).save(image)
    records = [
        record(path, FOX, taken=f"2024-05-{day:02}T10:00:00") for day, path in enumerate(images, 1)
    ]
    write_predictions(home / "p.json", *records)
    page.get("/api/folders", path=str(home), files=".json,.csv")
    folders = [str(home / "card1"), str(home / "card2")]
    values = {"predictions": str(home / "p.json"), "folders": folders, "name": "Lions"}
    return page.send("POST", "/api/surveys", 201, **values)["id"]


def refused(page: Page, survey: str, **options: object) -> str:
    body = {"kind": "ecology", "options": options}
    answer = page.send("POST", f"/api/surveys/{survey}/jobs", 422, **body)
    assert (answer["code"], answer["action"]["name"]) == ("bad_position", "choose_positions")
    return answer["error"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"latitude": "91", "longitude": "37"},
            "The latitude must be a number of degrees from -90",
        ),
        ({"latitude": "-1.3"}, "The longitude must be"),
        ({"latitude": "nan", "longitude": "37"}, "The latitude must be"),
        ({"latitude": [1], "longitude": 37}, "The latitude must be"),
        ({"latitude": "0", "longitude": "0"}, "in the Atlantic Ocean"),
        ({"latitude": "1", "longitude": "1", "deployments": "d.csv"}, "either a table"),
    ],
)
def test_positions_that_cannot_be_are_refused(
    page: Page, survey: str, options: dict[str, object], said: str
) -> None:
    assert said in refused(page, survey, **options)


def test_a_position_requires_known_folders_of_photographs(
    page: Page, survey: str, window: Window
) -> None:
    window.surveys.get(survey).folders = []
    assert "are unknown" in refused(page, survey, latitude="-1.29", longitude="36.82")


def test_tables_that_were_not_listed_are_refused(page: Page, survey: str) -> None:
    body = {"kind": "cameras", "options": {"deployments": "/etc/passwd"}}
    answer = page.send("POST", f"/api/surveys/{survey}/jobs", 403, **body)
    assert answer["code"] == "folder_not_listed"


@pytest.mark.slow
def test_one_position_is_that_of_all_photographs(
    page: Page, survey: str, home: Path, data: Path
) -> None:
    zone = {"timezone": "Africa/Nairobi"}
    place = {"latitude": "-1.29", "longitude": "36.82", **zone}
    lacking = page.job(survey, "camtrap-dp", title="Lions", contributor=["Me"], **zone)
    assert "have no position" in lacking["error"]
    assert lacking["action"] == {"name": "choose_positions", "survey": survey}
    written = page.job(survey, "camtrap-dp", title="Lions", contributor=["Me"], **place)
    assert (written["error"], written["said"][:13]) == (None, "6 photographs")
    with (home / "camtrap-dp" / "deployments.csv").open(encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    assert [(row["locationID"], row["latitude"], row["longitude"]) for row in rows] == [
        ("Lions", "-1.29", "36.82")
    ] * 2
    assert page.get(f"/api/surveys/{survey}")["cameras"] == place
    page.send("DELETE", f"/api/surveys/{survey}")
    assert not list((data / "positions").iterdir())


@pytest.mark.slow
def test_a_table_of_cameras_is_used_and_remembered(
    page: Page, survey: str, home: Path, window: Window, data: Path
) -> None:
    table = home / "cameras.csv"
    table.write_text("deploymentID,latitude,longitude\ncard1,-1.3,36.8\ncard2,-1.4,36.9\n")
    page.get("/api/folders", path=str(home), files=".csv")
    tables = page.job(survey, "ecology", deployments=str(table))
    assert (tables["error"], tables["written"][0]["path"]) == (None, str(home / "ecology"))
    assert tables["said"].startswith("6 detections of 1 taxon")
    found = page.job(survey, "cameras", deployments=str(table))
    assert [one["path"] for one in found["written"]] == [
        str(home / "cameras"),
        str(home / "camera_check.csv"),
    ]
    assert found["said"].startswith("2 cameras, ")
    address = f"/surveys/{survey}/cameras/index.html"
    assert "card1" in page.client.get(address).text
    assert page.get(f"/api/surveys/{survey}")["pages"] == ["cameras"]
    table.write_text("deploymentID,latitude\ncard1,far north\n")
    failed = page.job(survey, "ecology", deployments=str(table))
    assert "'far north' as latitude" in failed["error"]
    assert failed["action"]["name"] == "choose_positions"

    window.close()
    again = Window(data)  # its pages may name the table
    assert Page(again).job(survey, "ecology", deployments=str(table))["state"] == "failed"
    again.close()
