"""Measures every engine and precision on a folder of photographs, each in a process of its own.

    PYTHONPATH=scripts python -m benchmark.speed --model PACKAGE --folders PHOTOGRAPHS

Start-up is the time from the start of the process to the first record. ``--compare PYTHON`` runs the
published program beside: an interpreter that has speciesnet 4.0.3 (which needs Python 3.11 or older,
setuptools<80 and numpy<2).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark import ENGINES
from speciesnet.instances import find_images
from speciesnet.scripts.gpu_test import machine

STAGES = ("reading and decoding", "detector", "cropping", "classifier", "deciding", "writing")

_OURS = """
import json, resource, sys, time
from speciesnet import SpeciesNet, load_rgb_image
from speciesnet.pipeline.guard import trial
from speciesnet.progress import Profile
start = float(sys.argv[1])
package, paths, engine, precision, alone = json.loads(sys.argv[2])
trial.WORTH_A_TRIAL = 2
net = SpeciesNet(package, engine=engine, precision=precision)
net.predict(filepaths=paths[:1])
first = time.time() - start
start, profile = time.perf_counter(), Profile()
net.predict(filepaths=paths, profile=profile)
seconds = time.perf_counter() - start
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
print(json.dumps({"first": first, "seconds": seconds, "stages": profile.seconds, "memory": memory,
    "networks": networks, "names": [net.detector.engine.name, net.classifier.engine.name]}))
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
start = time.time()
net.predict(filepaths=paths, progress_bars=False)
print(json.dumps({"first": first, "seconds": time.time() - start, "stages": {},
    "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    "names": ["published", "published"]}))
"""


def run(python: str, program: str, *what: Any) -> dict[str, Any] | None:
    """What a program measures in a process of its own; None if it fails."""
    done = subprocess.run(
        [python, "-c", program, str(time.time()), json.dumps(what)],
        capture_output=True,
        text=True,
        cwd=tempfile.gettempdir(),
    )
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def linked(photographs: Sequence[Path], number: int, folder: Path) -> list[str]:
    """Paths of so many images: links to the photographs, in turn."""
    paths = []
    for i, photograph in zip(range(number), itertools.cycle(photographs), strict=False):
        path = folder / f"{i:07d}{photograph.suffix}"
        path.symlink_to(photograph)
        paths.append(str(path))
    return paths


def row(name: str, found: dict[str, Any] | None, images: int, slowest: float | None) -> str:
    """A line of the table."""
    if found is None:
        return f"| {name} | failed |" + " |" * 6
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
    parser.add_argument("--compare", help="Python of an environment with speciesnet 4.0.3")
    parser.add_argument("--engines", nargs="*", help="only these, such as openvino:bf16")
    parser.add_argument(
        "--images", type=int, help="so many: the photographs again and again, under other names"
    )
    options = parser.parse_args()
    model = options.model if options.model == "demo" else os.path.abspath(options.model)  # noqa: PTH100
    photographs = [Path(path).resolve() for path in find_images([str(options.folders)])]
    folder = tempfile.TemporaryDirectory()
    paths = linked(photographs, options.images or len(photographs), Path(folder.name))
    chosen = (*ENGINES, ("auto", "auto"))
    if options.engines:
        chosen = tuple(tuple(name.split(":")) for name in options.engines)  # type: ignore[assignment]
    print(machine())
    print(f"\n{len(paths)} photographs of {options.folders.name}, package {Path(model).name}\n")
    print(
        "| engine | s/image | images/s | times the published | all / networks alone | first record (s) | "
        "peak memory (GiB) | seconds an image |\n|---|---|---|---|---|---|---|---|"
    )
    slowest = None
    if options.compare:
        found = run(options.compare, _PUBLISHED, model, paths)
        slowest = found["seconds"] / len(paths) if found else None
        print(row("published 4.0.3", found, len(paths), slowest), flush=True)
    for engine, precision in chosen:
        # Once before, so that networks are converted, and precisions tried out.
        run(sys.executable, _OURS, model, paths[:16], engine, precision, False)
        found = run(sys.executable, _OURS, model, paths, engine, precision, True)
        name = f"{engine} {precision}"
        if found and engine == "auto":
            name += f" ({'; '.join(found['names'])})"
        print(row(name, found, len(paths), slowest), flush=True)


if __name__ == "__main__":
    main()
