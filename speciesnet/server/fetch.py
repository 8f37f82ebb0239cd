"""Fetches an image from a host that is allowed, and from nowhere else."""

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
from speciesnet.server.allowlist import Hosts, Resolve, Target, look_up, public_address

CONNECT_SECONDS = 5
READ_SECONDS = 10  # between two bytes
MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_CHUNK = 2**16


class Fetcher:
    """Downloads images.

    A host is looked up once, its address is checked, and that address is connected to; the same again
    after each redirect. Proxies that the environment names are not used: they look hosts up anew.

    Args:
        hosts: What is allowed.
        resolve: Looks up a host.
    """

    def __init__(self, hosts: Hosts, resolve: Resolve = look_up) -> None:
        self._hosts = hosts
        self._resolve = resolve
        self._giving_up: set[Callable[[], None]] = set()

    def fetch(self, url: str, to: Path, max_bytes: int, deadline: float) -> None:
        """Downloads a file.

        Args:
            url: Its address.
            to: The file to write.
            max_bytes: Its greatest size.
            deadline: When to give up, by ``time.monotonic``, however the host drags on.

        Raises:
            RefusedError: The address, or one that it is redirected to, is not allowed.
            ImageError: It cannot be had.
        """
        for _ in range(MAX_REDIRECTS + 1):
            target = self._hosts.check(url)
            address = public_address(target, self._resolve)
            try:
                with self._ask(target, address, deadline) as response:
                    location = response.headers.get("location")
                    if response.status not in _REDIRECTS or not location:
                        _save(response, to, max_bytes)
                        return
                    url = urljoin(url, location)
            except (http.client.HTTPException, OSError, ValueError) as error:
                raise ImageError(f"it cannot be fetched ({type(error).__name__})") from error
        raise ImageError("it is redirected too often")

    def close(self) -> None:
        """Ends all downloads."""
        for give_up in list(self._giving_up):
            give_up()

    @contextmanager
    def _ask(
        self, target: Target, address: str, deadline: float
    ) -> Iterator[http.client.HTTPResponse]:
        """An answer whose body is not read yet; raises ``ImageError`` when it was given up."""
        with self.connect(target, address) as connection:
            is_given_up = threading.Event()

            def give_up() -> None:
                is_given_up.set()
                with suppress(OSError):  # this wakes who waits for it
                    connection.shutdown(socket.SHUT_RDWR)

            self._giving_up.add(give_up)
            watchdog = threading.Timer(max(deadline - time.monotonic(), 0), give_up)
            watchdog.start()
            try:
                client = http.client.HTTPConnection(target.host, target.port)
                client.sock = connection  # instead of one that it would look up
                name = target.host + ("" if target.is_usual else f":{target.port}")
                headers = {"Host": name, "Accept-Encoding": "identity", "Connection": "close"}
                client.request("GET", target.path, headers=headers)
                with client.getresponse() as response:
                    yield response
            finally:
                watchdog.cancel()
                self._giving_up.discard(give_up)
                if is_given_up.is_set():
                    raise ImageError("its host is too slow")

    def connect(self, target: Target, address: str) -> socket.socket:
        """A connection to an address, in the name of a host; raises ``OSError``."""
        connection = socket.create_connection((address, target.port), CONNECT_SECONDS)
        connection.settimeout(READ_SECONDS)
        if target.scheme == "http":
            return connection
        return _encryption().wrap_socket(connection, server_hostname=target.host.strip("[]"))


def _save(response: http.client.HTTPResponse, to: Path, max_bytes: int) -> None:
    if response.status != 200:
        raise ImageError(f"its host answers {response.status}")
    with to.open("wb") as file:
        size = 0
        while chunk := response.read1(_CHUNK):
            size += len(chunk)
            if size > max_bytes:
                raise ImageError("it is too large")
            file.write(chunk)
    if response.length:
        raise ImageError("it arrives cut off")


@functools.cache
def _encryption() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())
