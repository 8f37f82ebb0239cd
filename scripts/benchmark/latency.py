"""Measures how much of its local speed a run keeps when its images are far away.

    PYTHONPATH=scripts:tests python -m benchmark.latency --milliseconds 50

The demo model reads its sample images many times, from the disk, from a web server and from a bucket
(moto's server, so ``pip install "moto[server]"``). Both servers are processes on this machine, behind
a proxy that waits before each response. They take processor time themselves: the cost at 0
milliseconds is that of the servers, and the rest is due to the latency. The rounds take turns.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import logging
import multiprocessing
import os
import shutil
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

from faults import Proxy  # from the tests

from speciesnet import SpeciesNet
from speciesnet.images.instances import SAMPLE_IMAGES, find_images
from speciesnet.scripts.gpu_test import machine

BUCKET = "survey"


def serve(folder: str, pipe: Connection) -> None:
    """Tells the ports of web server and bucket, then takes the seconds of latency of each run."""
    from moto.server import ThreadedMotoServer

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    bucket = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    bucket.start()
    web = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=folder)
    )
    ports = (web.server_address[1], bucket.get_host_and_port()[1])
    with ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(port).running()) for port in ports]
        pipe.send([proxy.port for proxy in proxies])
        threading.Thread(target=web.serve_forever, daemon=True).start()
        while (seconds := pipe.recv()) is not None:
            for proxy in proxies:
                proxy.reset()
                proxy.delay = seconds
            pipe.send(None)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--milliseconds", type=float, default=50)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--readers", type=int)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        samples = find_images([str(SAMPLE_IMAGES)])
        for number in range(options.images):
            shutil.copyfile(samples[number % len(samples)], Path(folder, f"{number:05}.jpg"))
        measure(folder, options)


def measure(folder: str, options: argparse.Namespace) -> None:
    """Prints the speed on a folder's images from each source."""
    pipe, other = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(folder, other), daemon=True
    )
    server.start()
    web, bucket = pipe.recv()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{bucket}",
        "NO_PROXY": "127.0.0.1",
    }
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    local = find_images([folder])
    for path in local:
        client.upload_file(path, BUCKET, Path(path).name)
    on_web = [f"http://127.0.0.1:{web}/{Path(path).name}" for path in local]
    in_bucket = find_images([f"s3://{BUCKET}"])

    latency = options.milliseconds
    places = {
        "disk": (local, 0.0),
        "http, 0 ms": (on_web, 0.0),
        f"http, {latency:g} ms": (on_web, latency / 1000),
        "s3, 0 ms": (in_bucket, 0.0),
        f"s3, {latency:g} ms": (in_bucket, latency / 1000),
    }
    net = SpeciesNet("demo", precision="fp32")
    speeds: dict[str, list[float]] = {name: [] for name in places}
    for number in range(options.rounds + 1):
        for name, (paths, seconds) in places.items():
            pipe.send(seconds)
            pipe.recv()
            start = time.perf_counter()
            found = net.predict(filepaths=paths, readers=options.readers)
            assert found and not any("failures" in record for record in found["predictions"])
            if number:  # the first round loads
                speeds[name].append(len(paths) / (time.perf_counter() - start))
    pipe.send(None)

    print(machine())
    print("\n| images from | median images/s | of the disk's | best images/s | of the disk's |")
    print("|---|---|---|---|---|")
    for name, values in speeds.items():
        cells = [name]
        for choose in (statistics.median, max):  # other work on the machine only slows down
            speed = choose(values)
            cells += [f"{speed:.2f}", f"{speed / choose(speeds['disk']):.0%}"]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
