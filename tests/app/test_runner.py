from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from windows import Page, wait_for

from speciesnet.app.window import Window

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signals"),
]


def pid_of(window: Window, survey: str) -> int:
    return window.surveys.get(survey).pid


def test_a_killed_run_says_so_and_goes_on_while_the_next_survey_waits_its_turn(
    page: Page, window: Window, home: Path
) -> None:
    first, second = page.add(home / "card1"), page.add(home / "card2")
    for survey in (first, second):
        page.send("POST", f"/api/surveys/{survey}/start")
    wait_for(lambda: page.state(first), "running")
    assert page.state(second) == "waiting"
    assert page.get("/api/surveys")["queue"] == [first, second]
    page.send("DELETE", f"/api/surveys/{first}", 409)
    page.send("PATCH", f"/api/surveys/{first}", 409, name="x")
    os.kill(pid_of(window, first), signal.SIGKILL)
    wait_for(lambda: page.state(first), "failed")
    killed = page.get(f"/api/surveys/{first}/progress")
    assert "signal 9" in killed["sentence"]
    assert killed["action"] == {"name": "go_on", "survey": first}
    page.send("POST", f"/api/surveys/{first}/start")
    for survey in (second, first):
        wait_for(lambda: page.state(survey), "done")  # noqa: B023
        progress = page.get(f"/api/surveys/{survey}/progress")
        assert (progress["done"], progress["total"]) == (3, 3)
        assert progress["sentence"] == "3 images, 0 of them failed."
        assert sum(one["count"] for one in progress["species"]) + progress["blank"] == 3
        picture = page.client.get(progress["latest"][0]["thumb"])
        assert picture.content.startswith(b"\xff\xd8")


def test_a_folder_that_vanishes_ends_the_run_with_a_sentence(page: Page, home: Path) -> None:
    survey = page.add(home / "card1")
    page.send("POST", f"/api/surveys/{survey}/start")
    wait_for(lambda: page.state(survey), "running")
    (home / "card1").rename(home / "gone")
    wait_for(lambda: page.state(survey), "failed")
    found = page.get(f"/api/surveys/{survey}")
    assert f"The folder {home / 'card1'} cannot be read" in found["sentence"]
    assert (found["action"]["name"], found["missing"]) == ("go_on", [str(home / "card1")])
    assert page.send("POST", f"/api/surveys/{survey}/start", 404)["code"] == "folder_gone"
    (home / "gone").rename(home / "card1")
    page.send("POST", f"/api/surveys/{survey}/start")
    wait_for(lambda: page.state(survey), "done")
    assert page.get(f"/api/surveys/{survey}")["done"] == 3


def test_a_pause_holds_the_queue_and_a_closed_window_leaves_a_whole_file(
    page: Page, window: Window, data: Path, home: Path
) -> None:
    first, second = page.add(home / "card1"), page.add(home / "card2")
    for survey in (first, second):
        page.send("POST", f"/api/surveys/{survey}/start")
    wait_for(lambda: page.state(first), "running")
    page.send("POST", f"/api/surveys/{first}/pause")
    wait_for(lambda: page.state(first), "paused")
    assert (page.state(second), page.get("/api/surveys")["held"]) == ("waiting", True)
    page.send("POST", f"/api/surveys/{second}/stop")
    assert page.state(second) == "stopped"
    page.send("POST", f"/api/surveys/{first}/start")
    wait_for(lambda: page.state(first), "running")
    window.close()
    again = Window(data)
    other = Page(again)
    assert other.state(first) == "paused"
    other.send("POST", f"/api/surveys/{first}/start")
    wait_for(lambda: other.state(first), "done")
    again.close()


def test_a_run_that_outlives_a_killed_window_is_found_again(
    page: Page, window: Window, data: Path, home: Path
) -> None:
    survey = window.surveys.get(page.add(home / "card1"))
    log = data / "run.log"
    log.write_text("3 images, 0 of them failed.\nPredictions: p.json\n")
    survey.state, survey.log = "running", str(log)
    Path(survey.predictions).parent.mkdir(parents=True)
    window.surveys.save()
    with FileLock(f"{survey.predictions}.lock"):  # as the run itself holds it
        again = Window(data)
        assert again.surveys.get(survey.id).state == "running"
    wait_for(lambda: again.surveys.get(survey.id).state, "done")
    again.close()


def test_a_run_that_ended_with_its_window_is_offered_again(
    page: Page, window: Window, data: Path, home: Path
) -> None:
    survey = window.surveys.get(page.add(home / "card1"))
    survey.state = "running"
    window.surveys.save()
    again = Window(data)
    found = again.surveys.get(survey.id)
    assert (found.state, found.action) == ("stopped", {"name": "go_on", "survey": survey.id})
    again.close()


def test_a_folder_that_cannot_be_written_is_said(page: Page, home: Path) -> None:
    survey = page.add(home / "card1", results=str(home / "card2"))
    for one in (home / "card2").iterdir():
        one.unlink()
    (home / "card2").rmdir()
    (home / "card2").write_text("a file")
    page.send("POST", f"/api/surveys/{survey}/start")
    wait_for(lambda: page.state(survey), "failed")
    found = page.get(f"/api/surveys/{survey}")
    assert str(home / "card2") in found["sentence"]
    assert found["action"]["name"] == "free_space"
