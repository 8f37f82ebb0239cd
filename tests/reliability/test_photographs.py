"""Photographs that vanish or are not photographs, and a server that misbehaves."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from faults import Answer, Cut, Drip, Drop, Proxy


@pytest.mark.skipif(os.name == "nt", reason="there are other files there")
def test_photographs_changed_since_they_were_listed_cost_only_themselves(
    make_run: Any, samples: list[str], tmp_path: Path
) -> None:
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "round.jpg").symlink_to("round.jpg")
    (tmp_path / "file").touch()
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.relpath(tmp_path / "socket.jpg"))  # it refuses long paths
    names = ["gone.jpg", "folder.jpg", "pipe.jpg", "round.jpg", "zero.jpg", "socket.jpg"]
    bad = [str(tmp_path / name) for name in [*names, "gone/gone.jpg", "file/1.jpg"]]
    run = make_run([*bad, *samples])
    outcome = run.finished()
    listener.close()
    assert outcome.code == 0 and "Traceback" not in outcome.err
    assert f"{len(bad) + len(samples)} images, {len(bad)} of them failed" in outcome.out
    for path in bad:
        assert f"Cannot read image {path}: " in outcome.err
    answers = {record["filepath"]: "failures" in record for record in run.go_on()}
    assert answers == dict.fromkeys(bad, True) | dict.fromkeys(samples, False)


@pytest.mark.skipif(os.name == "nt", reason="links need a permission there")
def test_folders_that_lead_round_in_a_circle_are_walked_once(
    make_run: Any, samples: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "photographs"
    (folder / "site").mkdir(parents=True)
    (folder / "site" / "1.jpg").write_bytes(Path(samples[0]).read_bytes())
    (folder / "site" / "up").symlink_to("..")
    (folder / "itself").symlink_to("itself")
    run = make_run([], more=["--folders", str(folder)])
    assert run.finished().code == 0
    assert run.names == [(folder / "site" / "1.jpg").as_posix()]


@pytest.fixture
def tarpit() -> Iterator[str]:
    """A server whose response never gets beyond its header."""
    ended = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def answer(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not ended.wait(0.3):
                client.sendall(b".")

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                threading.Thread(target=answer, args=(client,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}"
    ended.set()
    server.close()


def test_a_server_that_misbehaves_costs_only_its_images(
    make_run: Any, samples: list[str], web: Proxy, release: threading.Event, tarpit: str
) -> None:
    hold = web.plan
    faults = {
        "refused": Answer(403),
        "reset": Drop(),
        "cut": Cut(1000),
        "dripping": Drip(100, 0.1),
        "text": Answer(200, b"<html>busy</html>", {"Content-Type": "text/html"}),
    }
    web.plan = lambda method, path: faults.get(path[1:-4]) or hold(method, path)
    bad = [f"{web.address}/{name}.jpg" for name in (*faults, "held")] + [f"{tarpit}/1.jpg"]
    good = [*samples, f"{web.address}/good.jpg"]
    run = make_run([*bad, *good], fault="no_patience")
    outcome = run.finished()
    assert outcome.code == 0, outcome.err
    assert f"{len(bad) + len(good)} images, {len(bad)} of them failed" in outcome.out
    for url in bad:
        assert f"Cannot read image {url}: " in outcome.err
    release.set()
    web.reset()
    outcome = run.finished()
    assert f"{len(good)} of {len(bad) + len(good)} images were already done" in outcome.err
    assert f"{len(bad) + len(good)} images, 1 of them failed" in outcome.out  # that of the tarpit
