from __future__ import annotations

import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest
import uvicorn
from photographs import photograph
from PIL import Image
from surveys import (
    BLANK,
    DEER,
    FOX,
    HUMAN,
    LABELS,
    box,
    correction,
    corrections_in,
    record,
    survey_of,
)

from speciesnet.errors import InputError
from speciesnet.files.moved_photographs import Photographs
from speciesnet.records import Record
from speciesnet.server.listening import listen
from speciesnet.server.tokens import token_of
from speciesnet.survey.corrections import CorrectionsFile, corrections_path, read_corrections
from speciesnet.survey.report.review import MAX_BODY, MAX_ITEMS, Review, make_app

TOKEN = "secret"
AT: dict[str, Any] = {"taken": "2024-05-01T06:30:00"}


@dataclass
class Server:
    """A review that is served."""

    port: int
    review: Review
    predictions: Path

    def ask(
        self,
        path: str,
        body: bytes | str | None = None,
        kind: str | None = "application/json",
        host: str | None = None,
        method: str | None = None,
    ) -> tuple[int, bytes]:
        """Sends a request, a POST if it has a body; returns the status and the body of the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {"Host": host or f"127.0.0.1:{self.port}"}
        if kind and body is not None:
            headers["Content-Type"] = kind
        connection.request(method or ("GET" if body is None else "POST"), path, body, headers)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    def get(self, path: str) -> bytes:
        status, body = self.ask(f"/{TOKEN}/{path}")
        assert status == 200, path
        return body

    def body(self, *items: Any) -> str:
        paths = {
            p.shown_path.rpartition("/")[2]: p.shown_path for p in self.review.survey.pictures[:4]
        }
        for one in items:
            if isinstance(one, dict) and isinstance(one["path"], str):
                one["path"] = paths.get(one["path"], one["path"])
        return json.dumps({"items": items})

    def correct(self, *items: Any) -> tuple[int, Any]:
        status, body = self.ask(f"/{TOKEN}/corrections", self.body(*items))
        return status, json.loads(body)

    def changes(self, after: object = 0) -> dict[str, Any]:
        return json.loads(self.get(f"corrections?after={after}"))

    @property
    def saved(self) -> list[tuple[str, str | None]]:
        return corrections_in(self.predictions)


def item(position: object, file: object, label: object) -> dict[str, object]:
    """A correction as a page sends it; ``Server.body`` replaces the file name by the path."""
    return {"position": position, "path": file, "label": label}


def survey_records(tmp_path: Path) -> list[Record]:
    """A sequence of two, a person, a missing photograph, the person again, and one on the web."""
    paths = [photograph(tmp_path / "s" / f"{name}.jpg") for name in "abc"]
    return [
        record(paths[0], FOX, 0.7, **AT),
        record(paths[1], FOX, 0.9, **AT),
        record(paths[2], HUMAN, boxes=[box("human")]),
        record(tmp_path / "s" / "gone.jpg", BLANK, 0.99),
        record(paths[2], HUMAN, boxes=[box("human")]),
        record("https://nowhere.invalid/a.jpg", FOX),
    ]


@contextmanager
def served(tmp_path: Path, **options: Any) -> Iterator[Server]:
    records = survey_records(tmp_path)
    corrections = [correction(records[3]["filepath"], DEER, BLANK)]
    survey = survey_of(tmp_path, *records, corrections=corrections)
    predictions = tmp_path / "predictions.json"
    with CorrectionsFile(corrections_path(predictions)) as file, socket.socket() as listener:
        review = Review(survey, file, "Jane")
        app = make_app(review, Photographs(), tmp_path / "thumbs", token=TOKEN, **options)
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield Server(listener.getsockname()[1], review, predictions)
        server.should_exit = True
        thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with served(tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for tests that change nothing."""
    with served(tmp_path_factory.mktemp("review")) as server:
        yield server


def test_pages_scripts_and_pictures_are_served(server: Server) -> None:
    for path in ("gallery.html", "check.html"):
        assert b'id="review"' in server.get(path)
    for name in ("site.css", "theme.js", "survey.js", "gallery.js", "review.js"):
        assert server.get(f"static/{name}")
    header = json.loads(server.get("data/survey.js").removeprefix(b"const SURVEY = "))
    assert {label["text"] for label in header["labels"]} == set(LABELS.values())
    assert server.get("data/pictures-0.js").startswith(b"addPictures(0, ")
    for path in ("thumbs/0.jpg", "photo/0.jpg"):
        with Image.open(io.BytesIO(server.get(path))) as image:
            assert image.size == (80, 60)
    assert server.ask(f"/{TOKEN}/")[0] == 307


