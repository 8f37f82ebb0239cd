"""What every request passes first: who asks, and from where. Also counts them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from speciesnet.server.access import ApiKeys, is_local_name
from speciesnet.server.errors import RefusedError, forbidden
from speciesnet.server.metrics import Meters

OPEN = ("/", "/health", "/ready", "/openapi.json")  # to those without a key
DRAIN_BYTES = 8 * 2**20  # of a request that is refused before all of it has come ...
DRAIN_SECONDS = 5.0  # ... are taken, or else who sends it never sees the answer
_SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Gate:
    """The application behind the checks.

    Args:
        app: It.
        meters: Where answers are counted.
        paths: Its paths, by which they are counted.
        keys: Of which a request must bring one, or None.
        only_local: Whether only names of this computer are taken.

    Attributes:
        active: Requests that are not answered yet.
    """

    def __init__(
        self,
        app: ASGIApp,
        meters: Meters,
        paths: tuple[str, ...],
        *,
        keys: ApiKeys | None,
        only_local: bool,
    ) -> None:
        self.active = 0
        self._app = app
        self._meters = meters
        self._paths = paths
        self._keys = keys
        self._only_local = only_local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self._paths else "other"
        if scope["method"] == "HEAD":  # answered as GET is; uvicorn leaves the body out
            scope = {**scope, "method": "GET"}

        incoming = _Incoming(scope, receive)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] >= 400:
                    await incoming.drain()
                if message["status"] == 503:  # who asks again does so after a connection has ended
                    MutableHeaders(scope=message)["Connection"] = "close"
                MutableHeaders(scope=message).update(_SECURITY)
                self._meters.requests.labels(path, message["status"]).inc()
            await send(message)

        self.active += 1
        try:
            self._check(scope)
            await self._app(scope, incoming.receive, answer)
        except RefusedError as error:
            await refuse(error)(scope, incoming.receive, answer)
        finally:
            self.active -= 1

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if self._only_local and not is_local_name(headers.get("host", "")):
            raise forbidden("This server is known as 127.0.0.1 or localhost only.")
        is_link = scope["method"] == "GET"
        if headers.get("sec-fetch-site") == "cross-site" and not is_link:
            raise forbidden("Pages of other sites may not ask this server.")
        is_open = scope["path"] in OPEN or scope["path"].startswith("/static/")
        if self._keys and not is_open and not self._keys.knows(headers):
            raise RefusedError(
                401, "This server wants an API key, and this request has no valid one."
            )


class _Incoming:
    """The body of a request, as far as it has come."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._waits = "expect" in Headers(scope=scope)  # for a word before it sends its body
        self._is_whole = False

    async def receive(self) -> Message:
        """The next piece."""
        message = await self._receive()
        self._waits = False
        self._is_whole = not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Takes the rest, if it is not too much."""
        if not self._waits:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._drain(), DRAIN_SECONDS)

    async def _drain(self) -> None:
        taken = 0
        while not self._is_whole and taken < DRAIN_BYTES:
            taken += len((await self.receive()).get("body", b""))


def refuse(error: RefusedError) -> JSONResponse:
    """The answer that says why there is none."""
    return JSONResponse({"error": str(error)}, error.status, error.headers)
