"""Hostile requests: each gets the right status code, and the server continues to work."""

from __future__ import annotations

import io
import json
import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from PIL import Image
from servers import BOUNDARY, FORM, SAMPLES, Server, form_of, in_base64, picture

LENGTH = b"Content-Length: 1000000\r\n\r\n"
BODY = json.dumps({"instances": [{"filepath": "a", "image": in_base64(picture())}]})


@pytest.fixture(autouse=True)
def _continues_to_work(server: Server) -> Iterator[None]:
    workers = server.workers
    yield
    assert server.ask(body=BODY).records[0]["filepath"] == "a"
    assert server.workers == workers
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "../outside/secret.jpg", "{}/../outside/secret.jpg", "{}/..",
        "{}/%2e%2e/outside/secret.jpg", "{}/%252e%252e/outside/secret.jpg", "{}/..%2foutside/secret.jpg",
        "{}/link.jpg", "{}/link/secret.jpg", "{}/gone.jpg", "{}/cam1/0.jpg\0", "file://{}/cam1/0.jpg",
        "file:///etc/passwd", "/proc/self/environ", "/dev/zero", "\\\\host\\share\\a.jpg",
    ],
)  # fmt: skip
def test_path_out_of_the_allowed_folder_is_rejected(
    server: Server, allowed: Path, path: str
) -> None:
    answer = server.predict({"filepath": path.format(allowed)})
    assert (answer.status, "folder" in answer.error or "host" in answer.error) == (403, True)
    good = {"filepath": str(allowed / "cam1" / "0.jpg")}
    assert server.predict(good, {"filepath": path.format(allowed)}).status == 403


@pytest.fixture(scope="module")
def inside() -> Iterator[tuple[int, list[str]]]:
    """A service on loopback and the paths requested from it."""
    requested: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested.append(self.path)

    with HTTPServer(("127.0.0.1", 0), Handler) as service:
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        yield service.server_port, requested
        service.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "2130706433", "0x7f.1", "017700000001", "[::1]", "[::ffff:127.0.0.1]",
        "169.254.169.254", "127.1", "0", "[::]", "user@127.0.0.1", "evil.example", "",
    ],
)  # fmt: skip
def test_url_of_a_private_address_is_rejected(
    server: Server, inside: tuple[int, list[str]], host: str
) -> None:
    port, requested = inside
    for url in (f"http://{host}/a.jpg", f"http://{host}:{port}/a.jpg", f"https://{host}/a.jpg"):
        assert server.predict({"filepath": url}).status == 403
    assert requested == []


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/a.jpg",
        "gs://bucket/a.jpg",
        "az://x/a.jpg",
        "ftp://x/a",
        "gopher://x/",
        "data://x",
    ],
)
def test_other_schemes_are_rejected(server: Server, url: str) -> None:
    assert server.predict({"filepath": url}).status == 403


def test_oversized_requests_are_rejected(server: Server) -> None:
    large = b"x" * (5 * 2**20)
    assert server.ask(body=large).status == 413
    assert server.ask(body=large, kind=FORM).status == 413
    chunks = iter([b'{"instances": ["', *[b"x" * 2**16] * 80])
    connection_answer = server.ask(body=chunks)  # without a Content-Length
    assert (connection_answer.status, "MiB" in connection_answer.error) == (413, True)
    image = picture() + b"x" * 2**20
    assert server.upload(("a.jpg", image)).status == 413
    assert server.predict({"filepath": "a", "image": in_base64(image)}).status == 413
    assert server.ask(body=form_of([("a", b"")] * 41, {}), kind=FORM).status == 413


def test_too_many_instances_are_rejected(server: Server) -> None:
    answer = server.predict(*[{"filepath": "a.jpg"}] * 10_000)
    assert (answer.status, "40 images" in answer.error) == (413, True)