@pytest.mark.parametrize(
    "path",
    [
        "/", "/gallery.html", "/wrong/gallery.html", "/secre/gallery.html", "/corrections",
        f"/{TOKEN}x/gallery.html", f"/{TOKEN}/static/../gallery.html", f"/{TOKEN}/static/nothing.js",
        f"/{TOKEN}/static/..%2f..%2freview.py", f"/{TOKEN}/static/%2e%2e/review.py",
        f"/{TOKEN}/static//etc/passwd", f"/{TOKEN}/data/pictures-1.js", f"/{TOKEN}/data/pictures--1.js",
        f"/{TOKEN}/thumbs/6.jpg", f"/{TOKEN}/thumbs/-1.jpg", f"/{TOKEN}/thumbs/3.jpg",
        f"/{TOKEN}/thumbs/5.jpg", f"/{TOKEN}/thumbs/..%2f..%2fpredictions.json",
        f"/{TOKEN}/photo/6.jpg", f"/{TOKEN}/photo/3.jpg", f"/{TOKEN}/photo/5.jpg",
        f"/{TOKEN}/photo/{'9' * 400}.jpg", f"/{TOKEN}/photo/0.jpg%00", f"/{TOKEN}/photo//etc/passwd",
        f"/{TOKEN}/photo/0", f"/{TOKEN}/predictions.json", f"/{TOKEN}/openapi.json",
    ],
)  # fmt: skip
def test_nothing_else_is_served(untouched: Server, path: str) -> None:
    assert untouched.ask(path)[0] == 404
    assert untouched.ask(path, b'{"items": []}')[0] in (404, 405)
    assert untouched.saved == []


@pytest.mark.parametrize("host", ["evil.example:80", "192.168.0.1", "127.0.0.1.evil.example"])
def test_other_hosts_are_refused(untouched: Server, host: str) -> None:
    body = untouched.body(item(0, "a.jpg", FOX))
    assert untouched.ask(f"/{TOKEN}/gallery.html", host=host)[0] == 400
    assert untouched.ask(f"/{TOKEN}/corrections", body, host=host)[0] == 400
    assert untouched.ask(f"/{TOKEN}/gallery.html", host="localhost:1")[0] == 200
    assert untouched.saved == []


@pytest.mark.parametrize(
    "items",
    [
        [item(6, "a.jpg", FOX)], [item(-1, "a.jpg", FOX)], [item("0", "a.jpg", FOX)],
        [item(True, "b.jpg", FOX)], [item(0.0, "a.jpg", FOX)], [item(None, "a.jpg", FOX)],
        [item(0, "b.jpg", FOX)], [item(0, "other/a.jpg", FOX)], [item(0, None, FOX)],
        [item(0, ["a.jpg"], FOX)],
        [item(0, "a.jpg", "red fox")], [item(0, "a.jpg", "u;;;;;;unicorn")], [item(0, "a.jpg", "")],
        [item(0, "a.jpg", [FOX])], [item(0, "a.jpg", {})], [item(0, "a.jpg", 1)], ["a.jpg"], [None],
        [item(0, "a.jpg", FOX), item(99, "b.jpg", FOX)],
        [item(0, "a.jpg", FOX)] * (MAX_ITEMS + 1), [],
    ],
)  # fmt: skip
def test_invalid_corrections_are_refused_and_nothing_is_saved(
    untouched: Server, items: Any
) -> None:
    status, answer = untouched.correct(*items)
    assert (status, list(answer)) == (400, ["error"])
    assert untouched.saved == []
    assert untouched.changes()["count"] == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/json"), (b"{", "application/json"), (b"[]", "application/json"),
        (b"null", "application/json"), (b'{"items": {}}', "application/json"),
        (b"\xff", "application/json"), (b"[" * 100_000, "application/json"),
        (b'{"items": ' + b"9" * 5000 + b"}", "application/json"),
        (b'{"items": [' + b" " * MAX_BODY + b"]}", "application/json"),
        (b"good", "text/plain"), (b"good", "application/x-www-form-urlencoded"), (b"good", None),
    ],
)  # fmt: skip
def test_requests_without_a_list_of_corrections_are_refused(
    untouched: Server, body: bytes, kind: str | None
) -> None:
    good = untouched.body(item(0, "a.jpg", FOX)).encode()
    status, answer = untouched.ask(f"/{TOKEN}/corrections", good if body == b"good" else body, kind)
    assert status == 400
    assert json.loads(answer)["error"]
    assert untouched.saved == []
    for method in ("PUT", "DELETE", "PATCH"):
        assert untouched.ask(f"/{TOKEN}/corrections", good, method=method)[0] == 405


