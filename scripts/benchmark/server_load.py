"""Steady load on a server: throughput, how long answers take, their codes, and memory before and after.

python scripts/benchmark/server_load.py --model PACKAGE --images FOLDER --connections 200 --seconds 60
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

BOUNDARY = "----load"
WARM_UP = 10  # seconds, before memory is looked at the first time


def body_of(path: Path) -> bytes:
    """A form with one photograph."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"'
    return f"{head}\r\n\r\n".encode() + path.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()


def ask_on_and_on(port: int, bodies: list[bytes], until: float, answers: list[Any]) -> None:
    """One connection, one request after the other."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    number, retry = 0, 0.0
    while time.monotonic() < until:
        started = time.perf_counter()
        try:
            connection.request("POST", "/predict", bodies[number % len(bodies)], headers)
            answer = connection.getresponse()
            content = answer.read()
            status: Any = answer.status
            retry = float(answer.getheader("Retry-After", "0"))
            if status == 200 and "prediction" not in json.loads(content)["predictions"][0]:
                status = "200 with failures"
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            status = type(error).__name__
        answers.append((status, time.perf_counter() - started))
        if status == 503:
            time.sleep(retry)
        number += 1


def client(port: int, paths: list[Path], connections: int, seconds: float, results: Any) -> None:
    """Many connections, in a process of its own."""
    bodies = [body_of(path) for path in paths]
    answers: list[Any] = []
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(
            target=ask_on_and_on, args=(port, bodies[i % 7 :] or bodies, until, answers)
        )
        for i in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(answers)


def run_client(*arguments: Any) -> list[Any]:
    """What a client was answered."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=client, args=(*arguments, results))
    process.start()
    answers = results.get()
    process.join()
    return answers


def memory(root: int) -> dict[str, float]:
    """MiB of the server and of its workers, by process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            status = (folder / "status").read_text()
        except OSError:
            continue
        if (int(folder.name) == root or parent == root) and "VmRSS" in status:
            found[folder.name] = int(status.split("VmRSS:")[1].split()[0]) / 1024
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("flags", nargs="*", help="of run_server, after --")
    options = parser.parse_args()
    paths = sorted(options.images.glob("*.jpg"))
    command = [sys.executable, "-m", "speciesnet.scripts.run_server", "--port", "0"]
    command += ["--model", options.model, *options.flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as server:
        assert server.stdout is not None
        port = int(server.stdout.readline().split("/, ")[0].rpartition(":")[2])
        while {status for status, _ in run_client(port, paths, 1, 0.1)} != {200}:
            time.sleep(1)
        run_client(port, paths, options.connections, WARM_UP)
        before = memory(server.pid)
        started = time.perf_counter()
        answers = run_client(port, paths, options.connections, options.seconds)
        seconds = time.perf_counter() - started
        after = memory(server.pid)
        server.terminate()
        server.wait()
    took = np.array([s for status, s in answers if status == 200])
    print(f"{options.connections} connections, {seconds:.0f} s, {len(paths)} photographs in turn")
    print(f"answers: {dict(Counter(status for status, _ in answers))}")
    print(f"{len(took) / seconds:.1f} images/s", end="; ")
    print(
        "seconds: p50 {:.2f}, p99 {:.2f}, longest {:.2f}".format(
            *np.percentile(took, (50, 99, 100))
        )
    )
    for pid, mib in before.items():
        print(f"process {pid}: {mib:.0f} MiB before, {after.get(pid, 0):.0f} MiB after")
    print(f"exit code {server.returncode}")


if __name__ == "__main__":
    main()
