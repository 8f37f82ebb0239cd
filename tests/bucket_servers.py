"""Servers on this machine that speak the clouds' protocols, each behind one proxy.

Clients of buckets are kept together with their addresses, so a second proxy would get no requests.
"""

from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from buckets import MAKERS, Bucket
from faults import Proxy

REPOSITORY = Path(__file__).parents[1]


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    logging.getLogger("werkzeug").setLevel("ERROR")  # commands in this process write to its log
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture(scope="session")
def gs_port() -> Iterator[int]:
    emulator = pytest.importorskip("gcp_storage_emulator.server")
    port = free_port()
    server = emulator.create_server("127.0.0.1", port, in_memory=True)
    server.start()
    yield port
    server.stop()


@pytest.fixture(scope="session")
def az_port() -> Iterator[int]:
    pytest.importorskip("azure.storage.blob")
    local = REPOSITORY / "node_modules" / ".bin" / "azurite-blob"
    program = shutil.which("azurite-blob") or (str(local) if local.exists() else None)
    if program is None:
        pytest.skip("azurite-blob is not installed (npm install azurite)")
    port = free_port()
    process = subprocess.Popen(
        [
            *(program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent"),
            *("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def s3_proxy(s3_port: int) -> Iterator[Proxy]:
    with Proxy(s3_port).running() as proxy:
        yield proxy


@pytest.fixture(scope="session")
def gs_proxy(gs_port: int) -> Iterator[Proxy]:
    with Proxy(gs_port).running() as proxy:
        yield proxy


@pytest.fixture(scope="session")
def az_proxy(az_port: int) -> Iterator[Proxy]:
    with Proxy(az_port).running() as proxy:
        yield proxy


_number = iter(range(10**6))


@pytest.fixture
def make_bucket(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Bucket]:
    """Creates a bucket of a scheme, and directs this process and its children to it."""

    def make(scheme: str) -> Bucket:
        proxy: Proxy = request.getfixturevalue(f"{scheme}_proxy")
        proxy.reset()
        return MAKERS[scheme](f"survey-{next(_number)}", proxy, monkeypatch)

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return make


@pytest.fixture(params=["s3", "gs", "az"])
def bucket(request: pytest.FixtureRequest, make_bucket: Callable[[str], Bucket]) -> Bucket:
    """A bucket of each cloud."""
    return make_bucket(request.param)


@pytest.fixture
def s3_bucket(make_bucket: Callable[[str], Bucket]) -> Bucket:
    """A bucket of one cloud, for tests of what all have in common."""
    return make_bucket("s3")
