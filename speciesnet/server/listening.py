"""The web server: uvicorn with time limits, and a shutdown that waits for open requests."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import time
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from types import FrameType
from typing import TYPE_CHECKING

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from speciesnet.errors import InputError
from speciesnet.server.errors import RETRY_SECONDS

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from speciesnet.server.auth import AuthMiddleware
    from speciesnet.server.service import Service

HEADER_SECONDS = 10  # to receive the headers of a request, and between two requests
SENDING_SECONDS = 30  # for which a client may stop reading a response
CLOSING_SECONDS = 5  # to send the last response of a connection
MAX_CONNECTIONS = 600
MAX_HEADER_BYTES = 2**14

quiet_config = partial(
    uvicorn.Config,
    log_config=None,  # uvicorn's would replace the one of absl
    log_level="error",
    access_log=False,
    server_header=False,
    proxy_headers=False,
)


class TimeLimitedProtocol(H11Protocol):
    """A connection that is closed if the client is too slow; uvicorn alone would wait forever."""

    _header_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Rejects connections beyond the limit."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._reject(503, "The server has too many connections. Try again later.")
        self._update_header_timer()

    def data_received(self, data: bytes) -> None:
        """Passes received bytes on and updates the header timer."""
        super().data_received(data)
        self._update_header_timer()

    def on_response_complete(self) -> None:
        """Starts the header timer for the next request."""
        super().on_response_complete()
        self._update_header_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels all timers."""
        for timer in (self._header_timer, self._stall_timer):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Starts the stall timer: the client does not read."""
        super().pause_writing()
        self._stall_timer = self.loop.call_later(SENDING_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancels the stall timer: the client reads again."""
        super().resume_writing()
        if self._stall_timer:
            self._stall_timer.cancel()

    def send_400_response(self, msg: str) -> None:
        """Answers malformed HTTP with a JSON error."""
        if self.cycle is None or self.cycle.response_complete:
            self._reject(400, "This is not a valid HTTP request.")
        else:
            self.transport.close()

    def _update_header_timer(self) -> None:
        """Runs the header timer while no request is being answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            if self._header_timer:
                self._header_timer.cancel()
                self._header_timer = None
        elif self._header_timer is None:
            self._header_timer = self.loop.call_later(HEADER_SECONDS, self._time_out)

    def _time_out(self) -> None:
        if self.transport.is_closing():
            self.transport.abort()
            return
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._reject(408, "The request arrived too slowly.")
        self.transport.close()
        self._header_timer = self.loop.call_later(CLOSING_SECONDS, self._time_out)

    def _reject(self, status: int, message: str) -> None:
        body = json.dumps({"error": message})
        retry = f"Retry-After: {RETRY_SECONDS}\r\n" if status == 503 else ""
        self.transport.write(
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n{retry}Connection: close\r\n\r\n{body}".encode()
        )
        self.transport.close()


class GracefulServer(uvicorn.Server):
    """Shuts down after a signal, once all requests are answered."""

    def __init__(self, config: uvicorn.Config, app: AuthMiddleware, service: Service) -> None:
        super().__init__(config)
        self._app = app
        self._service = service
        self._deadline = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Finishes open requests after the first signal, and stops immediately after the second."""
        if self._service.draining:
            self.should_exit = self.force_exit = True
        self._service.draining = True
        self._deadline = time.monotonic() + self._service.timeout + CLOSING_SECONDS

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop now."""
        is_late = time.monotonic() > self._deadline
        if self._service.draining and (not self._app.active or is_late):
            return True
        return await super().on_tick(counter) or self._service.pool.load_error is not None


def listen(host: str, port: int) -> socket.socket:
    """Binds a port; connections wait until a server accepts them.

    Args:
        host: A name or address of this computer.
        port: The port, or 0 for any free one.

    Raises:
        InputError: ``host`` is not an address of this computer, or the port is in use or needs more
            permissions.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        is_dual = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        return socket.create_server(address, family=family, backlog=1024, dualstack_ipv6=is_dual)
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise InputError(
                f"--host {host} cannot be used: it is not an address of this computer. Pass a different "
                "one."
            ) from error
        reason = os.strerror(error.errno) if error.errno else error
        raise InputError(
            f"Port {port} of {host} cannot be used ({reason}). Pass a different one with --port."
        ) from error


def serve(app: AuthMiddleware, service: Service, listener: socket.socket) -> None:
    """Serves until a signal arrives or the model fails to load."""
    config = quiet_config(
        app,
        timeout_graceful_shutdown=CLOSING_SECONDS,
        http=TimeLimitedProtocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    GracefulServer(config, app, service).run(sockets=[listener])


def serve_alone(app: ASGIApp, listener: socket.socket) -> None:
    """Serves the user of this computer until interrupted."""
    config = quiet_config(app, lifespan="off", timeout_graceful_shutdown=3)
    with suppress(KeyboardInterrupt):  # Ctrl-C ends a review
        uvicorn.Server(config).run(sockets=[listener])
