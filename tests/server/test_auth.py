from __future__ import annotations

from pathlib import Path

import pytest

from speciesnet.errors import InputError
from speciesnet.server.auth import ApiKeys, is_local_name, is_loopback

FIRST, SECOND = "a" * 16, "b" * 40


@pytest.fixture
def keys(tmp_path: Path) -> ApiKeys:
    path = tmp_path / "keys.txt"
    path.write_text(f"\ufeff{FIRST}\r\n\n  {SECOND}\n", encoding="utf-8")
    return ApiKeys(str(path))


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({"authorization": f"Bearer {FIRST}"}, True),
        ({"authorization": f"bearer {SECOND}"}, True),
        ({"x-api-key": SECOND}, True),
        ({"x-api-key": FIRST[:-1]}, False),
        ({"x-api-key": f"{FIRST}a"}, False),
        ({"x-api-key": ""}, False),
        ({"authorization": f"Basic {FIRST}"}, False),
        ({"authorization": f"Bearer {FIRST} {SECOND}"}, False),
        ({"x-api-key": "é" * 16}, False),
        ({}, False),
    ],
)
def test_requests_with_a_key_are_accepted(
    keys: ApiKeys, headers: dict[str, str], accepted: bool
) -> None:
    assert keys.accepts(headers) is accepted


@pytest.mark.parametrize("content", [b"", b"\n \n", b"short", b"\xff" * 20, "é".encode() * 20])
def test_file_without_valid_keys_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="--api_key_file"):
        ApiKeys(str(path))


def test_local_addresses_and_host_headers_are_recognized() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.1.2.3", "localhost", "::1", "[::1]"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "", "192.168.0.1", "example.org"]))
    for header in ("127.0.0.1", "127.0.0.1:8000", "LOCALHOST:1", "[::1]", "[::1]:8000"):
        assert is_local_name(header)
    for header in (
        "",
        "evil.example",
        "127.0.0.1.evil.example:80",
        "evil.example:127.0.0.1",
        "[::2]",
    ):
        assert not is_local_name(header)
