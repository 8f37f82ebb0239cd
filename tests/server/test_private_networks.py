"""Host names and redirects that lead into private networks: a real server with a fake DNS."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from servers import SAMPLES, STAND_IN, Server, served

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")

# Python runs this at startup: it resolves the test's names and connects the public address to our host.
NAMES = """
import socket
PUBLIC, connect, look_up = "93.184.216.34", socket.create_connection, socket.getaddrinfo
turning = iter([PUBLIC, "127.0.0.1"] * 9)

def getaddrinfo(host, port, *more, **options):
    found = {"images.example.org": PUBLIC, "inside.example.org": "127.0.0.1"}.get(host, host)
    if host == "turning.example.org":
        found = next(turning)
    return look_up(found, port, *more, **options)

def create_connection(address, *more, **options):
    if address[0] == PUBLIC:
        address = ("127.0.0.1", %d)
    return connect(address, *more, **options)

socket.getaddrinfo, socket.create_connection = getaddrinfo, create_connection
"""
ELSEWHERE = {
    "/to_loopback": "http://127.0.0.1:{port}/secret.jpg",
    "/to_decimal": "http://2130706433:{port}/secret.jpg",
    "/to_mapped": "http://[::ffff:127.0.0.1]:{port}/secret.jpg",
    "/to_inside": "http://inside.example.org/secret.jpg",
    "/to_file": "file:///etc/passwd",
    "/to_other": "http://other.example.org/secret.jpg",
    "/turn": "http://turning.example.org/secret.jpg",
}


class Handler(BaseHTTPRequestHandler):
    requested: list[str]

    def do_GET(self) -> None:
        self.requested.append(self.path)
        if self.path in ELSEWHERE:
            self.send_response(302)
            self.send_header("Location", ELSEWHERE[self.path].format(port=self.server.server_port))  # type: ignore[attr-defined]
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(SAMPLES[0].read_bytes())

    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[ThreadingHTTPServer]:
    Handler.requested = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield web
        web.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory, web: ThreadingHTTPServer) -> Iterator[Server]:
    """A server that may read from the web."""
    folder: Path = tmp_path_factory.mktemp("reading")
    (folder / "sitecustomize.py").write_text(NAMES % web.server_port)
    hosts = ("images", "inside", "turning")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        flag = ",".join(f"{host}.example.org" for host in hosts)
        hosts = ("--allow_url", f"{flag},127.0.0.1:{web.server_port}")
        with served(folder, *hosts, program=STAND_IN) as server:
            yield server
            assert server.stop() == 0
            assert "Traceback" not in server.log.read_text()


def test_image_of_an_allowed_host_is_predicted(reading: Server) -> None:
    (record,) = reading.predict({"filepath": "http://images.example.org/a.jpg"}).records
    assert "prediction" in record


@pytest.mark.parametrize("path", [path for path in ELSEWHERE if path != "/turn"])
def test_redirect_to_a_private_address_is_rejected(reading: Server, path: str) -> None:
    answer = reading.predict({"filepath": f"http://images.example.org{path}"})
    assert (answer.status, "address" in answer.error) == (403, True)
    assert Handler.requested[-1] == path
    assert "/secret.jpg" not in Handler.requested


def test_allowed_name_with_a_private_address_is_rejected(reading: Server) -> None:
    assert reading.predict({"filepath": "http://inside.example.org/secret.jpg"}).status == 403
    assert "/secret.jpg" not in Handler.requested


def test_name_that_changes_its_address_is_resolved_once_per_request(reading: Server) -> None:
    # For each of these requests, the first address is public and the second is private.
    first = reading.predict({"filepath": "http://turning.example.org/turn"})
    assert first.status == 403
    assert "/secret.jpg" not in Handler.requested
    (record,) = reading.predict({"filepath": "http://turning.example.org/a.jpg"}).records
    assert "prediction" in record  # it connects to the address that it checked
    assert reading.predict({"filepath": "http://turning.example.org/secret.jpg"}).status == 403
    assert "/secret.jpg" not in Handler.requested