def test_corrections_are_on_disk_and_among_the_changes(server: Server) -> None:
    first = server.changes()
    assert [(one["position"], one["label"]) for one in first["items"]] == [(3, DEER)]
    assert server.correct(item(0, "a.jpg", FOX), item(1, "b.jpg", DEER)) == (200, {"saved": 2})
    assert server.saved == [("a.jpg", FOX), ("b.jpg", DEER)]
    found = read_corrections(corrections_path(server.predictions))
    assert {(one.reviewer, one.predicted) for one in found.values()} == {("Jane", FOX)}

    changes = server.changes(first["count"])
    assert (changes["epoch"], changes["count"]) == (first["epoch"], 3)
    assert [(one["position"], one["label"]) for one in changes["items"]] == [(0, FOX), (1, DEER)]
    assert {(one["sequenceLabel"], one["sequenceScore"]) for one in changes["items"]} == {
        (FOX, 1.0)
    }
    assert server.changes(changes["count"])["items"] == []
    server.correct(item(0, "a.jpg", None), item(1, "b.jpg", None))
    assert server.saved[2:] == [("a.jpg", None), ("b.jpg", None)]
    latest = server.changes(changes["count"])["items"]
    assert [(one["position"], one["label"]) for one in latest] == [(0, None), (1, None)]
    assert latest[0]["sequenceLabel"] == FOX
    assert latest[0]["sequenceScore"] == pytest.approx(0.8)


@pytest.mark.parametrize("after", ["-5", "x", "", "²", "1e3", "9" * 5000, "99", "1;2"])
def test_changes_after_any_text(untouched: Server, after: str) -> None:
    changes = untouched.changes(quote(after))
    assert changes["count"] == 1
    assert len(changes["items"]) == (0 if after == "99" else 1)


def test_correction_of_a_photograph_in_two_records_changes_both(server: Server) -> None:
    server.correct(item(2, "c.jpg", BLANK))
    assert server.saved == [("c.jpg", BLANK)]
    assert [one["position"] for one in server.changes(1)["items"]] == [2, 4]
    assert {one["label"] for one in server.changes(1)["items"]} == {BLANK}


def test_full_disk_is_reported_and_nothing_is_saved(server: Server) -> None:
    path = corrections_path(server.predictions)
    path.symlink_to("/dev/full") if Path("/dev/full").exists() else path.mkdir()
    status, answer = server.correct(item(0, "a.jpg", DEER))
    assert status == 507
    assert "cannot be written" in answer["error"]
    assert server.changes()["count"] == 1
    assert server.review.survey.pictures[0].answer == FOX
    path.unlink() if path.is_symlink() else path.rmdir()
    assert server.correct(item(0, "a.jpg", DEER))[0] == 200
    assert server.saved == [("a.jpg", DEER)]


def test_reloaded_page_has_the_corrections(server: Server) -> None:
    server.correct(item(0, "a.jpg", DEER))
    header = json.loads(server.get("data/survey.js").removeprefix(b"const SURVEY = "))
    chunk = server.get("data/pictures-0.js").removeprefix(b"addPictures(").removesuffix(b")")
    _, columns, rows = json.loads(b"[" + chunk + b"]")
    row = dict(zip(columns, rows[0], strict=True))
    assert header["labels"][row["correction"]]["text"] == DEER
    assert header["labels"][row["label"]]["text"] == FOX
    assert row["thumbnail"] == "0.jpg"


def test_corrections_from_several_tabs(server: Server) -> None:
    def work(position: int, file: str) -> None:
        for label in (FOX, DEER, None) * 5:
            assert server.correct(item(position, file, label))[0] == 200
            server.changes()
            server.get("thumbs/0.jpg")

    threads = [
        threading.Thread(target=work, args=one)
        for one in ((0, "a.jpg"), (1, "b.jpg"), (2, "c.jpg"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.saved) == 45
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        assert [label for file, label in server.saved if file == name] == [FOX, DEER, None] * 5


@pytest.mark.parametrize("blur", [False, True])
def test_people_are_blurred_in_every_size(tmp_path: Path, blur: bool) -> None:
    with served(tmp_path, blur_humans=blur) as server:
        person = server.review.survey.pictures[2].filepath
        Image.effect_noise((800, 600), 90).convert("RGB").save(person, quality=95)
        for path in ("thumbs/2.jpg", "photo/2.jpg"):
            with Image.open(io.BytesIO(server.get(path))) as image:
                w, h = image.size
                inner = image.convert("L").crop((w // 4, h // 3, w // 2, 2 * h // 3))
                low, high = cast("tuple[int, int]", inner.getextrema())
                assert (high - low < 40) is blur


def test_token_stays_the_same_for_a_file_and_is_secret(tmp_path: Path) -> None:
    token = token_of(tmp_path / "p.json")
    assert token == token_of(tmp_path / "x" / ".." / "p.json")
    assert token != token_of(tmp_path / "q.json")
    assert len(token) >= 16


def test_token_without_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SPECIESNET_CACHE", str(tmp_path / "file"))
    assert len(token_of("p.json")) >= 16


def test_port_that_is_in_use(untouched: Server) -> None:
    with pytest.raises(InputError, match=f"Port {untouched.port} of 127.0.0.1 cannot be used"):
        listen("127.0.0.1", untouched.port)
