"""Reads files on the web, with retries until a deadline."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as TimedOutError
from urllib3.util import Retry

from speciesnet.errors import BrokenBodyError, BrokenConnectionError, RemoteError
from speciesnet.files.clouds import Sink

CONNECT_SECONDS = 10
READ_SECONDS = 30  # for the header of a response, and between two pieces of the body
ATTEMPTS = 5  # of one request
RETRY_AFTER_SECONDS = 30.0  # the longest pause that a server can ask for
BUSY = (429, 500, 502, 503, 504)
PIECE_BYTES = 2**16

_local = threading.local()  # requests.Session is not thread-safe


class _RetryUntil(Retry):
    """Retries requests as urllib3 does, until a deadline.

    Attributes:
        until: The deadline by ``time.monotonic``, or None.
    """

    until: float | None = None

    def new(self, **values: Any) -> Any:
        copy = super().new(**values)
        copy.until = self.until
        return copy

    def increment(self, *args: Any, **options: Any) -> Any:
        if self.until is not None and time.monotonic() > self.until:
            return super().new(total=0).increment(*args, **options)  # this raises an error
        return super().increment(*args, **options)

    def get_retry_after(self, response: Any) -> float | None:
        seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, RETRY_AFTER_SECONDS)


class _Connection(HTTPConnection):
    """Closes the connection if a response header takes too long, even if it arrives bit by bit."""

    def getresponse(self) -> Any:
        is_late = threading.Event()
        timer = threading.Timer(READ_SECONDS, _hang_up, (self.sock, is_late))
        timer.start()
        try:
            return super().getresponse()
        finally:
            timer.cancel()
            if is_late.is_set():
                raise TimeoutError  # as the socket does, which urllib3 handles


class _SecureConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls: Any = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls: Any = _SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def _hang_up(connected: socket.socket | None, is_late: threading.Event) -> None:
    is_late.set()
    if connected is not None:
        with suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)


def read(url: str, sink: Sink, until: float | None = None) -> None:
    """Writes the content of a URL to a sink, piece by piece.

    Args:
        url: An http or https URL.
        sink: The destination.
        until: The time by ``time.monotonic`` after which no new attempt starts.

    Raises:
        BrokenBodyError: The connection broke in the middle of the file.
        BrokenConnectionError: The server cannot be reached or is out of order, even after retries.
        RemoteError: The server refuses the request, or has no such file.
    """
    has_started = False
    try:
        with _session(until).get(
            url, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)
        ) as response:
            if response.status_code >= 400:
                raise _refused(response)
            has_started = True
            # This reads bytes as they arrive; other methods wait until a piece is full.
            read_some = getattr(response.raw, "read1", response.raw.read)
            while piece := read_some(PIECE_BYTES, decode_content=True):
                sink.write(piece)
    # Their texts contain the address, which may contain a signature.
    except (requests.RequestException, HTTPError) as error:
        problem = _translated(error)
        if has_started and isinstance(problem, BrokenConnectionError):
            problem = BrokenBodyError(problem.reason)
        raise problem from error


def _session(until: float | None) -> requests.Session:
    if not hasattr(_local, "session"):
        _local.session, _local.adapter = requests.Session(), _Adapter()
        for scheme in ("http://", "https://"):
            _local.session.mount(scheme, _local.adapter)
    retries = _RetryUntil(
        total=ATTEMPTS - 1,
        connect=2,
        redirect=False,
        status_forcelist=BUSY,
        allowed_methods={"GET"},
        backoff_factor=0.5,
        backoff_max=10,
        raise_on_status=False,
    )
    retries.until = until
    _local.adapter.max_retries = retries
    return _local.session


def _refused(response: requests.Response) -> RemoteError:
    status = f"{response.status_code} {response.reason or ''}".strip()
    if response.status_code in (404, 410):
        return RemoteError(f"there is no such file ({status})")
    if response.status_code in BUSY:
        return BrokenConnectionError(
            f"download failed: the server is busy or unavailable ({status})"
        )
    return RemoteError(f"download failed: the server refused ({status})")


def _translated(error: Exception) -> RemoteError:
    inner = error.args[0] if error.args else None  # requests wraps an error of urllib3
    cause = getattr(inner, "reason", None) or inner
    if isinstance(error, requests.Timeout) or any(
        isinstance(e, TimedOutError) for e in (error, cause)
    ):
        return BrokenConnectionError("download failed: the server did not answer in time")
    if isinstance(error, requests.exceptions.SSLError):
        return RemoteError("download failed: the server's certificate is not valid")
    if isinstance(error, requests.ConnectionError | HTTPError):
        return BrokenConnectionError(
            "download failed: the server cannot be reached, or closed the connection"
        )
    if isinstance(error, ValueError):
        return RemoteError("download failed: the address is malformed")
    return RemoteError(f"download failed: {type(error).__name__}")
