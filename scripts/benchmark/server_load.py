"""Puts a steady load on a server; prints throughput, response times, status codes and memory use.

PYTHONPATH=scripts python scripts/benchmark/server_load.py --images FOLDER --connections 200 --seconds 60
"""

from __future__ import annotations

import argparse
import multiprocessing
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.server_client import Client, form_of, served

WARM_UP = 10  # seconds, before memory is first measured


def ask_on_and_on(port: int, bodies: list[bytes], until: float, answers: list[Any]) -> None:
    """Sends one request after another over one connection."""
    client, number = Client(port), 0
    while time.monotonic() < until:
        started = time.perf_counter()
        answer = client.upload(bodies[number % len(bodies)])
        status: Any = answer.status or answer.error
        if status == 200 and "prediction" not in answer.records[0]:
            status = "200 with failures"
        answers.append((status, time.perf_counter() - started))
        if status == 503:
            time.sleep(answer.retry)
        number += 1


def client(port: int, paths: list[Path], connections: int, seconds: float, results: Any) -> None:
    """Opens many connections, in a separate process."""
    bodies = [form_of((path.name, path.read_bytes())) for path in paths]
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
    """Runs a client and returns the responses that it got."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=client, args=(*arguments, results))
    process.start()
    answers = results.get()
    process.join()
    return answers


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
    with served(options.model, options.flags) as server:
        run_client(server.port, paths, options.connections, WARM_UP)
        before = server.memory
        started = time.perf_counter()
        answers = run_client(server.port, paths, options.connections, options.seconds)
        seconds = time.perf_counter() - started
        after = server.memory
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
    print(f"exit code {server.process.returncode}")


if __name__ == "__main__":
    main()
