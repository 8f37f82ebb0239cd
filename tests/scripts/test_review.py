from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Outcome, run_here
from photographs import photograph
from surveys import DEER, FOX, corrections_in, record, write_predictions

from speciesnet.survey.corrections import CorrectionsFile, corrections_path

Start = Callable[..., tuple["subprocess.Popen[str]", str]]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    return write_predictions(tmp_path / "p.json", record(photograph(tmp_path / "s" / "a.jpg")))


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a review, and gives it and the address that it prints."""
    running: list[subprocess.Popen[str]] = []

    def run(*arguments: str | Path) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "speciesnet.scripts.review", *map(str, arguments)]
        review = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        )
        running.append(review)
        assert review.stdout is not None
        return review, review.stdout.readline().strip().rpartition(" ")[2]

    yield run
    for review in running:
        review.kill()
        review.communicate()


def say(address: str, label: str | None, path: Path) -> dict[str, Any]:
    item = {"position": 0, "path": path.as_posix(), "label": label}
    body = json.dumps({"items": [item]}).encode()
    request = urllib.request.Request(
        f"{address}corrections", body, {"Content-Type": "application/json"}
    )
    for attempt in range(200):
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:  # it does not listen yet
            if attempt == 199:
                raise
            time.sleep(0.05)
    raise AssertionError


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_review_is_served_until_it_is_interrupted(predictions: Path, start: Start) -> None:
    port = free_port()
    review, address = start(predictions, "--port", str(port), "--reviewer", "Jane")
    assert address.startswith(f"http://127.0.0.1:{port}/")
    assert say(address, DEER, predictions.parent / "s" / "a.jpg") == {"saved": 1}
    second = run_here("review", predictions, "--port", str(free_port()))
    assert "another review. Wait for it, or use the page of that review" in second.sentence
    review.send_signal(signal.SIGINT)
    _, error = review.communicate(timeout=30)
    assert (error, review.returncode) == ("", 0)
    assert corrections_in(predictions) == [("a.jpg", DEER)]
    assert json.loads(corrections_path(predictions).read_text())["reviewer"] == "Jane"
    names = {path.name for path in predictions.parent.iterdir()}
    assert names == {"p.json", "p.json.run.json", "p.json.corrections.jsonl", "s"}


def test_review_that_is_killed_restarts_at_the_same_address(
    predictions: Path, start: Start
) -> None:
    port = str(free_port())
    review, address = start(predictions, "--port", port)
    say(address, DEER, predictions.parent / "s" / "a.jpg")
    review.kill()
    review.communicate()
    _, again = start(predictions, "--port", port)
    assert again == address
    say(address, FOX, predictions.parent / "s" / "a.jpg")
    assert corrections_in(predictions) == [("a.jpg", DEER), ("a.jpg", FOX)]


def test_corrections_go_to_the_given_file(predictions: Path, tmp_path: Path, start: Start) -> None:
    other = tmp_path / "mine.jsonl"
    _, address = start(predictions, "--port", str(free_port()), "--corrections", other)
    say(address, DEER, predictions.parent / "s" / "a.jpg")
    assert json.loads(other.read_text())["label"] == DEER
    assert not corrections_path(predictions).exists()


def test_mistakes_end_in_one_sentence(predictions: Path, tmp_path: Path) -> None:
    def review(*arguments: str | Path) -> Outcome:
        return run_here("review", "--port", str(free_port()), *arguments)

    assert "Pass one predictions file" in review().sentence
    assert "leave --corrections out" in review(predictions, "--corrections", "none").sentence
    assert "There is no folder" in review(tmp_path / "gone" / "p.json").sentence
    assert "cannot be read" in review(tmp_path / "gone.json").sentence
    assert "See --help" in review(predictions, "--port", "0").sentence
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        assert (
            f"Port {port} of 127.0.0.1 cannot be used"
            in review(predictions, "--port", port).sentence
        )
    with CorrectionsFile(corrections_path(predictions)):
        assert "another review" in review(predictions).sentence
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.json", "p.json.run.json", "s"]


def test_help_is_short() -> None:
    done = run_here("review", "--help")
    assert (done.code, done.err) == (0, "")
    assert "--reviewer" in done.out
