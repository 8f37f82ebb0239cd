from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciesnet.errors import ImageError
from speciesnet.server.addresses import is_public, public_address
from speciesnet.server.errors import RejectedError


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "0.0.0.0", "224.0.0.1", "239.1.1.1", "255.255.255.255", "100.64.0.1", "192.0.2.1", "240.0.0.1",
        "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:8.8.8.8",
        "64:ff9b::8.8.8.8", "64:ff9b:1::1", "2002:7f00:1::", "2001::1", "fe80::1", "fe80::1%eth0",
        "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1", "2606:4700::1111%1",
        "localhost", "2130706433", "0x7f.1", "", "8.8.8.8.",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111"])
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4), st.sampled_from(["::", "::ffff:", "64:ff9b::", "::ffff:0:"]))
def test_ipv4_address_inside_an_ipv6_address_is_not_public(
    address: ipaddress.IPv4Address, prefix: str
) -> None:
    assert not is_public(f"{prefix}{address}")


def test_host_with_one_private_address_is_rejected() -> None:
    assert public_address("images.example.org", 443, lambda *_: ["8.8.8.8", "1.1.1.1"]) == "8.8.8.8"
    with pytest.raises(RejectedError):
        public_address("images.example.org", 443, lambda *_: ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(ImageError):
        public_address("images.example.org", 443, lambda *_: [])
