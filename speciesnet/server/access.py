"""Who may ask: API keys, and the names under which a server of this computer only is known."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from pathlib import Path

from speciesnet.errors import InputError

SHORTEST_KEY = 16  # characters
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")


class ApiKeys:
    """Keys of which a request must bring one.

    Args:
        path: A file with one a line.

    Raises:
        InputError: It cannot be read, or holds no key or a short one.
    """

    def __init__(self, path: str) -> None:
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"--api_key_file {path} cannot be read; give a text file with one key a line."
            ) from error
        keys = [line.strip() for line in lines if line.strip()]
        if not keys or min(map(len, keys)) < SHORTEST_KEY or not all(map(str.isascii, keys)):
            raise InputError(
                f"--api_key_file {path} must hold one key a line, each of {SHORTEST_KEY} plain "
                "characters or more; make one with: openssl rand -hex 32."
            )
        self._digests = [_digest(key) for key in keys]

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request has a key, in a time that does not depend on how much of it is right."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        digest = _digest(given.strip())
        return sum(hmac.compare_digest(digest, known) for known in self._digests) > 0


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach what listens on a host."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_local_name(host_header: str) -> bool:
    """Whether a ``Host`` header names this computer: pages of other sites get here by other names."""
    host = host_header.rpartition(":")[0] if not host_header.endswith("]") else host_header
    return (host or host_header).lower() in LOCAL_NAMES
