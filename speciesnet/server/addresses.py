"""The addresses of hosts on the web; connections are made only to public ones."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence

from speciesnet.errors import ImageError
from speciesnet.server.errors import RejectedError

# IPv6 networks whose addresses contain an IPv4 address, and the local network before fc00::/7.
_REJECTED_NETWORKS = tuple(
    map(
        ipaddress.ip_network,
        (
            "::/96",  # IPv4-compatible
            "::ffff:0:0/96",  # IPv4-mapped
            "::ffff:0:0:0/96",  # IPv4-translated
            "64:ff9b::/96",  # NAT64
            "64:ff9b:1::/48",  # local NAT64
            "2001::/32",  # Teredo
            "2002::/16",  # 6to4
            "fec0::/10",  # site-local
        ),
    )
)

Resolve = Callable[[str, int], Sequence[str]]  # (host, port) -> IP addresses


def is_public(address: str) -> bool:
    """Whether an IP address is public and, if it is IPv6, does not contain an IPv4 address.

    Args:
        address: An IPv4 or IPv6 address in its usual notation.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if ip.version == 6 and (
        ip.scope_id is not None or any(ip in network for network in _REJECTED_NETWORKS)
    ):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def public_address(host: str, port: int, resolve: Resolve) -> str:
    """Resolves a host once and returns the address to connect to.

    Raises:
        RejectedError: One of the host's addresses is not public.
        ImageError: The host is unknown.
    """
    try:
        addresses = list(resolve(host.strip("[]"), port))
    except (OSError, UnicodeError) as error:
        raise ImageError("its host is unknown") from error
    if not addresses:
        raise ImageError("its host is unknown")
    if not all(map(is_public, addresses)):
        raise RejectedError(403, "The address of an image is in a private network.")
    return addresses[0]


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a host, resolved by the operating system."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[4][0]) for address in found]
