"""Measures the cost of answers for individual boxes: time compared with the classifier, and memory.

    PYTHONPATH=scripts python -m benchmark.every_box --model PACKAGE --folders PHOTOGRAPHS

The networks run, but every photograph then has a given number of boxes. ``best`` and ``all`` take
turns in one process, on the same photographs. The lower bound is the time for ``best`` plus the time
of the classifier on the additional crops, in full batches of prepared crops.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

from benchmark.growth import run as run_constant
from speciesnet import SpeciesNet, load_rgb_image
from speciesnet.constants import SCORE_THRESHOLD
from speciesnet.detector import SpeciesNetDetector
from speciesnet.engines.base import Precision
from speciesnet.images.decoding import PreprocessedImage
from speciesnet.images.instances import find_images
from speciesnet.records import Box
from speciesnet.records.boxes import BBox
from speciesnet.scripts.gpu_test import machine

BATCH = 8

Detect = Callable[..., list[list[Box]]]


def boxes(count: int) -> list[Box]:
    """Boxes side by side, all of the same size regardless of their number."""
    return [
        {
            "category": "1",
            "label": "animal",
            "conf": 0.9 - i / 1000,
            "bbox": [0.02 * (i % 35), 0.02 * (i // 35), 0.3, 0.3],
        }
        for i in range(count)
    ]


def seconds_of(net: SpeciesNet, paths: Sequence[str], classify: str) -> float:
    """Seconds of a run."""
    start = time.perf_counter()
    net.predict(filepaths=paths, classify=classify, batch_size=BATCH)  # type: ignore[arg-type]
    return time.perf_counter() - start


def seconds_of_crops(net: SpeciesNet, path: str, count: int) -> float:
    """The seconds that the classifier takes for prepared crops in full batches."""
    image = load_rgb_image(path)
    crop = net.classifier.preprocess(image, [BBox(0.02, 0.02, 0.3, 0.3)])
    assert crop is not None
    start = time.perf_counter()
    for done in range(0, count, BATCH):
        net.classifier.classify([crop] * min(BATCH, count - done))
    return time.perf_counter() - start


def _giving(found: list[Box], detect: Detect) -> Detect:
    """A detector's method that runs its network but returns the given boxes."""

    def given(
        self: SpeciesNetDetector,
        imgs: Sequence[PreprocessedImage],
        threshold: float = SCORE_THRESHOLD,
    ) -> list[list[Box]]:
        detect(self, imgs, threshold)
        return [list(found) for _ in imgs]

    return given


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", required=True)
    parser.add_argument("--folders", required=True)
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--boxes", type=int, nargs="*", default=[1, 3, 10])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory_images", type=int, nargs="*", default=[1000, 10_000])
    parser.add_argument("--memory_boxes", type=int, default=10)
    options = parser.parse_args()
    paths = find_images([options.folders])
    precision: Precision = options.precision
    net = SpeciesNet(options.model, engine=options.engine, precision=precision)
    net.predict(filepaths=paths[:1])
    detect = SpeciesNetDetector.detect
    print(f"{machine()}, {len(paths)} photographs, {options.engine} {precision}\n")
    print(
        "| boxes | best (s/image) | all | all / best | bound | all / bound |\n|---|---|---|---|---|---|"
    )
    for count in options.boxes:
        SpeciesNetDetector.detect = _giving(boxes(count), detect)  # type: ignore[method-assign]
        times: dict[str, list[float]] = {"best": [], "all": [], "crops": []}
        for _ in range(options.rounds):
            for name in ("best", "all"):
                times[name].append(seconds_of(net, paths, name) / len(paths))
            more = (count - 1) * len(paths)
            times["crops"].append(seconds_of_crops(net, paths[0], more) / len(paths))
        best, every, crops = (statistics.median(times[name]) for name in ("best", "all", "crops"))
        ratio = statistics.median(
            one / other for one, other in zip(times["all"], times["best"], strict=True)
        )
        print(
            f"| {count} | {best:.3f} | {every:.3f} | {ratio:.3f} | {best + crops:.3f} | "
            f"{every / (best + crops):.3f} |",
            flush=True,
        )
    _print_memory(options.memory_images, options.memory_boxes)


def _print_memory(numbers: Sequence[int], count: int) -> None:
    """Memory of runs with constants instead of networks, and the same number of boxes in every image."""
    print(f"\n| images with {count} boxes | memory (MiB) |\n|---|---|")
    for number in numbers:
        memory = run_constant(number, count, program=_MANY_BOXES)["memory"]
        print(f"| {number:,} | {memory:.0f} |", flush=True)


_MANY_BOXES = """
import json, resource, sys, tempfile
from pathlib import Path
import numpy as np
from PIL import Image
from speciesnet import SpeciesNet
import speciesnet.detector, speciesnet.classifier
number, boxes = map(int, json.loads(sys.argv[1]))

class Constant:
    name, on_cpu, image_size, stride, stretches, batch_size = "constant", True, 64, 64, False, 1
    classes, batches_alike = 13, True
    def __call__(self, images):
        return np.tile(np.arange(13, dtype=np.float32), (len(images), 1))

speciesnet.detector.load_detector_engine = lambda *a: Constant()
speciesnet.classifier.load_classifier_engine = lambda *a: Constant()
found = [{"category": "1", "label": "animal", "conf": 0.9, "bbox": [i / 600, 0.1, 0.02, 0.02]}
    for i in range(boxes)]
speciesnet.detector.SpeciesNetDetector.detect = lambda self, imgs, *_: [list(found) for _ in imgs]
with tempfile.TemporaryDirectory() as name:
    picture = Path(name) / "picture.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(picture)
    folder = Path(name) / "images"
    folder.mkdir()
    for i in range(number):
        (folder / f"{i:07d}.jpg").hardlink_to(picture)
    net = SpeciesNet("demo", precision="fp32")
    net.predict(folders=[str(folder)], classify="all", predictions_json=f"{name}/out.json")
print(json.dumps({"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""

if __name__ == "__main__":
    main()
