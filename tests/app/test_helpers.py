from __future__ import annotations

import http.client
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from surveys import FOX, record, write_predictions
from windows import IMAGES, Page, wait_for

from speciesnet.app import helpers
from speciesnet.app.errors import PageError
from speciesnet.app.helpers import Helper, Helpers, Work
from speciesnet.app.window import Window

pytestmark = pytest.mark.slow  # starts processes


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Helpers]:
    found = Helpers(tmp_path)
    yield found
    found.close()


def reviewed(tmp_path: Path, name: str) -> Work:
    path = write_predictions(tmp_path / f"{name}.json", *(record(one, FOX) for one in IMAGES[:3]))
    return Work(str(path), f"surveys/{name}/review", ("/", "back"))


def status_of(helper: Helper, address: str) -> int:
    with helper.ask("GET", address, {}) as answer:
        return answer.status


def test_several_reviews_stay_open_and_the_oldest_makes_room(
    running: Helpers, tmp_path: Path
) -> None:
    names = ["a", "b", "c", "d"][: helpers.MAX_HELPERS + 1]
    found = [running.get(name, reviewed(tmp_path, name)) for name in names]
    assert [one.is_running for one in found] == [False, True, True, True]
    assert status_of(found[1], "/surveys/b/review/gallery.html") == 200
    assert running.get("b", reviewed(tmp_path, "b")) is found[1]


def test_a_review_of_changed_predictions_starts_again(running: Helpers, tmp_path: Path) -> None:
    work = reviewed(tmp_path, "a")
    first = running.get("a", work, "before")
    assert running.get("a", work) is first
    assert running.get("a", work, "after") is first
    second = running.get(
        "a", work, "after", renew=True
    )  # its predecessor has released the corrections
    assert (first.is_running, second.is_running) == (False, True)


def test_nobody_else_may_ask_the_process(running: Helpers, tmp_path: Path) -> None:
    helper = running.get("a", reviewed(tmp_path, "a"))
    connection = http.client.HTTPConnection("127.0.0.1", helper.port)
    for headers in ({}, {helpers.SECRET_HEADER: "guess"}):
        connection.request("GET", "/surveys/a/review/gallery.html", headers=headers)
        response = connection.getresponse()
        assert (response.status, b"Gallery" in response.read()) == (403, False)
    connection.close()


def test_processes_that_nobody_uses_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helpers, "CHECK_SECONDS", 0.05)
    running = Helpers(tmp_path)
    helper = running.get("a", reviewed(tmp_path, "a"))
    with helper.ask("GET", "/surveys/a/review/gallery.html", {}):
        monkeypatch.setattr(helpers, "IDLE_SECONDS", 0.0)
        assert (helper.idle, helper.is_running) == (0.0, True)
    wait_for(lambda: helper.is_running, False)
    running.close()
    with pytest.raises(PageError, match="closing"):
        running.get("a", reviewed(tmp_path, "a"))


@pytest.mark.skipif(os.name == "nt", reason="processes are killed in other ways there")
def test_a_review_that_is_killed_is_loaded_again(page: Page, window: Window, home: Path) -> None:
    path = write_predictions(home / "card1" / "p.json", record(IMAGES[0], FOX))
    page.get("/api/folders", path=str(home / "card1"), files=".json")
    survey = page.send("POST", "/api/surveys", 201, predictions=str(path))["id"]
    address = page.send("POST", f"/api/surveys/{survey}/review")["address"]
    helper = window.reviews.open(window.surveys.get(survey), reload=False)
    os.kill(helper.pid, signal.SIGKILL)
    wait_for(lambda: helper.is_running, False)
    assert page.client.get(address).status_code == 200
    with pytest.raises(PageError, match="interrupted"), helper.ask("GET", address, {}):
        pass


def test_predictions_that_cannot_be_read_are_named(running: Helpers, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("no JSON")
    with pytest.raises(PageError, match=r"p\.json") as raised:
        running.get("a", Work(str(tmp_path / "p.json"), "a", ("/", "back")))
    assert raised.value.code == "no_review"
