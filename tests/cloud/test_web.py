"""Images on the web, with faults in between."""

from __future__ import annotations

import functools
import http.server
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import Answer, Cut, Drip, Drop, Proxy, before_web_server
from PIL import Image

from speciesnet.errors import ImageError
from speciesnet.files import storage, web
from speciesnet.images.decoding import read_image
from speciesnet.images.instances import prepare_instances


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Logs nothing."""


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy in front of a web server that has one picture."""
    noise = np.random.default_rng(1).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "1.png")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = functools.partial(_Files, directory=str(tmp_path))
    with before_web_server(handler) as proxy:
        yield proxy


def reason(proxy: Proxy) -> str:
    """Why the picture cannot be read; never with its address, which may contain a signature."""
    with pytest.raises(ImageError) as error:
        read_image(f"{proxy.address}/1.png?signature=secret")
    assert "secret" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "fault",
    [*map(Answer, (429, 500, 502, 503, 504)), Drop(), Cut(1000), Cut(0)],
    ids=lambda fault: str(getattr(fault, "status", type(fault).__name__)),
)
def test_a_fault_that_passes_is_not_noticed(proxy: Proxy, fault: Any) -> None:
    proxy.first(2, fault)
    assert read_image(f"{proxy.address}/1.png").size == (200, 200)
    assert len(proxy.requests) == 3


def test_a_server_sets_the_pause_within_bounds(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "RETRY_AFTER_SECONDS", 1.0)
    times: list[float] = []

    def plan(method: str, path: str) -> Any:
        times.append(time.monotonic())
        return Answer(503, headers={"Retry-After": "3600"}) if len(times) == 1 else None

    proxy.plan = plan
    read_image(f"{proxy.address}/1.png")
    assert 1.0 <= times[1] - times[0] < 60


def test_a_refused_request_is_not_repeated(proxy: Proxy) -> None:
    proxy.always(Answer(403))
    assert reason(proxy) == "download failed: the server refused (403 Forbidden)"
    proxy.always(Answer(404))
    assert reason(proxy) == "there is no such file (404 Not Found)"
    assert len(proxy.requests) == 2


def test_a_fault_that_stays_is_one_reason(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "ATTEMPTS", 2)
    proxy.always(Answer(503))
    assert (
        reason(proxy)
        == "download failed: the server is busy or unavailable (503 Service Unavailable)"
    )
    proxy.always(Cut(1000))
    assert (
        reason(proxy) == "download failed: the server cannot be reached, or closed the connection"
    )


def test_a_silent_server_fails(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "READ_SECONDS", 0.3)
    monkeypatch.setattr(storage, "IMAGE_SECONDS", 1.0)
    proxy.delay = 5
    assert reason(proxy) == "download failed: the server did not answer in time"


def test_a_slow_image_fails(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "IMAGE_SECONDS", 1.0)
    proxy.always(Drip(70_000, 0.6))
    assert reason(proxy) == "it did not arrive within 1 seconds"


def test_a_dripping_image_fails(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "IMAGE_SECONDS", 1.0)
    proxy.always(Drip(100, 0.1))
    start = time.monotonic()
    assert reason(proxy) == "it did not arrive within 1 seconds"
    assert time.monotonic() - start < 30  # all of it would take minutes


def test_a_file_that_is_too_large_fails(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_IMAGE_BYTES", 1000)
    assert "it is larger than" in reason(proxy)


def test_threads_read_side_by_side(proxy: Proxy) -> None:
    with ThreadPoolExecutor(16) as executor:
        sizes = executor.map(lambda _: read_image(f"{proxy.address}/1.png").size, range(64))
        assert set(sizes) == {(200, 200)}


def test_lists_come_from_the_web(proxy: Proxy, tmp_path: Path) -> None:
    url = f"{proxy.address}/1.png"
    (tmp_path / "images.txt").write_text(f"{url}\n")
    found = prepare_instances(filepaths_txt=f"{proxy.address}/images.txt")
    assert [instance.filepath for instance in found] == [url]
