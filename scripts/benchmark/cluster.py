"""Measures the overhead of a Ray cluster compared with a local run, and the memory of its driver.

    PYTHONPATH=scripts python -m benchmark.cluster overhead --model PACKAGE --images FOLDER
    PYTHONPATH=scripts python -m benchmark.cluster memory --instances 10000 100000 1000000

``overhead`` runs the same images on one machine with ``run_model`` and then with ``run_on_ray``, and
excludes start-up by taking the difference between a short and a long run. ``memory`` replaces images
and networks by constants, so it measures only the driver and its rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from speciesnet.images.instances import find_images
from speciesnet.scripts.gpu_test import machine

_DRIVER = """
import json, pathlib, resource, sys, time
from benchmark import constant_stages
from speciesnet.run.distributed import instance_lists, rounds, runner
from speciesnet.run.distributed.connection import connected
from speciesnet.run.distributed.folder import Folder
from speciesnet.run.distributed.job import Job
from speciesnet.run.distributed.resources import resources_for
from speciesnet.run.model import ModelOptions
from speciesnet.run import Run
source, output = sys.argv[1:]
peaks = pathlib.Path(output + ".peaks")
model, run = ModelOptions("demo"), Run(batch_size=64)
settings = model.load().run_settings(run)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def run_round(*arguments):
    constant_stages.install()
    tally = rounds.run_round(*arguments)
    with peaks.open("a") as file:
        file.write(f"{peak()}\\n")
    return tally
constant_stages.install()
runner.run_round = run_round
with connected(None):
    import ray
    start = time.monotonic()
    resources = resources_for(ray.nodes())
    job = Job(folder=Folder.of(output), model=model, run=run, resources=resources)
    summary = runner.run(instance_lists.read_instances(source), job, settings)
    seconds = time.monotonic() - start
print(json.dumps({"images": summary.tally.images, "seconds": seconds, "driver": peak(),
    "round": max(map(float, peaks.read_text().split()))}))
"""


def seconds_of(module: str, *arguments: str) -> float:
    """Runs a command and returns the seconds that it took."""
    start = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", f"speciesnet.scripts.{module}", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.monotonic() - start


def overhead(model: str, images: Path, short: int, long: int, precision: str) -> None:
    """Prints the images/s of a local run and of a run on Ray, without start-up."""
    originals = find_images([str(images)])
    speeds = {}
    with tempfile.TemporaryDirectory() as folder:
        lists = []
        for number in (short, long):
            paths = []
            for i in range(number):  # both programs take each link for another image
                link = Path(folder) / f"{number}-{i:05d}-{Path(originals[i % len(originals)]).name}"
                link.symlink_to(os.path.realpath(originals[i % len(originals)]))
                paths.append(str(link))
            lists.append(Path(folder) / f"{number}.txt")
            lists[-1].write_text("\n".join(paths) + "\n", encoding="utf-8")
        common = ("--model", model, "--precision", precision)
        for module, source, target in (
            ("run_model", "--filepaths_txt", "--predictions_json"),
            ("run_on_ray", "--instances", "--output"),
        ):
            seconds = [
                seconds_of(module, *common, source, str(path), target, f"{path}-{module}")
                for path in lists
            ]
            speeds[module] = (long - short) / (seconds[1] - seconds[0])
            start_up = seconds[0] - short / speeds[module]
            print(
                f"{module:<12} {speeds[module]:8.3f} images/s   start-up {start_up:6.1f} s   "
                f"{short}: {seconds[0]:.1f} s, {long}: {seconds[1]:.1f} s",
                flush=True,
            )
    print(f"overhead: {speeds['run_model'] / speeds['run_on_ray'] - 1:+.1%}")


def memory(numbers: Sequence[int]) -> None:
    """Prints the peak memory for each number of instances, with constants instead of networks."""
    print("instances   driver (MiB)   largest round (MiB)   seconds   (constants, no networks)")
    for number in numbers:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "list.txt"
            with source.open("w", encoding="utf-8") as file:
                for i in range(number):
                    file.write(f"/survey/camera{i // 1000:05d}/IMG_{i:08d}.JPG\n")
            done = subprocess.run(
                [sys.executable, "-c", _DRIVER, str(source), f"{folder}/out"],
                check=True,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            )
            outcome = json.loads(done.stdout.splitlines()[-1])
            assert outcome["images"] == number, outcome
            print(
                f"{number:>9,} {outcome['driver']:>14.0f} {outcome['round']:>21.0f} "
                f"{outcome['seconds']:>9.1f}",
                flush=True,
            )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("overhead")
    first.add_argument("--model", required=True)
    first.add_argument("--images", type=Path, required=True)
    first.add_argument("--short", type=int, default=16, help="images in the short run")
    first.add_argument("--long", type=int, default=80, help="images in the long run")
    first.add_argument("--precision", default="fp32")
    second = commands.add_parser("memory")
    second.add_argument("--instances", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    options = parser.parse_args()
    print(machine())
    if options.command == "memory":
        memory(options.instances)
    else:
        overhead(options.model, options.images, options.short, options.long, options.precision)


if __name__ == "__main__":
    main()
