from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient
from windows import TOKEN, client_of

from speciesnet.app.auth import OPEN, Gate
from speciesnet.app.web import make_app
from speciesnet.app.window import Window

JSON = {"content-type": "application/json"}


def code_of(client: TestClient, path: str, **values: object) -> tuple[int, object]:
    answer = client.request(str(values.pop("method", "GET")), path, **values)  # type: ignore[arg-type]
    return answer.status_code, answer.json().get("code")


@pytest.fixture
def client(window: Window) -> TestClient:
    found = client_of(window)
    found.get(f"/open/{TOKEN}")
    return found


def test_nothing_is_shown_without_the_cookie(window: Window) -> None:
    client = client_of(window)
    for path in ("/", "/api/surveys", "/api/folders", "/nothing"):
        assert code_of(client, path) == (401, "no_cookie")
    page = client.get("/", headers={"accept": "text/html"})
    assert page.status_code == 401 and "speciesnet app" in page.text
    assert client.get("/static/site.css").status_code == 200
    assert code_of(client, "/open/guess") == (403, "no_cookie")
    assert code_of(client, "/open/") == (403, "no_cookie")


def test_the_address_gives_a_strict_cookie_of_this_port(window: Window) -> None:
    client = client_of(window)
    cookie = client.get(f"/open/{TOKEN}").headers["set-cookie"].lower()
    assert "speciesnet-8766=" in cookie
    assert {"httponly", "samesite=strict"} <= set(cookie.split("; "))
    assert client.get("/").status_code == 200


def test_a_ticket_opens_the_window_once(window: Window) -> None:
    window.ticket.parent.mkdir(parents=True, exist_ok=True)
    window.ticket.write_text("ticket")
    assert client_of(window).get(f"{OPEN}ticket").status_code == 200
    assert client_of(window).get(f"{OPEN}ticket").status_code == 403


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"host": "evil.example:8766"}, "wrong_host"),
        ({"host": ""}, "wrong_host"),
        ({**JSON, "origin": "http://evil.example"}, "wrong_origin"),
        ({**JSON, "origin": "http://127.0.0.1:9999"}, "wrong_origin"),
        ({**JSON, "origin": "null"}, "wrong_origin"),
        ({**JSON, "sec-fetch-site": "same-site"}, "wrong_origin"),
        ({"content-type": "text/plain"}, "not_json"),
    ],
)
def test_requests_of_other_pages_are_refused(
    client: TestClient, headers: dict[str, str], code: str
) -> None:
    status, found = code_of(client, "/api/surveys", method="POST", headers=headers, content="{}")
    assert (status >= 400, found) == (True, code)


def test_a_cookie_of_another_port_does_not_count(window: Window, tmp_path: Path) -> None:
    gate = Gate(make_app(window, TOKEN, 8766), TOKEN, tmp_path / "ticket", 9999)
    client = TestClient(gate, "http://127.0.0.1:9999", cookies={"speciesnet-8766": TOKEN})
    assert code_of(client, "/") == (401, "no_cookie")


def test_pages_may_load_nothing_from_elsewhere(client: TestClient) -> None:
    headers = client.get("/").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "http" not in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


def test_static_files_are_only_those_of_the_package(client: TestClient) -> None:
    assert client.get("/static/site.css").status_code == 200
    for name in ("..%2f__init__.py", "%2e%2e", "pages.py", "nothing.css"):
        assert client.get(f"/static/{name}").status_code == 404
