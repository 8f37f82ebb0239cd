from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from speciesnet.errors import ImageError
from speciesnet.server.allowlist import Hosts, Target
from speciesnet.server.errors import RejectedError
from speciesnet.server.fetch import MAX_REDIRECTS, Fetcher

HOST = "images.example.org"
PUBLIC = "93.184.216.34"


class Web(ThreadingHTTPServer):
    """A web host that records the requests it gets."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requested: list[tuple[str, str]] = []
        self.redirects: dict[str, str] = {}


class Handler(BaseHTTPRequestHandler):
    server: Web  # type: ignore[assignment]

    def do_GET(self) -> None:
        self.server.requested.append((self.headers["Host"], self.path))
        if self.path in self.server.redirects:
            self.send_response(302)
            self.send_header("Location", self.server.redirects[self.path])
            self.end_headers()
            return
        self.send_response(404 if self.path == "/gone.jpg" else 200)
        if self.path == "/cut.jpg":
            self.send_header("Content-Length", "2000")
        self.end_headers()
        if self.path == "/slow.jpg":
            with suppress(OSError):
                for _ in range(1000):
                    self.wfile.write(b"x")
                    time.sleep(0.01)
            return
        for _ in range(20):
            self.wfile.write(b"x" * 50)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield web
        web.shutdown()
        thread.join()


class Routed(Fetcher):
    """Connects every address to a local host and records the addresses."""

    def __init__(self, web: Web, *addresses: str) -> None:
        self.connected: list[str] = []
        self.looked_up: list[str] = []
        self._web = web
        self._addresses = iter(addresses)
        super().__init__(Hosts([HOST, "other.example.org"]), self._look_up)

    def _look_up(self, host: str, port: int) -> list[str]:
        self.looked_up.append(host)
        return [next(self._addresses)]

    def connect(self, target: Target, address: str) -> socket.socket:
        self.connected.append(address)
        return socket.create_connection(("127.0.0.1", self._web.server_port), 10)


def fetch(fetcher: Fetcher, path: str, to: Path, size: int = 2000, seconds: float = 60) -> None:
    fetcher.fetch(f"http://{HOST}{path}", to, size, time.monotonic() + seconds)


def test_image_is_downloaded_from_the_checked_address(web: Web, tmp_path: Path) -> None:
    fetcher = Routed(web, PUBLIC)
    fetch(fetcher, "/a.jpg?x=1", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"x" * 1000
    assert fetcher.connected == [PUBLIC]
    assert web.requested == [(HOST, "/a.jpg?x=1")]


def test_host_is_resolved_only_once(web: Web, tmp_path: Path) -> None:
    fetcher = Routed(web, PUBLIC, "127.0.0.1")
    fetch(fetcher, "/a.jpg", tmp_path / "a")
    assert (fetcher.looked_up, fetcher.connected) == ([HOST], [PUBLIC])


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"])
def test_private_address_is_not_connected_to(web: Web, tmp_path: Path, address: str) -> None:
    fetcher = Routed(web, address)
    with pytest.raises(RejectedError) as rejected:
        fetch(fetcher, "/a.jpg", tmp_path / "a")
    assert rejected.value.status == 403
    assert fetcher.connected == web.requested == []


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/",
        "http://evil.example/",
        "//evil.example/",
        "file:///etc/passwd",
        "s3://b/a",
    ],
)
def test_redirect_to_another_host_is_rejected(web: Web, tmp_path: Path, location: str) -> None:
    web.redirects["/a.jpg"] = location
    with pytest.raises(RejectedError):
        fetch(Routed(web, PUBLIC, PUBLIC), "/a.jpg", tmp_path / "a")
    assert len(web.requested) == 1


def test_address_of_a_redirect_is_checked(web: Web, tmp_path: Path) -> None:
    web.redirects["/a.jpg"] = "http://other.example.org/b.jpg"
    fetch(Routed(web, PUBLIC, "8.8.8.8"), "/a.jpg", tmp_path / "a")
    assert web.requested == [(HOST, "/a.jpg"), ("other.example.org", "/b.jpg")]
    with pytest.raises(RejectedError):
        fetch(Routed(web, PUBLIC, "10.0.0.1"), "/a.jpg", tmp_path / "b")


def test_failed_downloads_report_the_reason(web: Web, tmp_path: Path) -> None:
    web.redirects["/round.jpg"] = "/round.jpg"
    for path, reason, size, seconds in (
        ("/gone.jpg", "404", 2000, 60),
        ("/round.jpg", "too many redirects", 2000, 60),
        ("/a.jpg", "too large", 999, 60),
        ("/cut.jpg", "incomplete", 2000, 60),
        ("/slow.jpg", "too slow", 20_000, 0.2),
    ):
        fetcher = Routed(web, *[PUBLIC] * (MAX_REDIRECTS + 1))
        with pytest.raises(ImageError, match=reason):
            fetch(fetcher, path, tmp_path / "a", size, seconds)
    web.server_close()
    with pytest.raises(ImageError, match="the download failed"):
        fetch(Routed(web, PUBLIC), "/a.jpg", tmp_path / "a")


def test_closing_the_fetcher_aborts_downloads(web: Web, tmp_path: Path) -> None:
    fetcher = Routed(web, PUBLIC)
    threading.Timer(0.2, fetcher.close).start()
    with pytest.raises(ImageError, match="too slow"):
        fetch(fetcher, "/slow.jpg", tmp_path / "a")


def test_certificate_of_the_host_is_verified(web: Web) -> None:
    class Elsewhere(Fetcher):
        def connect(self, target: Target, address: str) -> socket.socket:
            return super().connect(replace(target, port=web.server_port), "127.0.0.1")

    fetcher = Elsewhere(Hosts([HOST]), lambda *_: [PUBLIC])
    with pytest.raises(ImageError, match="SSL"):  # the host has no TLS
        fetcher.fetch(f"https://{HOST}/a.jpg", Path("never"), 2000, time.monotonic() + 60)
    assert web.requested == []