@pytest.mark.parametrize("depth", [100, 2_000, 50_000])
def test_deeply_nested_json_is_rejected(server: Server, depth: int) -> None:
    for start, end in (("[", "]"), ('{"instances": [', "]}"), ('{"a":', "}")):
        assert server.ask(body=start * depth + end * depth).status in (400, 413)
    note = "[" * depth + "]" * depth
    answer = server.ask(body=f'{{"instances": [{{"filepath": "a", "image": "", "note": {note}}}]}}')
    assert (answer.status, bool(answer.error)) == (400, True)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes with a large size in its header, real up to a width of 30,000."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + checksum

    row = b"\0" * (min(width, 30_000) // 8 + 2)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(9_000, 9_000), (30_000, 30_000), (2**31 - 1, 1)])
def test_decompression_bomb_does_not_affect_the_others(
    server: Server, size: tuple[int, int]
) -> None:
    content = bomb(*size)
    assert len(content) < 2**20
    sent = [("bomb.png", content), ("good.jpg", SAMPLES[0].read_bytes())]
    first, second = server.upload(*sent).records
    assert first["failures"] == ["CLASSIFIER", "DETECTOR"]
    assert "prediction" in second


def test_images_of_odd_shapes_are_predicted(server: Server) -> None:
    for size in ((1, 1), (1, 2000), (3000, 1)):
        buffer = io.BytesIO()
        Image.new("RGB", size).save(buffer, "PNG")
        assert len(server.upload(("odd.png", buffer.getvalue()), ("a", picture())).records) == 2


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", FORM, 400), (b"x", FORM, 400), (b"--", FORM, 400),
        (form_of([("a", b"x")], {})[:-9], FORM, 400),
        (form_of([("a", b"x")], {}), "multipart/form-data", 400),
        (form_of([("a", b"x")], {}), "multipart/form-data; boundary=other", 400),
        (form_of([("a", b"x")], {}), f"multipart/form-data; boundary={'x' * 2000}", 400),
        (form_of([("a", b"x")], {}).replace(b"\r\n\r\n", b"\r\n"), FORM, 400),
        (form_of([], {"country": "KEN"}), FORM, 400),
        (BODY, "text/plain", 415), (BODY, None, 415), (BODY, "application/x-www-form-urlencoded", 415),
        (BODY, "application/xml", 415), (BODY.encode("utf-16"), "application/json", 400),
        (b"{", "application/json", 400), (b"\xff\xfe", "application/json", 400),
    ],
)  # fmt: skip
def test_malformed_requests_are_rejected(
    server: Server, body: bytes | str, kind: str | None, status: int
) -> None:
    answer = server.ask(body=body, kind=kind)
    assert (answer.status, bool(answer.error)) == (status, True)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "192.168.0.1", "127.0.0.1.evil.example"]
)
def test_other_host_names_are_rejected(server: Server, host: str) -> None:
    for path in ("/", "/predict", "/health"):
        assert server.ask(path, Host=host).status == 403
    assert server.ask(body=BODY, Host=host).error
    assert server.ask("/health", Host="localhost:1").status == 200


def test_requests_from_pages_of_other_sites_are_rejected(server: Server) -> None:
    body = form_of([("a", picture())], {})
    assert server.ask(body=body, kind=FORM, Sec_Fetch_Site="cross-site").status == 403
    assert server.ask("/", Sec_Fetch_Site="cross-site").status == 200  # a link
    assert "access-control-allow-origin" not in server.ask(body=BODY, Origin="http://x").headers


def test_other_methods_and_paths_are_rejected(server: Server) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        answer = server.ask(method=method)
        assert (answer.status, answer.headers["allow"], bool(answer.error)) == (405, "POST", True)
    for path in (
        "/predict/",
        "/predict/..",
        "//predict",
        "/Predict",
        "/%2e%2e/etc/passwd",
        "/admin",
    ):
        assert server.ask(path, BODY).status == 404


def raw(server: Server, *pieces: bytes, end: bool = False) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    for piece in pieces:
        connection.sendall(piece)
    if end:
        connection.shutdown(socket.SHUT_WR)
    return connection


def all_of(connection: socket.socket) -> bytes:
    with connection, connection.makefile("rb") as file:
        return file.read()


def test_malformed_http_is_rejected(server: Server) -> None:
    for data in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000,
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n",
    ):
        answer = all_of(raw(server, data))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


def drip(connection: socket.socket) -> bytes:
    """Sends one byte after the other until the server answers, and returns the answer."""
    connection.settimeout(0.5)
    for _ in range(200):
        with suppress(TimeoutError):
            if answer := connection.recv(2**16):
                connection.close()
                return answer
        connection.sendall(b"x")
    raise AssertionError("The server did not answer.")


def test_slow_requests_time_out(server: Server) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n".encode()
    silent = raw(server)
    slow_head = raw(server, head[:40])
    slow_body = raw(server, head + LENGTH, f"--{BOUNDARY}\r\n".encode())
    refused = raw(server, head.replace(b"/predict", b"/other") + LENGTH, b"x")
    slowly = (raw(server, head[:40]), raw(server, head + LENGTH, f"--{BOUNDARY}\r\n".encode()))
    with ThreadPoolExecutor(2) as executor:  # these send a byte every half second
        dripping = list(executor.map(drip, slowly))
    assert [answer[:13] for answer in dripping] == [b"HTTP/1.1 408 "] * 2
    assert all_of(silent) == b""
    assert all_of(slow_head).startswith(b"HTTP/1.1 408 ")
    assert all_of(slow_body).startswith(b"HTTP/1.1 408 ")
    assert all_of(refused).startswith(b"HTTP/1.1 404 ")


def test_client_that_disconnects_leaves_nothing_behind(server: Server) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n".encode()
    body = form_of([("a.jpg", SAMPLES[0].read_bytes())] * 3, {})
    length = f"Content-Length: {len(body)}\r\n\r\n".encode()
    for sent in (body, body[:-100], b""):
        raw(server, head + length, sent).close()
    server.predict({"filepath": "a", "image": in_base64(picture())})
    assert server.metric("speciesnet_images_accepted") == 0
    assert server.metric("speciesnet_spool_bytes") == 0
