"""Runs on a real cluster whose processes, nodes and bucket fail, and whose output is taken over."""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from buckets import FORBIDDEN, MAKERS, Bucket
from commands import Outcome, run_module
from faults import Answer, Drop, Fault, Proxy
from frameworks import FAST_ENGINE

from speciesnet.images.instances import SAMPLE_IMAGES

if not sys.platform.startswith("linux"):
    pytest.skip("clusters of several nodes on one machine need Linux", allow_module_level=True)
if importlib.util.find_spec("ray") is None:
    pytest.skip("needs speciesnet[ray]", allow_module_level=True)

PATIENCE = 240  # seconds for one step; a longer one hangs
IMAGES = 24  # two rounds, each of which starts new processes
ONE_ROUND = {"FILES": "3"}
OUTAGE = 8  # seconds in which the bucket fails
DRIVER = Path(__file__).with_name("with_small_tasks.py")
NODES = Path(__file__).with_name("nodes.py")


def wait_for(what: Callable[[], Any], driver: Driver | None = None) -> Any:
    """Polls until there is a result; fails if the driver ends before."""
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        ended = driver is not None and driver.process.poll() is not None
        assert not ended, driver.path.read_text() if driver else ""
        assert time.monotonic() < deadline, f"{what} takes too long"
        time.sleep(0.05)
    return found


@dataclass
class Driver:
    """A run in a process of its own, with its output in files, which never fill up as pipes do."""

    process: subprocess.Popen[bytes]
    path: Path

    def wait(self) -> Outcome:
        code = self.process.wait(PATIENCE)
        out, err = (
            self.path.with_suffix(end).read_text(encoding="utf-8") for end in (".out", ".err")
        )
        return Outcome(code, out, err)


