"""Dead and hanging workers, overload and shutdown: with real signals to real processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from servers import STAND_IN, Answer, Server, in_base64, picture, served, wait_until

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

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


class Keyed(Server):
    """A server that requires a key."""

    def ask(self, *arguments: object, **options: object) -> Answer:
        return super().ask(*arguments, **{"X_API_Key": KEY, **options})  # type: ignore[arg-type]

    def send(self, count: int = 1) -> Answer:
        """The response to a request with ``count`` small images."""
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
    """The server with both workers ready."""
    wait_until(lambda: shared_server.metric("speciesnet_workers_ready") == 2)
    return shared_server


def test_requests_without_a_valid_key_are_rejected(keyed: Keyed) -> None:
    assert keyed.send().status == 200
    assert keyed.ask(X_API_Key="", Authorization=f"Bearer {KEY}").status == 405
    for wrong in ("", KEY[:-1], f"{KEY}x", "x" * 19, KEY.upper()):
        for path in ("/predict", "/metrics", "/nothing"):
            answer = keyed.ask(path, X_API_Key=wrong)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert "API key" in answer.error
    for path in ("/", "/health", "/ready", "/openapi.json", "/static/server.js"):
        assert keyed.ask(path, X_API_Key="").status == 200


def test_client_of_a_large_rejected_request_gets_the_error(keyed: Keyed) -> None:
    for _ in range(3):  # more than the buffers of a connection hold
        assert keyed.ask(body=b" " * 6_000_000, X_API_Key="x" * 19).status == 401


def test_worker_killed_under_load_is_replaced_while_others_continue(keyed: Keyed) -> None:
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


def test_hanging_worker_is_replaced_and_its_request_times_out(keyed: Keyed) -> None:
    workers = set(keyed.workers)
    signalled(keyed, signal.SIGSTOP)
    answer = keyed.send(12)
    assert (answer.status, "within 10 s" in answer.error) == (504, True)
    wait_until(lambda: not set(keyed.workers) & workers)
    wait_until(lambda: keyed.metric("speciesnet_workers_ready") == 2)
    assert keyed.send(12).status == 200
    assert keyed.metric("speciesnet_images_accepted") == 0


def test_requests_beyond_the_backlog_are_rejected(keyed: Keyed) -> None:
    signalled(keyed, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as executor:
        first = executor.submit(keyed.send, 12)
        wait_until(lambda: keyed.metric("speciesnet_images_accepted") == 12)
        second = keyed.send()
        signalled(keyed, signal.SIGCONT)
        assert first.result().status == 200
    assert (second.status, second.headers["retry-after"]) == (503, "5")
    assert second.headers["connection"] == "close"  # a retry must not meet a closing connection
    assert "Too many images are waiting" in second.error
    assert keyed.send().status == 200


def spools(folder: Path) -> list[Path]:
    """The folders in which servers store requests."""
    return list(folder.glob("speciesnet-server-*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_server_finishes_accepted_requests(tmp_path: Path, number: int) -> None:
    with served(tmp_path, program=STAND_IN) as started:
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


def test_second_signal_stops_the_server_immediately(tmp_path: Path) -> None:
    with served(tmp_path, program=STAND_IN) as started:
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


def test_killed_server_leaves_no_workers_and_the_next_one_deletes_its_files(
    tmp_path: Path,
) -> None:
    with served(tmp_path, program=STAND_IN) as started:
        server = Keyed(started.process, started.port, started.log)
        (worker,) = server.workers
        signalled(server, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as executor:
            response = executor.submit(server.send)
            wait_until(lambda: server.metric("speciesnet_images_accepted") == 1)
            server.process.kill()
            server.process.wait()
            assert response.exception()
        os.kill(worker, signal.SIGCONT)
        wait_until(lambda: not Path(f"/proc/{worker}").exists())
    (left,) = spools(tmp_path)
    assert list(left.glob("*/image1"))
    moment = time.time() - MIN_AGE - 1
    os.utime(left / LOCK, (moment, moment))
    with served(tmp_path, program=STAND_IN) as server:
        assert len(spools(tmp_path)) == 1
        assert not left.exists()
        assert server.stop() == 0
    assert not spools(tmp_path)
