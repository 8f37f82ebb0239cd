"""Files on the web, read with patience that has an end."""

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

from speciesnet.files.clouds import BrokenBodyError, BrokenConnectionError, RemoteError, Sink

CONNECT_SECONDS = 10
READ_SECONDS = 30  # for the head of an answer, and between two pieces of the rest
ATTEMPTS = 5  # of one request
RETRY_AFTER_SECONDS = 30.0  # a server that asks for more is asked earlier
BUSY = (429, 500, 502, 503, 504)
PIECE_BYTES = 2**16

_local = threading.local()  # sessions are not made for several threads


class _Patience(Retry):
    """Tries again as urllib3 does, until a moment.

    Attributes:
        until: In the seconds of ``time.monotonic``, or None for no end.
    """

    until: float | None = None

    def new(self, **values: Any) -> Any:
        copy = super().new(**values)
        copy.until = self.until
        return copy

    def increment(self, *args: Any, **options: Any) -> Any:
        if self.until is not None and time.monotonic() > self.until:
            return super().new(total=0).increment(*args, **options)  # which raises
        return super().increment(*args, **options)

    def get_retry_after(self, response: Any) -> float | None:
        seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, RETRY_AFTER_SECONDS)


class _Connection(HTTPConnection):
    """Hangs up where the head of an answer takes too long, though some of it comes all the time."""

    def getresponse(self) -> Any:
        is_late = threading.Event()
        timer = threading.Timer(READ_SECONDS, _hang_up, (self.sock, is_late))
        timer.start()
        try:
            return super().getresponse()
        finally:
            timer.cancel()
            if is_late.is_set():
                raise TimeoutError  # which urllib3 takes for one of the socket's


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
    """Gives what an address holds piece by piece.

    Args:
        url: http or https.
        sink: Where it goes.
        until: When no new attempt begins, by ``time.monotonic``.

    Raises:
        BrokenBodyError: The line broke in the middle of it.
        BrokenConnectionError: The server cannot be reached or is out of order, also when tried again.
        RemoteError: The server refuses, or has no such file.
    """
    has_begun = False
    try:
        with _session(until).get(
            url, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)
        ) as response:
            if response.status_code >= 400:
                raise _refused(response)
            has_begun = True
            # What has come, as it comes: other ways to read wait until a piece is full.
            some = getattr(response.raw, "read1", response.raw.read)
            while piece := some(PIECE_BYTES, decode_content=True):
                sink.write(piece)
    # The texts of these hold the address, and that may hold a signature.
    except (requests.RequestException, HTTPError) as error:
        problem = _in_words(error)
        if has_begun and isinstance(problem, BrokenConnectionError):
            problem = BrokenBodyError(problem.reason)
        raise problem from error


def _session(until: float | None) -> requests.Session:
    if not hasattr(_local, "session"):
        _local.session, _local.adapter = requests.Session(), _Adapter()
        for scheme in ("http://", "https://"):
            _local.session.mount(scheme, _local.adapter)
    patience = _Patience(
        total=ATTEMPTS - 1,
        connect=2,
        redirect=False,
        status_forcelist=BUSY,
        allowed_methods={"GET"},
        backoff_factor=0.5,
        backoff_max=10,
        raise_on_status=False,
    )
    patience.until = until
    _local.adapter.max_retries = patience
    return _local.session


def _refused(response: requests.Response) -> RemoteError:
    status = f"{response.status_code} {response.reason or ''}".strip()
    if response.status_code in (404, 410):
        return RemoteError(f"there is no such file ({status})")
    if response.status_code in BUSY:
        return BrokenConnectionError(
            f"download failed: the server is busy or out of order ({status})"
        )
    return RemoteError(f"download failed: the server refused ({status})")


def _in_words(error: Exception) -> RemoteError:
    inner = error.args[0] if error.args else None  # of requests', one of urllib3's
    cause = getattr(inner, "reason", None) or inner
    if isinstance(error, requests.Timeout) or any(
        isinstance(e, TimedOutError) for e in (error, cause)
    ):
        return BrokenConnectionError("download failed: the server did not answer in time")
    if isinstance(error, requests.exceptions.SSLError):
        return RemoteError("download failed: the server's certificate is not valid")
    if isinstance(error, requests.ConnectionError | HTTPError):
        return BrokenConnectionError("download failed: the server cannot be reached, or broke off")
    if isinstance(error, ValueError):
        return RemoteError("download failed: the address is malformed")
    return RemoteError(f"download failed: {type(error).__name__}")
