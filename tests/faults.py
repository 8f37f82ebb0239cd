"""A local proxy between a client and a real server that causes faults on demand."""

from __future__ import annotations

import http.client
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_HOP_BY_HOP = ("connection", "expect", "keep-alive", "transfer-encoding")


@dataclass(frozen=True)
class Answer:
    """A response instead of the server's."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Drop:
    """No response; if ``afterward``, the server has carried out the request."""

    afterward: bool = False


@dataclass(frozen=True)
class Cut:
    """Only the first bytes of the body, then the end of the connection."""

    size: int


@dataclass(frozen=True)
class Drip:
    """The body in pieces of this size, with a pause before each."""

    size: int
    seconds: float


Fault = Answer | Drop | Cut | Drip | None
Plan = Callable[[str, str], Fault]  # from method and path


class Proxy:
    """Forwards requests to a server.

    Attributes:
        plan: The fault of each request; none by default.
        requests: Methods and paths of all requests.
        delay: Seconds before each answer.
        upstream: The server's port.
    """

    def __init__(self, port: int) -> None:
        self.upstream = port
        self.reset()
        self._server = _Server(("127.0.0.1", 0), _handler(self, port))
        self.port: int = self._server.server_address[1]

    def reset(self) -> None:
        """Forwards everything again."""
        self.plan: Plan = lambda method, path: None
        self.requests: list[tuple[str, str]] = []
        self.delay = 0.0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def first(self, number: int, fault: Fault, method: str = "GET") -> None:
        """Applies a fault to the next requests of a method."""
        left = [number]

        def plan(asked: str, path: str) -> Fault:
            if asked != method or left[0] <= 0:
                return None
            left[0] -= 1
            return fault

        self.plan = plan

    def always(self, fault: Fault, *methods: str) -> None:
        """Applies a fault to all requests, or to those of some methods."""
        self.plan = lambda method, path: fault if not methods or method in methods else None

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64


def _handler(proxy: Proxy, port: int) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 2**16
        disable_nagle_algorithm = True

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:  # the client has gone
                self.close_connection = True

        def handle_expect_100(self) -> bool:
            super().handle_expect_100()
            self.wfile.flush()
            return True

        def _pass_on(self) -> None:
            proxy.requests.append((self.command, self.path))
            body = self._body()
            fault = proxy.plan(self.command, self.path)
            if proxy.delay:
                time.sleep(proxy.delay)
            if isinstance(fault, Drop):
                if fault.afterward:
                    self._ask(body)
                self.close_connection = True
                return
            if isinstance(fault, Answer):
                self._answer(fault.status, list(fault.headers.items()), fault.body)
                return
            status, headers, content = self._ask(body)
            if isinstance(fault, Cut):
                self._answer(status, headers, content, content[: fault.size])
                self.close_connection = True
            elif isinstance(fault, Drip):
                self._answer(status, headers, content, b"")
                for start in range(0, len(content), fault.size):
                    time.sleep(fault.seconds)
                    self.wfile.write(content[start : start + fault.size])
                    self.wfile.flush()
            else:
                self._answer(status, headers, content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = _pass_on  # noqa: N815

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
            if body:
                headers["Content-Length"] = str(len(body))
            try:
                connection.request(self.command, self.path, body or None, headers)
                response = connection.getresponse()
                return response.status, response.getheaders(), response.read()
            finally:
                connection.close()

        def _answer(
            self,
            status: int,
            headers: list[tuple[str, str]],
            content: bytes,
            sent: bytes | None = None,
        ) -> None:
            self.send_response_only(status)
            for name, value in headers:
                is_length = name.lower() == "content-length"
                if name.lower() not in _HOP_BY_HOP and (not is_length or self.command == "HEAD"):
                    self.send_header(name, value)
            if self.command != "HEAD" and status not in (204, 304):
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content if sent is None else sent)
            self.wfile.flush()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Logs nothing."""

    return Handler


@contextmanager
def before_web_server(
    handler: Callable[..., http.server.BaseHTTPRequestHandler],
) -> Iterator[Proxy]:
    """A proxy in front of a web server in this process with this handler."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        with Proxy(server.server_address[1]).running() as proxy:
            yield proxy
        server.shutdown()
        thread.join()
