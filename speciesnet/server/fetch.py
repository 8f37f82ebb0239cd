"""Downloads images from allowed hosts only."""

from __future__ import annotations

import functools
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urljoin

import certifi

from speciesnet.errors import ImageError
from speciesnet.server.addresses import Resolve, addresses_of, public_address
from speciesnet.server.allowlist import Hosts, Target

CONNECT_SECONDS = 5
READ_SECONDS = 10  # between two bytes
MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_CHUNK = 2**16


class Fetcher:
    """Downloads images.

    A host is resolved once, its address is checked, and the connection goes to that address. This is
    repeated for each redirect. Proxies from the environment are not used: they would resolve the host
    again.

    Args:
        hosts: The allowed hosts.
        resolve: Returns the addresses of a host and port.
    """

    def __init__(self, hosts: Hosts, resolve: Resolve = addresses_of) -> None:
        self._hosts = hosts
        self._resolve = resolve
        self._aborts: set[Callable[[], None]] = set()  # one per running download

    def fetch(self, url: str, to: Path, max_bytes: int, deadline: float) -> None:
        """Downloads a file.

        Args:
            url: The URL.
            to: The file to write.
            max_bytes: The largest size to accept.
            deadline: The deadline for the download, by ``time.monotonic``.

        Raises:
            RejectedError: The URL, or one that it redirects to, is not allowed.
            ImageError: The download fails.
        """
        for _ in range(MAX_REDIRECTS + 1):
            target = self._hosts.parse(url)
            address = public_address(target.host, target.port, self._resolve)
            try:
                with self._open(target, address, deadline) as response:
                    location = response.headers.get("location")
                    if response.status not in _REDIRECTS or not location:
                        _save(response, to, max_bytes)
                        return
                    url = urljoin(url, location)
            except (http.client.HTTPException, OSError, ValueError) as error:
                raise ImageError(f"the download failed ({type(error).__name__})") from error
        raise ImageError("it has too many redirects")

    def close(self) -> None:
        """Aborts all downloads."""
        for abort in list(self._aborts):
            abort()

    @contextmanager
    def _open(
        self, target: Target, address: str, deadline: float
    ) -> Iterator[http.client.HTTPResponse]:
        """A response whose body is not read yet; raises ``ImageError`` if it was aborted."""
        with self.connect(target, address) as connection:
            is_aborted = threading.Event()

            def abort() -> None:
                is_aborted.set()
                with suppress(OSError):  # ends a read that is blocked
                    connection.shutdown(socket.SHUT_RDWR)

            self._aborts.add(abort)
            watchdog = threading.Timer(max(deadline - time.monotonic(), 0), abort)
            watchdog.start()
            try:
                client = http.client.HTTPConnection(target.host, target.port)
                client.sock = connection  # or it would resolve the host again
                name = target.host + ("" if target.has_default_port else f":{target.port}")
                headers = {"Host": name, "Accept-Encoding": "identity", "Connection": "close"}
                client.request("GET", target.path, headers=headers)
                with client.getresponse() as response:
                    yield response
            finally:
                watchdog.cancel()
                self._aborts.discard(abort)
                if is_aborted.is_set():
                    raise ImageError("its host is too slow")

    def connect(self, target: Target, address: str) -> socket.socket:
        """A connection to ``address``, with TLS for the name of the host; raises ``OSError``."""
        connection = socket.create_connection((address, target.port), CONNECT_SECONDS)
        connection.settimeout(READ_SECONDS)
        if target.scheme == "http":
            return connection
        return _tls_context().wrap_socket(connection, server_hostname=target.host.strip("[]"))


def _save(response: http.client.HTTPResponse, to: Path, max_bytes: int) -> None:
    if response.status != 200:
        raise ImageError(f"its host answered with status {response.status}")
    with to.open("wb") as file:
        size = 0
        while chunk := response.read1(_CHUNK):
            size += len(chunk)
            if size > max_bytes:
                raise ImageError("it is too large")
            file.write(chunk)
    if response.length:
        raise ImageError("the download is incomplete")


@functools.cache
def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())
