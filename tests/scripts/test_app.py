from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
from commands import run_here

Start = Callable[..., tuple["subprocess.Popen[str]", str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a window, and gives it and the address that it prints."""
    running: list[subprocess.Popen[str]] = []

    def run(*flags: str, **variables: str) -> tuple[subprocess.Popen[str], str]:
        window = subprocess.Popen(
            [sys.executable, "-m", "speciesnet", "app", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "SPECIESNET_DATA": str(tmp_path / "data"), **variables},
        )
        running.append(window)
        assert window.stdout is not None
        return window, window.stdout.readline().strip().rpartition(" ")[2]

    yield run
    for window in running:
        window.kill()
        window.communicate()


def page_of(address: str) -> str:
    """The first page of a window, as a browser gets it that enters at an address."""
    jar = urllib.request.HTTPCookieProcessor(CookieJar())
    browser = urllib.request.build_opener(jar)
    browser.open(address, timeout=30).close()
    with browser.open(address.partition("/open/")[0], timeout=30) as page:
        return page.read().decode()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_the_window_is_served_until_it_is_interrupted(start: Start) -> None:
    window, address = start("--nobrowser")
    assert "<h1>" in page_of(address)
    window.send_signal(signal.SIGINT)
    _, error = window.communicate(timeout=60)
    assert (error, window.returncode) == ("", 0)
    _, again = start("--nobrowser")
    assert again.rpartition("/")[2] == address.rpartition("/")[2]


def test_a_second_window_is_the_first_one(start: Start) -> None:
    _, address = start("--nobrowser")
    second, same = start("--nobrowser", "--port", "1")
    assert same == address
    assert second.wait(60) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="the browser is a shell script")
def test_the_browser_gets_an_address_that_opens_once(start: Start, tmp_path: Path) -> None:
    note = tmp_path / "note"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {note}.part && mv {note}.part {note}\n')
    browser.chmod(0o755)
    _, address = start(BROWSER=f"{browser} %s")
    for _ in range(600):
        if note.exists():
            break
        time.sleep(0.1)
    opened = note.read_text()
    assert opened != address
    assert "<h1>" in page_of(opened)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        page_of(opened)
    assert "<h1>" in page_of(address)


def test_a_port_in_use_is_said_if_it_was_given(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPECIESNET_DATA", str(tmp_path / "other"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        assert f"Port {port} of 127.0.0.1" in run_here("app", "--port", port).sentence


def test_the_window_imports_nothing_heavy() -> None:
    code = (
        "import sys\nimport speciesnet.scripts.app, speciesnet.app.web, speciesnet.server.tokens\n"
        "print(*sys.modules, sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    heavy = {"torch", "numpy", "cv2", "PIL", "tensorflow", "openvino", "requests", "kagglehub"}
    assert done.returncode == 0, done.stderr
    assert not heavy & set(done.stdout.splitlines())
