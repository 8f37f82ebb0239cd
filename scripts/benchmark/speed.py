"""Measures every engine and precision on a folder of photographs, each in a separate process.

    PYTHONPATH=scripts python -m benchmark.speed --model PACKAGE --folders PHOTOGRAPHS

Start-up is the time from the start of the process to the first record. ``--compare PYTHON`` also runs the
published program, in the interpreter of an environment that has it: speciesnet 4.0.3 (which needs Python
3.11 or older, setuptools<80 and numpy<2), or 5.0.6, which reads only packages made with ``--onnx2torch``.
With ``--rounds``, the programs run in turn several times, and the table shows the medians: other programs
on the same computer then slow all of them down alike.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark import ENGINES
from speciesnet.images.instances import find_images
from speciesnet.scripts.gpu_test import machine

_SCRIPTS = str(Path(__file__).resolve().parents[1])
STAGES = ("reading and decoding", "detector", "cropping", "classifier", "deciding", "writing")

_OURS = """
import json, resource, sys, time
from speciesnet import SpeciesNet, load_rgb_image
from speciesnet.pipeline.guard import trial
from speciesnet.pipeline.progress import Profile
start = float(sys.argv[1])
package, paths, engine, precision, alone, scripts, shares = json.loads(sys.argv[2])
trial.WORTH_A_TRIAL = 2
if shares:
    sys.path.insert(0, scripts)
    from benchmark.set_shares import set_shares
    set_shares(*shares)
net = SpeciesNet(package, engine=engine, precision=precision)
net.predict(filepaths=paths[:1])
first = time.time() - start
start, profile, used = time.perf_counter(), Profile(), time.process_time()
net.predict(filepaths=paths, profile=profile)
seconds, used = time.perf_counter() - start, time.process_time() - used
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
networks = 0
if alone:  # on images that are ready
    fitted = [net.detector.preprocess(load_rgb_image(path)) for path in paths]
    start = time.perf_counter()
    for image in fitted:
        net.detector.detect([image])
    networks = time.perf_counter() - start
    crops = [net.classifier.preprocess(load_rgb_image(path)) for path in paths]
    start = time.perf_counter()
    for i in range(0, len(crops), 8):
        net.classifier.classify(crops[i:i + 8])
    networks += time.perf_counter() - start
lower = net.networks.reduced()
names = lower[0].precisions.values() if shares else [net.detector.engine.name, net.classifier.engine.name]
print(json.dumps({"first": first, "seconds": seconds, "used": used, "stages": profile.seconds,
    "memory": memory, "networks": networks, "names": [*names]}))
