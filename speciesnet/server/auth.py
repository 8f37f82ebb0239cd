"""Authentication: API keys, local host names, and the middleware that checks every request."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from speciesnet.errors import InputError
from speciesnet.server.errors import RejectedError, error_response

if TYPE_CHECKING:
    from speciesnet.server.metrics import Metrics

MIN_KEY_LENGTH = 16  # characters
LOCAL_NAMES = ["127.0.0.1", "localhost", "[::1]"]  # of this computer, in Host headers
PUBLIC_PATHS = ("/", "/health", "/ready", "/openapi.json")  # no API key needed
# A client reads the response only after it has sent its request, so up to this much more of a rejected
# request is received and dropped.
DRAIN_BYTES = 8 * 2**20
DRAIN_SECONDS = 5.0
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class ApiKeys:
    """The API keys that a server accepts.

    Args:
        path: A text file with one key per line.

    Raises:
        InputError: The file cannot be read, or it contains no key or an invalid one.
    """

    def __init__(self, path: str) -> None:
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"--api_key_file {path} cannot be read. Pass a text file with one key per line."
            ) from error
        keys = [line.strip() for line in lines if line.strip()]
        if not keys or min(map(len, keys)) < MIN_KEY_LENGTH or not all(map(str.isascii, keys)):
            raise InputError(
                f"--api_key_file {path} must contain one key per line, each of {MIN_KEY_LENGTH} or more "
                "ASCII characters. Create a key with: openssl rand -hex 32."
            )
        self._digests = [_digest(key) for key in keys]

    def accepts(self, headers: Mapping[str, str]) -> bool:
        """Whether the headers of a request contain one of the keys; takes constant time."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        key = token if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        digest = _digest(key.strip())
        return sum(hmac.compare_digest(digest, known) for known in self._digests) > 0


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach a server that listens on ``host``."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_local_name(host_header: str) -> bool:
    """Whether a ``Host`` header names this computer.

    A web page on another site that rebinds its own name to 127.0.0.1 sends that name instead.
    """
    host = host_header.rpartition(":")[0] if not host_header.endswith("]") else host_header
    return (host or host_header).lower() in LOCAL_NAMES


class AuthMiddleware:
    """Checks the origin and API key of every request, and counts the responses.

    Args:
        app: The wrapped application.
        metrics: Where responses are counted.
        paths: Paths that are counted separately; all others are counted as "other".
        keys: Accepted API keys, or None to accept all requests.
        local_only: Whether the ``Host`` header must name this computer.

    Attributes:
        active: The number of requests that have not been answered yet.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        paths: tuple[str, ...],
        *,
        keys: ApiKeys | None,
        local_only: bool,
    ) -> None:
        self.active = 0
        self._app = app
        self._metrics = metrics
        self._paths = paths
        self._keys = keys
        self._local_only = local_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles an ASGI event."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self._paths else "other"
        if scope["method"] == "HEAD":  # uvicorn drops the body of the response
            scope = {**scope, "method": "GET"}

        body = _RequestBody(scope, receive)

        async def respond(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] >= 400:
                    await body.drain()
                headers = MutableHeaders(scope=message)
                if message["status"] == 503:  # a retry must not meet a connection that is closing
                    headers["Connection"] = "close"
                headers.update(SECURITY_HEADERS)
                self._metrics.requests.labels(path, message["status"]).inc()
            await send(message)

        self.active += 1
        try:
            self._check(scope)
            await self._app(scope, body.receive, respond)
        except RejectedError as error:
            await error_response(error)(scope, body.receive, respond)
        finally:
            self.active -= 1

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if self._local_only and not is_local_name(headers.get("host", "")):
            raise RejectedError(403, "Use 127.0.0.1 or localhost as the host name of this server.")
        is_link = scope["method"] == "GET"
        if headers.get("sec-fetch-site") == "cross-site" and not is_link:
            raise RejectedError(403, "Pages on other sites may not send requests to this server.")
        is_public = scope["path"] in PUBLIC_PATHS or scope["path"].startswith("/static/")
        if self._keys and not is_public and not self._keys.accepts(headers):
            raise RejectedError(401, "The request has no valid API key.")


class _RequestBody:
    """The body of a request, received piece by piece."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._client_waits = "expect" in Headers(scope=scope)  # for "100 Continue"
        self._is_complete = False

    async def receive(self) -> Message:
        """The next piece."""
        message = await self._receive()
        self._client_waits = False
        self._is_complete = not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Receives and drops the rest, up to ``DRAIN_BYTES``."""
        if not self._client_waits:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._drain(), DRAIN_SECONDS)

    async def _drain(self) -> None:
        received = 0
        while not self._is_complete and received < DRAIN_BYTES:
            received += len((await self.receive()).get("body", b""))
