"""Workers that die or hang, too much to do, and the end: with real signals to real processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from servers import Answer, Server, in_base64, picture, served, wait_until

from speciesnet.server.spool import LOCK, MIN_AGE

KEY = "a key that is long enough"
LIMITS = [
    "--timeout",
    "10",
    "--workers_per_device",
    "2",
    "--backlog",
    "12",
    "--max_instances",
    "12",
]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")


class Keyed(Server):
    """A server that wants a key."""

    def ask(self, *arguments: object, **options: object) -> Answer:
        return super().ask(*arguments, **{"X_API_Key": KEY, **options})  # type: ignore[arg-type]

    def send(self, count: int = 1) -> Answer:
        """The answer to so many small pictures."""
        image = in_base64(picture())
        return self.predict(*({"filepath": str(number), "image": image} for number in range(count)))


def signalled(server: Server, number: int, count: int = 2) -> None:
    for worker in server.workers[:count]:
        os.kill(worker, number)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keyed")
    (folder / "keys.txt").write_text(f"{'x' * 20}\n{KEY}\n")
    return folder


@pytest.fixture(scope="module")
def shared_server(folder: Path) -> Iterator[Keyed]:
    with served(folder, *LIMITS, "--api_key_file", folder / "keys.txt") as server:
        yield Keyed(server.process, server.port, server.log)


@pytest.fixture
def keyed(shared_server: Keyed) -> Keyed:
    """The server, with all its workers."""
    wait_until(lambda: shared_server.metric("speciesnet_workers_ready") == 2)
    return shared_server


def test_only_who_has_a_key_is_answered(keyed: Keyed) -> None:
    assert keyed.send().status == 200
    assert keyed.ask(X_API_Key="", Authorization=f"Bearer {KEY}").status == 405
    for wrong in ("", KEY[:-1], f"{KEY}x", "x" * 19, KEY.upper()):
        for path in ("/predict", "/metrics", "/nothing"):
            answer = keyed.ask(path, X_API_Key=wrong)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert "API key" in answer.error
    for path in ("/", "/health", "/ready", "/openapi.json", "/static/server.js"):
        assert keyed.ask(path, X_API_Key="").status == 200


def test_large_request_that_is_refused_sees_why(keyed: Keyed) -> None:
    for _ in range(3):  # more than a connection holds while nobody reads it
        assert keyed.ask(body=b" " * 6_000_000, X_API_Key="x" * 19).status == 401


def test_worker_killed_under_load_is_replaced_and_others_go_on(keyed: Keyed) -> None:
    workers = set(keyed.workers)
    assert len(workers) == 2
    with ThreadPoolExecutor(8) as executor:
        answers = [executor.submit(keyed.send) for _ in range(40)]
        wait_until(lambda: sum(answer.done() for answer in answers) > 4)
        signalled(keyed, signal.SIGKILL, count=1)
        statuses = [answer.result().status for answer in answers]
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) > 20
    wait_until(lambda: keyed.metric("speciesnet_workers_ready") == 2)
    assert len(set(keyed.workers) & workers) == 1
    assert keyed.send().status == 200


def test_worker_that_hangs_is_replaced_and_its_request_is_answered_in_time(keyed: Keyed) -> None:
    workers = set(keyed.workers)
    signalled(keyed, signal.SIGSTOP)
    answer = keyed.send(12)
    assert (answer.status, "within 10 s" in answer.error) == (504, True)
    wait_until(lambda: not set(keyed.workers) & workers)
    wait_until(lambda: keyed.metric("speciesnet_workers_ready") == 2)
    assert keyed.send(12).status == 200
    assert keyed.metric("speciesnet_images_accepted") == 0


def test_what_is_too_much_is_sent_away(keyed: Keyed) -> None:
    signalled(keyed, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as executor:
        first = executor.submit(keyed.send, 12)
        wait_until(lambda: keyed.metric("speciesnet_images_accepted") == 12)
        second = keyed.send()
        signalled(keyed, signal.SIGCONT)
        assert first.result().status == 200
    assert (second.status, second.headers["retry-after"]) == (503, "5")
    assert second.headers["connection"] == "close"  # or it ends just when it is asked again
    assert "Too many images wait" in second.error
    assert keyed.send().status == 200


def spools(folder: Path) -> list[Path]:
    """Where a server keeps what it is sent."""
    return list(folder.glob("speciesnet-server-*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_that_is_stopped_finishes_what_it_has(tmp_path: Path, number: int) -> None:
    with served(tmp_path) as started:
        server = Keyed(started.process, started.port, started.log)
        (worker,) = server.workers
        signalled(server, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as executor:
            first = executor.submit(server.send, 3)
            wait_until(lambda: server.metric("speciesnet_images_accepted") == 3)
            server.process.send_signal(number)
            wait_until(lambda: server.ask("/ready").status == 503)
            late = server.send()
            assert server.ask("/health").status == 200
            assert spools(tmp_path)
            signalled(server, signal.SIGCONT)
            assert len(first.result().records) == 3
        assert (late.status, late.headers["retry-after"]) == (503, "5")
        assert "being stopped" in late.error
        assert server.process.wait(60) == 0
        assert not Path(f"/proc/{worker}").exists()
        assert not spools(tmp_path)
        assert "Traceback" not in server.log.read_text()


def test_server_that_is_told_twice_ends_at_once(tmp_path: Path) -> None:
    with served(tmp_path) as started:
        server = Keyed(started.process, started.port, started.log)
        (worker,) = server.workers
        signalled(server, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as executor:
            first = executor.submit(server.send)
            wait_until(lambda: server.metric("speciesnet_images_accepted") == 1)
            server.process.send_signal(signal.SIGINT)
            wait_until(lambda: server.ask("/ready").status == 503)
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(60) == 0
            assert first.exception() or first.result().status == 503
        assert not Path(f"/proc/{worker}").exists()
        assert not spools(tmp_path)


def test_server_that_is_killed_leaves_no_workers_and_the_next_one_tidies_up(
    tmp_path: Path,
) -> None:
    with served(tmp_path) as started:
        server = Keyed(started.process, started.port, started.log)
        (worker,) = server.workers
        signalled(server, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as executor:
            asked = executor.submit(server.send)
            wait_until(lambda: server.metric("speciesnet_images_accepted") == 1)
            server.process.kill()
            server.process.wait()
            assert asked.exception()
        os.kill(worker, signal.SIGCONT)
        wait_until(lambda: not Path(f"/proc/{worker}").exists())
    (left,) = spools(tmp_path)
    assert list(left.glob("*/image1"))
    moment = time.time() - MIN_AGE - 1
    os.utime(left / LOCK, (moment, moment))
    with served(tmp_path) as server:
        assert len(spools(tmp_path)) == 1
        assert not left.exists()
        assert server.stop() == 0
    assert not spools(tmp_path)
