"""The folders, hosts and buckets that images may be read from; none by default."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from speciesnet.errors import InputError
from speciesnet.files.storage import CLOUD_SCHEMES, WEB_SCHEMES
from speciesnet.server.errors import RejectedError

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.?)+|\[[0-9a-f:.]+\]")
_BUCKET = re.compile(r"[A-Za-z0-9._-]+")
_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:[/\\]{2}")


class Folders:
    """Folders of this computer that images may be read from.

    Args:
        folders: The paths of the folders; if empty, no local path is allowed.

    Raises:
        InputError: One of the paths is not a folder.
    """

    def __init__(self, folders: Sequence[str] = ()) -> None:
        for folder in folders:
            if not Path(folder).is_dir():
                raise InputError(
                    f"--allow_path {folder} is not a folder. Pass a folder of photographs."
                )
        self._real = [Path(os.path.realpath(folder)) for folder in folders]
        self._named = [Path(os.path.abspath(folder)) for folder in folders] + self._real  # noqa: PTH100

    def resolve(self, path: str) -> Path:
        """The file that a request names, without symbolic links.

        Nothing outside the folders is accessed, so the result does not reveal whether it exists.

        Args:
            path: The path sent by the client.

        Raises:
            RejectedError: The path is outside the folders.
        """
        rejection = RejectedError(403, "The path of an image is not in an allowed folder.")
        if "\0" in path or _has_parent_part(path):
            raise rejection
        try:
            named = Path(os.path.abspath(path))  # noqa: PTH100 (resolve would access the disk)
            if not _is_within(named, self._named):
                raise rejection
            real = Path(os.path.realpath(named))
        except (OSError, ValueError) as error:
            raise rejection from error
        if not _is_within(real, self._real):
            raise rejection
        return real


def _has_parent_part(path: str) -> bool:
    """Whether a path has a part ``..``, even percent-encoded."""
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
    """A parsed URL.

    Attributes:
        scheme: ``http`` or ``https``.
        host: The host in lower case.
        port: The TCP port.
        path: The path and query, as sent to the host.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def has_default_port(self) -> bool:
        """Whether the port is the default of the scheme."""
        return self.port == _PORTS[self.scheme]


class Hosts:
    """Web hosts and cloud buckets that images may be fetched from.

    Args:
        allowed: ``host`` (with the default ports), ``host:port``, or a bucket such as ``s3://bucket``.

    Raises:
        InputError: An item is invalid.

    Examples:
        >>> Hosts(["images.example.org"]).parse("https://images.example.org/1.jpg?size=l")
        Target(scheme='https', host='images.example.org', port=443, path='/1.jpg?size=l')
    """

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self._hosts: set[tuple[str, int]] = set()
        self._buckets: set[tuple[str, str]] = set()
        for item in allowed:
            scheme, separator, bucket = item.strip().partition("://")
            if separator and scheme.lower() in CLOUD_SCHEMES and _BUCKET.fullmatch(bucket):
                self._buckets.add((scheme.lower(), bucket))
                continue
            host, port = _split_host(item.strip().lower())
            if separator or host is None:
                raise InputError(
                    f"--allow_url {item} is not a host. Pass hosts such as images.example.org or "
                    "images.example.org:8080, or buckets such as s3://survey."
                )
            ports = _PORTS.values() if port is None else [port]
            self._hosts |= {(host, port) for port in ports}

    def allows_bucket(self, url: str) -> bool:
        """Whether a URL points to an allowed bucket; False for URLs on the web.

        Raises:
            RejectedError: The URL points to a different bucket.
        """
        scheme, _, rest = url.partition("://")
        if scheme.lower() not in CLOUD_SCHEMES:
            return False
        bucket = rest.partition("/")[0]
        if (scheme.lower(), bucket) not in self._buckets or not url.isprintable():
            raise RejectedError(403, "The address of an image is not in an allowed bucket.")
        return True

    def parse(self, url: str) -> Target:
        """Parses a URL of an allowed host.

        Raises:
            RejectedError: The URL is invalid or its host is not allowed.
        """
        rejection = RejectedError(403, "The address of an image is not on an allowed host.")
        if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            raise rejection
        try:
            parts = urlsplit(url)
            host, port = _split_host(parts.netloc.lower())
        except ValueError as error:
            raise rejection from error
        if parts.scheme not in WEB_SCHEMES or host is None:
            raise rejection
        port = _PORTS[parts.scheme] if port is None else port
        if (host, port) not in self._hosts:
            raise rejection
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Target(parts.scheme, host, port, path)


def _split_host(text: str) -> tuple[str | None, int | None]:
    """A host and its port, if any; (None, None) if ``text`` is invalid or has a user name."""
    match = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?", text)
    if match is None or len(text) > 255 or not _HOST.fullmatch(match[1]):
        return None, None
    port = int(match[2]) if match[2] else None
    if port is not None and not 0 < port < 65536:
        return None, None
    return match[1], port


def is_url(path: str) -> bool:
    """Whether the filepath in a request is a URL, even a malformed one, instead of a local path."""
    return _SCHEME.match(path) is not None
