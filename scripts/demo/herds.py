"""Measures rules that combine the answers of boxes within a sequence.

    PYTHONPATH=scripts python -m demo.herds --cache CACHE_FOLDER

Herds of one and of two kinds, at cameras and moments that the training never saw; the pictures go through
the program itself with ``--classify all``. Bursts with even numbers serve to choose thresholds, those
with odd numbers to measure.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np

from demo.animals import KINDS
from demo.dataset import jpeg_bytes
from demo.scenes import Thing, herd

FIRST = 4_000_000  # seeds beyond those of the bursts
BURSTS, FRAMES = 60, 4


@dataclass(frozen=True)
class Frame:
    """One picture of a burst.

    Attributes:
        path: The JPEG file.
        burst: The number of its burst.
        size: Its width and height in pixels.
        things: The animals in it.
    """

    path: Path
    burst: int
    size: tuple[int, int]
    things: tuple[Thing, ...]


def herd_labels(number: int) -> list[str]:
    """The animals of a burst: a third of them herds of one kind, the others of two kinds."""
    rng = np.random.default_rng([FIRST + number, 67])
    biome = ("woodland", "woodland", "savanna")[number // 2 % 3]
    kinds = [kind.name for kind in KINDS.values() if kind.biome == biome]
    one, other = (str(name) for name in rng.choice(kinds, 2, replace=False))
    if rng.random() < 1 / 3:
        return [one] * int(rng.integers(2, 6))
    return [one] * int(rng.integers(1, 4)) + [other] * int(rng.integers(1, 3))


def _render(job: tuple[Path, int]) -> None:
    folder, number = job
    finished = folder / f"{number:05d}.json"
    if finished.exists():
        return
    cv2.setNumThreads(1)
    rng = np.random.default_rng([FIRST + number, 61])
    frames = []
    for k, scene in enumerate(herd(FIRST + number, herd_labels(number), FRAMES)):
        name = f"{number:05d}_{k}.jpg"
        (folder / name).write_bytes(jpeg_bytes(scene, int(rng.integers(55, 92))))
        height, width = scene.image.shape[:2]
        things = [asdict(thing) for thing in scene.things]
        frames.append({"name": name, "size": [width, height], "things": things})
    finished.write_text(json.dumps(frames), encoding="utf-8")


def render_herds(folder: Path, bursts: int, workers: int = 2) -> list[Frame]:
    """Renders bursts, or takes those that are there, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    with Pool(workers) as pool:
        for _ in pool.imap_unordered(_render, [(folder, n) for n in range(bursts)]):
            pass
    frames = []
    for number in range(bursts):
        for one in json.loads((folder / f"{number:05d}.json").read_text(encoding="utf-8")):
            things = tuple(
                Thing(t["category"], t["label"], tuple(t["box"]), t["visible"])
                for t in one["things"]
            )
            frames.append(Frame(folder / one["name"], number, tuple(one["size"]), things))
    return frames


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--bursts", type=int, default=BURSTS)
    options = parser.parse_args()
    render_herds(options.cache, options.bursts)