"""
_PUBLISHED = """
import json, resource, sys, time
import torch
from speciesnet import SpeciesNet
from speciesnet.detector import SpeciesNetDetector
# It keeps gradients otherwise, and runs out of memory.
SpeciesNetDetector.predict = torch.no_grad()(SpeciesNetDetector.predict)
model, paths = json.loads(sys.argv[2])
net = SpeciesNet(model)
net.predict(filepaths=paths[:1], progress_bars=False)
first = time.time() - float(sys.argv[1])
start, used = time.time(), time.process_time()
net.predict(filepaths=paths, progress_bars=False)
from importlib.metadata import version
print(json.dumps({"first": first, "seconds": time.time() - start, "stages": {},
    "used": time.process_time() - used,
    "version": version("speciesnet"),
    "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    "names": ["published", "published"]}))
"""


def run(python: str, program: str, *what: Any) -> dict[str, Any] | None:
    """The measurements of a program in a separate process; None if it fails."""
    done = subprocess.run(
        [python, "-c", program, str(time.time()), json.dumps(what)],
        capture_output=True,
        text=True,
        cwd=tempfile.gettempdir(),
        env=None if program is _OURS else {**os.environ, "PYTHONPATH": ""},
    )
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def linked(photographs: Sequence[Path], number: int, folder: Path) -> list[str]:
    """The paths of a given number of images: links to the photographs, in turn."""
    paths = []
    for i, photograph in zip(range(number), itertools.cycle(photographs), strict=False):
        path = folder / f"{i:07d}{photograph.suffix}"
        path.symlink_to(photograph)
        paths.append(str(path))
    return paths


def median(rounds: Sequence[dict[str, Any] | None]) -> dict[str, Any] | None:
    """The medians of what several rounds measured; None if one of them failed."""
    found = [measured for measured in rounds if measured]
    if len(found) < len(rounds):
        return None
    middle = dict(found[0])
    for key, value in middle.items():
        values = [measured[key] for measured in found]
        if isinstance(value, float | int):
            middle[key] = statistics.median(values)
        elif isinstance(value, dict):
            middle[key] = {name: statistics.median(each[name] for each in values) for name in value}
    return middle


def row(name: str, found: dict[str, Any] | None, images: int, slowest: float | None) -> str:
    """A line of the table."""
    if found is None:
        return f"| {name} | failed |" + " |" * 7
    each = found["seconds"] / images
    networks = found.get("networks")
    shares = [
        f"{stage} {found['stages'][stage] / images:.3f}"
        for stage in STAGES
        if stage in found["stages"]
    ]
    cells = [
        name,
        f"{each:.3f}",
        f"{found['used'] / images:.3f}",
        f"{1 / each:.2f}",
        f"{slowest / each:.1f}" if slowest else "",
        f"{found['seconds'] / networks:.2f}" if networks else "",
        f"{found['first']:.1f}",
        f"{found['memory']:.2f}",
        ", ".join(shares),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", required=True, help="model package")
    parser.add_argument("--folders", required=True, type=Path, help="folder of photographs")
    parser.add_argument("--compare", help="Python with the published speciesnet")
    parser.add_argument(
        "--engines",
        nargs="*",
        help="only these, such as openvino:bf16, or auto:0.05:0.15 for a guard that "
        "detects 5%% of the images again in float32 and classifies another 15%% again",
    )
    parser.add_argument(
        "--rounds", type=int, default=1, help="how often each program runs, in turn"
    )
    parser.add_argument(
        "--images", type=int, help="so many: the photographs again and again, under other names"
    )
    options = parser.parse_args()
    model = options.model if options.model == "demo" else os.path.abspath(options.model)  # noqa: PTH100
    photographs = [Path(path).resolve() for path in find_images([str(options.folders)])]
    folder = tempfile.TemporaryDirectory()
    paths = linked(photographs, options.images or len(photographs), Path(folder.name))
    chosen: Sequence[Sequence[str]] = (*ENGINES, ("auto", "auto"))
    if options.engines:
        chosen = [name.split(":") for name in options.engines]
    found: dict[str, list[dict[str, Any] | None]] = {}
    for _ in range(options.rounds):
        if options.compare:
            found.setdefault("published", []).append(run(options.compare, _PUBLISHED, model, paths))
        for engine, precision, *numbers in chosen:
            shares = [float(precision), *map(float, numbers)] if numbers else []
            how = (engine, "auto" if shares else precision)
            name = " ".join([engine, precision, *numbers])
            if name not in found:  # so that networks are converted, and precisions tried out
                run(sys.executable, _OURS, model, paths[:16], *how, False, _SCRIPTS, shares)
            measured = run(sys.executable, _OURS, model, paths, *how, not shares, _SCRIPTS, shares)
            found.setdefault(name, []).append(measured)
            print(row(name, measured, len(paths), None), file=sys.stderr)
    print(machine())
    print(f"\n{len(paths)} photographs of {options.folders.name}, package {Path(model).name}\n")
    print(
        "| engine | s/image | CPU s/image | images/s | times the published | all / networks alone "
        "| first record (s) | peak memory (GiB) | seconds an image |\n" + "|---" * 9 + "|"
    )
    slowest = None
    for name, rounds in found.items():
        middle = median(rounds)
        if middle and "version" in middle:
            slowest = middle["seconds"] / len(paths)
            name += f" {middle['version']}"
        elif middle and name.startswith("auto"):
            name += f" ({'; '.join(middle['names'])})"
        print(row(name, middle, len(paths), slowest))


if __name__ == "__main__":
    main()