@dataclass
class Cluster:
    """Two nodes on this machine.

    Attributes:
        nodes: The process that starts and ends them.
        address: The address for drivers.
        token: Secret of this cluster alone, in the environment of all of its processes.
        bucket: A bucket that all of them reach.
        images: Folder with the images of all runs.
        wanted: Predictions file that a run on one machine writes for them.
        folder: Folder for outputs.
        drivers: All drivers that were started.
    """

    nodes: subprocess.Popen[str]
    address: str
    token: str
    bucket: Bucket
    images: Path
    wanted: bytes
    folder: Path
    drivers: list[Driver]

    def start(self, output: str | Path, *more: str | Path, **environment: str) -> Driver:
        path = self.folder / f"driver-{len(self.drivers)}.err"
        with path.open("wb") as err, path.with_suffix(".out").open("wb") as out:
            process = subprocess.Popen(
                [
                    *(sys.executable, str(DRIVER), "--model", "demo", "--instances", self.images),
                    *("--output", output, "--address", self.address, "--shard_size", "4"),
                    *("--batch_size", "2", "--threads", "1", "--noprogress_bars"),
                    *("--log_level", "warning", *FAST_ENGINE, *more),
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **environment},
            )
        self.drivers.append(Driver(process, path))
        return self.drivers[-1]

    def run(self, output: str | Path, *more: str | Path, **environment: str) -> Outcome:
        return self.start(output, *more, **environment).wait()

    def nodes_do(self, command: str) -> None:
        """Adds or removes a node."""
        assert self.nodes.stdin and self.nodes.stdout
        self.nodes.stdin.write(f"{command}\n")
        self.nodes.stdin.flush()
        assert self.nodes.stdout.readline() == f"{command}\n"

    def workers(self, title: str) -> list[int]:
        """Finds the processes of this cluster by a part of their title."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                name = (process / "cmdline").read_bytes()
                is_ours = self.token.encode() in (process / "environ").read_bytes()
            except OSError:  # the process has just ended
                continue
            if is_ours and name.startswith(b"ray::") and title.encode() in name:
                found.append(int(process.name))
        return found

    def kill_worker(self, title: str) -> bool:
        """Kills one such process; returns False if there is none."""
        for process in self.workers(title):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
                return True
        return False

    def check(self, output: str | Path) -> None:
        """Asserts that the merged output equals the file of a local run, byte for byte."""
        merged = self.folder / f"merged-{secrets.token_hex(4)}.json"
        outcome = run_module("merge", merged, str(output))
        assert outcome.code == 0, outcome.err
        assert merged.read_bytes() == self.wanted


def shards(output: Path) -> list[Path]:
    return sorted(output.glob("part-*"))


def check_error(outcome: Outcome, *words: str) -> None:
    assert outcome.code == 1, outcome
    assert outcome.err == f"{outcome.sentence}\n"
    for word in words:
        assert word in outcome.sentence


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """Fails a test that hangs, without ending the others."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("the test hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(3 * PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, s3_proxy: Proxy) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    images = folder / "images"
    images.mkdir()
    samples = sorted(SAMPLE_IMAGES.rglob("*.jpg"))
    for number in range(IMAGES):
        (images / f"{number:02}.jpg").symlink_to(samples[number % len(samples)])
    wanted = folder / "wanted.json"
    outcome = run_module(
        *("run_model", "--model", "demo", "--folders", images, "--predictions_json", wanted),
        *("--precision", "fp32", "--threads", "1", "--batch_size", "2", *FAST_ENGINE),
    )
    assert outcome.code == 0, outcome.err
    token = secrets.token_hex(32)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "NO_PROXY": "127.0.0.1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": token,
            "RAY_DISABLE_IMPORT_WARNING": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",  # 15 by default, so that workers starve beside other tests
            "RAY_prestart_worker_first_driver": "0",  # each takes seconds, and most are never used
        }.items():
            patch.setenv(name, value)
        bucket = MAKERS["s3"]("cluster", s3_proxy, patch)
        nodes = subprocess.Popen(
            [sys.executable, str(NODES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "nodes.err").open("wb"),
            text=True,
        )
        drivers: list[Driver] = []
        try:
            assert nodes.stdout
            address = nodes.stdout.readline().strip()
            assert address, (folder / "nodes.err").read_text()
            content = wanted.read_bytes()
            yield Cluster(nodes, address, token, bucket, images, content, folder, drivers)
        finally:
            for driver in drivers:
                driver.process.kill()  # even a stopped one
            nodes.communicate(timeout=PATIENCE)


def test_workers_are_killed_and_the_bucket_fails(cluster: Cluster) -> None:
    output = cluster.bucket.url("killed")
    failing_since: list[float] = []

    def plan(method: str, path: str) -> Fault:
        if method == "PUT" and "part-" in path and not failing_since:
            failing_since.append(time.monotonic())
        if not failing_since or time.monotonic() > failing_since[0] + OUTAGE:
            return None
        return Drop() if method == "PUT" else Answer(503)

    cluster.bucket.proxy.plan = plan
    driver = cluster.start(output, "--detectors", "1", "--classifiers", "1")
    wait_for(lambda: cluster.kill_worker("ray::MapBatches(read)"), driver)
    wait_for(lambda: cluster.kill_worker("MapWorker(MapBatches(Detect)).submit"), driver)
    outcome = driver.wait()
    assert outcome.code == 0, outcome.err
    assert failing_since
    cluster.check(output)


def test_killed_drivers_damaged_shards_and_another_driver(cluster: Cluster) -> None:
    output = cluster.folder / "drivers"
    options = ("--format", "parquet", "--detectors", "1", "--classifiers", "1")
    killed = cluster.start(output, *options, **ONE_ROUND)
    wait_for(lambda: len(shards(output)) > 1, killed)
    killed.process.kill()
    killed.process.wait(PATIENCE)
    cut, *_ = shards(output)
    cut.write_bytes(cut.read_bytes()[:-20])
    (output / f".{cut.name}.0.part").write_bytes(b"PAR1")
    owner = (output / "run.json").read_bytes()
    overtaken = cluster.start(output, *options, **ONE_ROUND)
    wait_for(lambda: (output / "run.json").read_bytes() != owner, overtaken)
    overtaken.process.send_signal(signal.SIGSTOP)  # or it may finish before the next one starts
    owner = (output / "run.json").read_bytes()
    last = cluster.start(output, *options, **ONE_ROUND)
    wait_for(lambda: (output / "run.json").read_bytes() != owner, last)
    overtaken.process.send_signal(signal.SIGCONT)
    check_error(overtaken.wait(), str(output), "another run")
    outcome = last.wait()
    assert outcome.code == 0, outcome.err
    assert f"{IMAGES} images, 0 of them failed." in outcome.out
    cluster.check(output)


def test_killed_round(cluster: Cluster) -> None:
    output = cluster.folder / "round"
    driver = cluster.start(output, "--detectors", "1", "--classifiers", "1")
    wait_for(lambda: shards(output), driver)
    assert cluster.kill_worker("ray::run_round")
    check_error(driver.wait(), "killed from outside", "same command again")
    before = len(shards(output))
    wait_for(lambda: not cluster.workers("MapWorker"))
    assert len(shards(output)) == before  # Ray has not repeated the round
    outcome = cluster.run(output, **ONE_ROUND)
    assert outcome.code == 0, outcome.err
    cluster.check(output)


def test_interrupted(cluster: Cluster) -> None:
    output = cluster.folder / "interrupted"
    driver = cluster.start(output, "--detectors", "1", "--classifiers", "1")
    wait_for(lambda: shards(output), driver)
    driver.process.send_signal(signal.SIGTERM)
    outcome = driver.wait()
    assert outcome.code == 128 + signal.SIGTERM
    assert outcome.sentence.endswith(
        f"Complete shards are in {output}. Run the same command again to continue."
    )
    wait_for(lambda: not cluster.workers("MapWorker"))
    before = len(shards(output))
    time.sleep(1)
    assert len(shards(output)) == before


def test_both_networks_in_one_process(cluster: Cluster) -> None:
    output = cluster.folder / "auto"
    options = ("--precision", "auto", "--detectors", "1")  # there are too few images for a trial
    outcome = cluster.run(output, *options, **ONE_ROUND)
    assert outcome.code == 0, outcome.err
    cluster.check(output)


def test_network_that_workers_cannot_load(cluster: Cluster) -> None:
    package = cluster.folder / "package"
    package.mkdir()
    for file in (SAMPLE_IMAGES.parent / "model").iterdir():
        content = file.read_bytes()
        (package / file.name).write_bytes(content[:5000] if file.suffix == ".keras" else content)
    outcome = cluster.run(cluster.folder / "unloaded", "--model", package)
    check_error(outcome, str(package / "classifier.keras"))


def test_bucket_that_forbids_writing_shards(cluster: Cluster) -> None:
    def plan(method: str, path: str) -> Fault:
        return FORBIDDEN["s3"] if method == "PUT" and "part-" in path else None

    cluster.bucket.proxy.plan = plan
    outcome = cluster.run(cluster.bucket.url("forbidden"), "--detectors", "1")
    cluster.bucket.proxy.reset()
    check_error(outcome, cluster.bucket.url("forbidden/part-"), "no permission")


def test_driver_without_the_token(cluster: Cluster) -> None:
    outcome = cluster.run(cluster.folder / "none", RAY_AUTH_TOKEN="", HOME=str(cluster.folder))
    check_error(outcome, cluster.address, "RAY_AUTH_TOKEN")


def test_killed_node(cluster: Cluster) -> None:
    output = cluster.folder / "node"
    cluster.nodes_do("add")
    driver = cluster.start(output, "--detectors", "4", "--detector_cpus", "0.5", **ONE_ROUND)
    wait_for(lambda: shards(output), driver)
    cluster.nodes_do("remove")
    outcome = driver.wait()
    assert outcome.code == 0, outcome.err
    cluster.check(output)
