from __future__ import annotations

from pathlib import Path

import pytest
from surveys import record, write_predictions
from windows import IMAGES, Page, wait_for

from speciesnet.app.window import Window


def test_a_survey_has_defaults_and_the_command_that_it_runs(page: Page, home: Path) -> None:
    place = {"kind": "country", "country": "USA", "region": "CA"}
    survey = page.get(f"/api/surveys/{page.add(home / 'card1', place=place)}")
    results = home / "Documents" / "SpeciesNet" / "card1"
    assert (survey["name"], survey["state"], survey["results"]) == ("card1", "new", str(results))
    assert survey["command"] == (
        f"speciesnet --folders {home / 'card1'} --predictions_json {results / 'predictions.json'} "
        "--model demo --country USA --admin1_region CA"
    )
    assert not results.exists()


def test_surveys_of_folders_with_the_same_name_do_not_share_files(page: Page, home: Path) -> None:
    one, other = page.add(home / "card1"), page.add(home / "card1", name="again")
    third = page.add(home / "card1")
    paths = {page.get(f"/api/surveys/{each}")["predictions"] for each in (one, other, third)}
    assert len(paths) == 3


def test_results_can_go_elsewhere_before_the_run(page: Page, home: Path) -> None:
    survey = page.add(home / "card1")
    changed = page.send("PATCH", f"/api/surveys/{survey}", results=str(home / "card2"))
    assert changed["predictions"] == str(home / "card2" / "predictions.json")


def test_the_list_survives_the_window_and_its_folders_can_still_be_named(
    page: Page, window: Window, data: Path, home: Path
) -> None:
    survey = page.add(home / "card1", name="Lions")
    window.close()
    again = Window(data)
    other = Page(again)
    assert [one["name"] for one in other.get("/api/surveys")["surveys"]] == ["Lions"]
    folders = [str(home / "card1"), str(home / "card2")]
    changed = other.send("PATCH", f"/api/surveys/{survey}", folders=folders)
    assert changed["folders"] == folders
    again.close()


def test_two_pages_see_the_same(page: Page, window: Window, home: Path) -> None:
    survey = page.add(home / "card1")
    other = Page(window)
    other.send("PATCH", f"/api/surveys/{survey}", name="Renamed")
    assert page.get(f"/api/surveys/{survey}")["name"] == "Renamed"


def test_predictions_of_a_terminal_are_opened_and_forgetting_keeps_them(
    page: Page, home: Path
) -> None:
    path = write_predictions(home / "card1" / "p.json", *map(record, IMAGES[:2]))
    page.get("/api/folders", path=str(home / "card1"), files=".json")
    survey = page.send("POST", "/api/surveys", 201, predictions=str(path))["id"]
    wait_for(lambda: page.get(f"/api/surveys/{survey}/progress")["done"], 2)
    assert page.state(survey) == "done"
    page.send("POST", "/api/surveys", 409, predictions=str(path))
    answer = page.send("POST", f"/api/surveys/{survey}/start", 422)
    assert answer["action"]["name"] == "choose_folder"
    assert page.send("DELETE", f"/api/surveys/{survey}") == {}
    assert page.get(f"/api/surveys/{survey}", 404)["code"] == "no_survey"
    assert path.is_file()


def test_a_list_that_cannot_be_written_is_said_and_stays_as_it_was(
    page: Page, data: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    kept = page.add(home / "card2")
    monkeypatch.setattr("speciesnet.app.surveys.write_atomically", full)
    body = {"folders": [str(home / "card1")]}
    answer = page.send("POST", "/api/surveys", 507, **body)
    assert answer["action"] == {"name": "free_space"}
    assert "No space left" in answer["error"]
    page.send("DELETE", f"/api/surveys/{kept}", 507)
    assert [one["id"] for one in page.get("/api/surveys")["surveys"]] == [kept]
