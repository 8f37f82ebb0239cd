"""The window on real folders, and pages that have entered it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient
from surveys import MODEL

from speciesnet.app.web import make_app
from speciesnet.app.window import Window

IMAGES = sorted((MODEL.parent / "images").rglob("*.jpg"))
TOKEN, PORT = "token-of-the-window", 8766
LONGEST_SECONDS = 240.0  # for a command in a process of its own


def client_of(window: Window) -> TestClient:
    """A browser without the cookie."""
    return TestClient(make_app(window, TOKEN, PORT), base_url=f"http://127.0.0.1:{PORT}")


class Page:
    """A page that has the cookie, and has seen the folders in the home of the person."""

    def __init__(self, window: Window) -> None:
        self.client = client_of(window)
        assert self.client.get(f"/open/{TOKEN}").status_code == 200
        self.get("/api/folders")
        self.get("/api/folders", path=str(Path.home()))

    def get(self, address: str, status: int = 200, /, **query: Any) -> Any:
        answer = self.client.get(address, params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    def send(self, method: str, address: str, status: int = 200, /, **body: Any) -> Any:
        answer = self.client.request(method, address, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def add(self, *folders: Path, **values: Any) -> str:
        """Adds a survey of folders that the page has seen, and returns its identifier."""
        body = {"folders": [str(one) for one in folders], "model": "demo", **values}
        return self.send("POST", "/api/surveys", 201, **body)["id"]

    def state(self, survey: str) -> str:
        return self.get(f"/api/surveys/{survey}")["state"]

    def job(self, survey: str, kind: str, /, **options: Any) -> Any:
        """Starts a job, and returns it once it has ended."""
        job = self.send("POST", f"/api/surveys/{survey}/jobs", 201, kind=kind, options=options)
        wait_for(lambda: self.get(f"/api/jobs/{job['id']}")["state"], "done", "failed", "stopped")
        return self.get(f"/api/jobs/{job['id']}")


def wait_for(state: Callable[[], object], *expected: object) -> None:
    """Waits until a state is one of those expected."""
    end = time.monotonic() + LONGEST_SECONDS
    while (found := state()) not in expected:
        assert time.monotonic() < end, found
        time.sleep(0.05)
