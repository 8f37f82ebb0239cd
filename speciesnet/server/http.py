"""The web server: uvicorn, with time limits and an end that waits for what is being done."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from http import HTTPStatus
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from speciesnet.errors import InputError
from speciesnet.server.auth import Gate
from speciesnet.server.errors import RETRY_SECONDS
from speciesnet.server.memory import return_large_blocks
from speciesnet.server.service import Service

HEADER_SECONDS = 10  # for all of a request but its body, and between two requests
SENDING_SECONDS = 30  # for someone to go on reading an answer
LAST_SECONDS = 5  # for someone to take the last answer of a connection
MAX_CONNECTIONS = 600
HEADER_BYTES = 2**14


class Protocol(H11Protocol):
    """uvicorn's connection, which of itself waits for ever."""

    _late: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """There may be too many of them."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(503, "There are too many connections to this server; come back later.")
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Of a request that is complete, or is not."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """From now on, the next request is waited for."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        for timer in (self._late, self._stalled):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The other side does not read."""
        super().pause_writing()
        self._stalled = self.loop.call_later(SENDING_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It does."""
        super().resume_writing()
        if self._stalled:
            self._stalled.cancel()

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP is answered in the form of all other errors."""
        if self.cycle is None or self.cycle.response_complete:
            self._refuse(400, "This is no valid HTTP request.")
        else:
            self.transport.close()

    def _watch(self) -> None:
        """Time runs while no request is being dealt with."""
        if self.cycle is not None and not self.cycle.response_complete:
            if self._late:
                self._late.cancel()
                self._late = None
        elif self._late is None:
            self._late = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if self.transport.is_closing():
            self.transport.abort()
            return
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._refuse(408, "The request arrives too slowly.")
        self.transport.close()
        self._late = self.loop.call_later(LAST_SECONDS, self._give_up)

    def _refuse(self, status: int, sentence: str) -> None:
        body = json.dumps({"error": sentence})
        retry = f"Retry-After: {RETRY_SECONDS}\r\n" if status == 503 else ""
        self.transport.write(
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n{retry}Connection: close\r\n\r\n{body}".encode()
        )
        self.transport.close()


class Server(uvicorn.Server):
    """Ends when it is told to, once all requests are answered."""

    def __init__(self, config: uvicorn.Config, gate: Gate, service: Service) -> None:
        super().__init__(config)
        self._gate = gate
        self._service = service
        self._end = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal: the first one ends it gently, the second one at once."""
        if self._service.draining:
            self.should_exit = self.force_exit = True
        self._service.draining = True
        self._end = time.monotonic() + self._service.timeout + LAST_SECONDS

    async def on_tick(self, counter: int) -> bool:
        """Whether it is over."""
        if self._service.draining and (not self._gate.active or time.monotonic() > self._end):
            return True
        return await super().on_tick(counter) or self._service.pool.failure is not None


def listen(host: str, port: int) -> socket.socket:
    """Takes a port; requests wait until ``serve`` answers them.

    Args:
        host: A name or address of this computer.
        port: Its port, or 0 for any that is free.

    Raises:
        InputError: The port is taken, or not for this user, or the host is not this computer.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
    except OSError as error:
        raise InputError(f"--host {host} is no address of this computer.") from error
    if os.name != "nt":  # where it would let two servers share a port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise InputError(
            f"Port {port} of {host} cannot be used ({error.strerror}); give others with --port and "
            "--host."
        ) from error
    return listener


def serve(gate: Gate, service: Service, listener: socket.socket) -> None:
    """Serves until a signal ends it, or the model cannot be loaded."""
    options: dict[str, Any] = {
        "http": Protocol,
        "ws": "none",
        "loop": "asyncio",
        "lifespan": "on",
        "log_config": None,  # its own set-up of the log would close ours
        "log_level": "error",
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "h11_max_incomplete_event_size": HEADER_BYTES,
        "timeout_graceful_shutdown": LAST_SECONDS,
    }
    return_large_blocks()
    Server(uvicorn.Config(gate, **options), gate, service).run(sockets=[listener])
