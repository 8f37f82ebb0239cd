"""Which folders and addresses a request may have images read from. By default, none."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from speciesnet.errors import ImageError, InputError
from speciesnet.files.storage import CLOUD_SCHEMES, WEB_SCHEMES
from speciesnet.server.errors import forbidden

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.?)+|\[[0-9a-f:.]+\]")
_BUCKET = re.compile(r"[A-Za-z0-9._-]+")
_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:[/\\]{2}")
# Ways to write an address of IPv4 as one of IPv6, and what local networks had before fc00::/7.
_DISGUISES = tuple(
    map(
        ipaddress.ip_network,
        (
            "::/96",  # IPv4-compatible
            "::ffff:0:0/96",  # IPv4-mapped
            "::ffff:0:0:0/96",  # IPv4-translated
            "64:ff9b::/96",  # NAT64
            "64:ff9b:1::/48",  # NAT64 of a local network
            "2001::/32",  # Teredo
            "2002::/16",  # 6to4
            "fec0::/10",  # site-local
        ),
    )
)

Resolve = Callable[[str, int], Sequence[str]]  # a host and a port to addresses


class Folders:
    """Folders of this computer that images may be read from.

    Args:
        folders: Their paths; none forbids all local paths.

    Raises:
        InputError: One of them is no folder.
    """

    def __init__(self, folders: Sequence[str] = ()) -> None:
        for folder in folders:
            if not Path(folder).is_dir():
                raise InputError(
                    f"--allow_path {folder} is no folder; give one that holds photographs."
                )
        self._real = [Path(os.path.realpath(folder)) for folder in folders]
        self._named = [Path(os.path.abspath(folder)) for folder in folders] + self._real  # noqa: PTH100

    def find(self, path: str) -> Path:
        """The file that a request means, without symlinks.

        Nothing outside the folders is looked at, so an answer tells nothing of what is there.

        Args:
            path: As in the request.

        Raises:
            RefusedError: It lies, or leads, out of the folders.
        """
        refusal = forbidden("The path of an image is not in a folder that this server may read.")
        if "\0" in path or _climbs(path):
            raise refusal
        try:
            named = Path(os.path.abspath(path))  # noqa: PTH100 (resolve would look at the disk)
            if not _is_within(named, self._named):
                raise refusal
            real = Path(os.path.realpath(named))
        except (OSError, ValueError) as error:
            raise refusal from error
        if not _is_within(real, self._real):
            raise refusal
        return real


def _climbs(path: str) -> bool:
    """Whether a path has a part ``..``, however it is encoded."""
    decoded = path
    for _ in range(4):
        if ".." in re.split(r"[/\\]", decoded):
            return True
        decoded = unquote(decoded)
    return False


def _is_within(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


@dataclass(frozen=True)
class Target:
    """What a URL of the web leads to.

    Attributes:
        scheme: ``http`` or ``https``.
        host: In lower case.
        port: Of TCP.
        path: With the query, as it is sent.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def is_usual(self) -> bool:
        """Whether the port is that of the scheme."""
        return self.port == _PORTS[self.scheme]


class Hosts:
    """Hosts of the web, and buckets of clouds, that images may be fetched from.

    Args:
        allowed: ``host``, ``host:port`` (a host alone means the usual ports), or ``s3://bucket``.

    Raises:
        InputError: One of them is neither.
    """

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self._hosts: set[tuple[str, int]] = set()
        self._buckets: set[tuple[str, str]] = set()
        for entry in allowed:
            scheme, separator, bucket = entry.strip().partition("://")
            if separator and scheme.lower() in CLOUD_SCHEMES and _BUCKET.fullmatch(bucket):
                self._buckets.add((scheme.lower(), bucket))
                continue
            host, port = _split_host(entry.strip().lower())
            if separator or host is None:
                raise InputError(
                    f"--allow_url {entry} is no host; give hosts such as images.example.org or "
                    "images.example.org:8080, or buckets such as s3://survey."
                )
            ports = _PORTS.values() if port is None else [port]
            self._hosts |= {(host, port) for port in ports}

    def is_cloud(self, url: str) -> bool:
        """Whether a URL leads into a bucket that is allowed; False for the web.

        Raises:
            RefusedError: It leads into another one.
        """
        scheme, _, rest = url.partition("://")
        if scheme.lower() not in CLOUD_SCHEMES:
            return False
        bucket = rest.partition("/")[0]
        if (scheme.lower(), bucket) not in self._buckets or not url.isprintable():
            raise forbidden("The address of an image leads to a bucket that is not allowed here.")
        return True

    def check(self, url: str) -> Target:
        """Takes a URL of the web apart.

        Raises:
            RefusedError: Its host is not allowed.
        """
        refusal = forbidden("The address of an image leads to a host that is not allowed here.")
        if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            raise refusal
        try:
            parts = urlsplit(url)
            host, port = _split_host(parts.netloc.lower())
        except ValueError as error:
            raise refusal from error
        if parts.scheme not in WEB_SCHEMES or host is None:
            raise refusal
        port = _PORTS[parts.scheme] if port is None else port
        if (host, port) not in self._hosts:
            raise refusal
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Target(parts.scheme, host, port, path)


def _split_host(text: str) -> tuple[str | None, int | None]:
    """A host and its port, or None for what is neither; users and passwords are no part of it."""
    match = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?", text)
    if match is None or len(text) > 255 or not _HOST.fullmatch(match[1]):
        return None, None
    port = int(match[2]) if match[2] else None
    if port is not None and not 0 < port < 65536:
        return None, None
    return match[1], port


def names_address(path: str) -> bool:
    """Whether a request means an address rather than a local path."""
    return _SCHEME.match(path) is not None


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet, and written as what it is.

    Args:
        address: Of IPv4 or IPv6, in its usual form.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if found.version == 6 and (
        found.scope_id is not None or any(found in network for network in _DISGUISES)
    ):
        return False
    return found.is_global and not (
        found.is_private
        or found.is_loopback
        or found.is_link_local
        or found.is_multicast
        or found.is_reserved
        or found.is_unspecified
    )


def public_address(target: Target, resolve: Resolve) -> str:
    """The address to connect to, asked for once.

    Raises:
        RefusedError: One of the host's addresses is not of the open internet.
        ImageError: There is no such host.
    """
    try:
        addresses = list(resolve(target.host.strip("[]"), target.port))
    except (OSError, UnicodeError) as error:
        raise ImageError("its host is unknown") from error
    if not addresses:
        raise ImageError("its host is unknown")
    if not all(map(is_public, addresses)):
        raise forbidden("The address of an image leads into a network that is not public.")
    return addresses[0]


def look_up(host: str, port: int) -> list[str]:
    """Addresses of a host, as the system knows them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[4][0]) for address in found]
