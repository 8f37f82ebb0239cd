"""A cache of rendered pictures on disk: JPEG files and one JSON line for each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from demo.animals import KINDS
from demo.scenes import Scene, Thing, make_site, random_scene

# Cameras of the training pictures start at seed 0, those that calibrate the classifier and those that
# measure the result here.
CALIBRATION, HELD_OUT = 500_000, 1_000_000


@dataclass(frozen=True)
class Example:
    """One cached picture.

    Attributes:
        path: The JPEG file.
        label: Common name of the right answer.
        night: Whether it is an infrared picture.
        things: What is in it.
    """

    path: Path
    label: str
    night: bool
    things: tuple[Thing, ...]


def pick_label(rng: np.random.Generator, biome: str) -> str:
    """A random label that occurs in this kind of place."""
    other = rng.random()
    if other < 0.18:
        return "blank"
    if other < 0.27:
        return "human"
    if other < 0.36:
        return "vehicle"
    return str(rng.choice([kind.name for kind in KINDS.values() if kind.biome == biome]))


def site_scenes(seed: int, shots: int) -> Iterator[Scene]:
    """Pictures from one camera, most of them with different labels."""
    site = make_site(seed)
    rng = np.random.default_rng([seed, 47])
    for k in range(shots):
        yield random_scene(seed * 64 + k, pick_label(rng, site.biome), site)


def jpeg_bytes(scene: Scene, quality: int, exif: bytes | None = None) -> bytes:
    """The picture as a JPEG file."""
    buffer = BytesIO()
    extra = {} if exif is None else {"exif": exif}
    Image.fromarray(scene.image).save(buffer, "JPEG", quality=quality, **extra)
    return buffer.getvalue()


def _render_site(job: tuple[Path, int, int]) -> None:
    folder, seed, shots = job
    finished = folder / f"{seed:07d}.jsonl"
    if finished.exists():
        return
    cv2.setNumThreads(1)
    rng = np.random.default_rng([seed, 53])
    lines = []
    for k, scene in enumerate(site_scenes(seed, shots)):
        name = f"{seed:07d}_{k}.jpg"
        (folder / name).write_bytes(jpeg_bytes(scene, int(rng.integers(55, 92))))
        record = {"name": name, "label": scene.label, "night": scene.night}
        lines.append(json.dumps(record | {"things": [asdict(thing) for thing in scene.things]}))
    finished.write_text("\n".join(lines) + "\n", encoding="utf-8")


def render_dataset(
    folder: Path, first: int, sites: int, shots: int, workers: int = 2
) -> list[Example]:
    """Renders ``sites`` cameras, starting from seed ``first``; finished ones are reused."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(folder, seed, shots) for seed in range(first, first + sites)]
    with get_context("spawn").Pool(workers) as pool:  # the same on every system
        for _ in pool.imap_unordered(_render_site, jobs, chunksize=2):
            pass
    return read_dataset(folder, first, sites)


def read_dataset(folder: Path, first: int, sites: int) -> list[Example]:
    """The finished pictures of these cameras."""
    examples = []
    files = [folder / f"{seed:07d}.jsonl" for seed in range(first, first + sites)]
    for line in "".join(file.read_text(encoding="utf-8") for file in files).splitlines():
        record = json.loads(line)
        things = tuple(
            Thing(t["category"], t["label"], tuple(t["box"]), t["visible"])
            for t in record["things"]
        )
        examples.append(Example(folder / record["name"], record["label"], record["night"], things))
    return examples
