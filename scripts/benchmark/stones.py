"""Compares the rule for boxes that never move with MegaDetector's, and measures its speed.

    PYTHONPATH=scripts python -m benchmark.stones [--cameras 40] [--boxes 1000000] [--no-compare]
    PYTHONPATH=scripts python -m benchmark.stones --boxes 0 --tools 10

The cameras are simulated: animals pass on a trail, stay at a feeder, sleep or sit on a nest, and
stones are found in some of the images. A group is right if most of its boxes belong to one stone; a
stone is found if right groups contain most of its boxes. Recall counts only stones with at least 20
boxes, the minimum for MegaDetector's rule. With ``--tools``, MegaDetector's own program (the package
megadetector) also groups the boxes of the first cameras; its groups must be those of the rule here.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from speciesnet.survey.stones import SeenBox, Sightings, overlaps

START = datetime(2024, 5, 1)
DAYS = 60
DEER = "1;mammalia;cetartiodactyla;cervidae;odocoileus;virginianus;white-tailed deer"
ANIMAL = "2;;;;;;animal"


@dataclass
class Image:
    """An image from a camera; each box has the name of the thing in it."""

    path: str
    taken: datetime
    boxes: list[tuple[str, SeenBox]] = field(default_factory=list)


@dataclass
class Thing:
    """A stone, or an animal that stays."""

    name: str
    sides: np.ndarray
    jitter: float  # standard deviation of the sides, as a share of the box
    conf: tuple[float, float]
    label: str
    score: float

    def box(self, rng: np.random.Generator) -> tuple[str, SeenBox]:
        """The detector's box."""
        size = np.tile(self.sides[2:], 2)
        sides = np.clip(self.sides + rng.normal(0, self.jitter, 4) * size, 0.001, 0.999)
        sides[2:] = np.minimum(sides[2:], 1 - sides[:2])
        conf = float(rng.uniform(*self.conf))
        bbox = [round(float(side), 4) for side in sides]
        return self.name, SeenBox("animal", conf, bbox, self.label, self.score)


def thing(rng: np.random.Generator, name: str, jitter: float, conf: tuple[float, float]) -> Thing:
    """A thing somewhere in the picture."""
    size = np.exp(rng.uniform(np.log(0.04), np.log(0.35), 2))
    place = rng.uniform(0, 1 - size)
    is_stone = name.startswith("stone")
    label, score = (ANIMAL, 0.4) if is_stone and rng.random() < 0.7 else (DEER, 0.9)
    return Thing(name, np.concatenate([place, size]), jitter, conf, label, score)


def moments(rng: np.random.Generator, visits: float) -> Iterator[tuple[int, datetime]]:
    """The images of passing animals: the number of the visit, and the time."""
    number = 0
    for day in range(DAYS):
        for _ in range(rng.poisson(visits)):
            start = START + timedelta(days=day, seconds=float(rng.uniform(0, 86400)))
            number += 1
            for shot in range(rng.integers(1, 10)):
                yield number, start + timedelta(seconds=5.0 * shot)


def camera(rng: np.random.Generator, name: str) -> list[Image]:
    """The images from a camera."""
    images = []
    height, depth = rng.uniform(0.4, 0.7), rng.uniform(0.05, 0.3)
    feeder = rng.uniform(0.2, 0.7, 2) if rng.random() < 0.3 else None
    last, walker, speed = 0, thing(rng, "", 0, (0, 1)), 0.0
    for visit, taken in moments(rng, float(np.exp(rng.uniform(0, 3.5)))):
        if visit != last:
            last, walker = visit, thing(rng, "animal", 0.05, (0.4, 0.98))
            walker.sides[2:] = depth * rng.uniform(0.7, 1.3) * np.array([1, 0.7])
            walker.sides[:2] = rng.uniform(0, 0.7), height + rng.normal(0, 0.03)
            speed = float(rng.normal(0, 0.1))
            if feeder is not None and rng.random() < 0.5:
                walker.sides[:2], speed = feeder + rng.normal(0, 0.02, 2), 0.0
        walker.sides[0] = np.clip(walker.sides[0] + speed, 0, 0.8)
        images.append(Image("", taken, [walker.box(rng)] if rng.random() < 0.7 else []))
    for number in range(rng.integers(0, 4)):
        images += sleeping(rng, f"sleeper{number}")
    if rng.random() < 0.15:
        images += nesting(rng)
    images.sort(key=lambda image: image.taken)
    for position, image in enumerate(images):
        image.path = f"{name}/{position:06}"
    for number in range(rng.integers(0, 4)):
        add_stone(rng, images, f"stone {name} {number}")
    return images


def sleeping(rng: np.random.Generator, name: str) -> list[Image]:
    """An animal that sleeps for hours, in a third of all cases at the same place the next night."""
    found, sleeper = [], thing(rng, name, float(rng.uniform(0.005, 0.03)), (0.5, 0.95))
    start = START + timedelta(hours=float(rng.uniform(0, 24 * (DAYS - 2))))
    for night in range(1 + (rng.random() < 0.3)):
        hours = np.sort(rng.uniform(0, rng.uniform(0.5, 9), rng.integers(15, 250)))
        for hour in hours:
            taken = start + timedelta(hours=24.0 * night + float(hour))
            found.append(Image("", taken, [sleeper.box(rng)]))
    return found


def nesting(rng: np.random.Generator) -> list[Image]:
    """An animal that stays at one place for weeks, and leaves it for hours."""
    found, bird = [], thing(rng, "nest", 0.02, (0.8, 0.98))
    for _, taken in moments(rng, 6):
        found.append(Image("", taken, [bird.box(rng)] if rng.random() < 0.35 else []))
    return found


def add_stone(rng: np.random.Generator, images: Sequence[Image], name: str) -> None:
    """A stone that the detector finds in some images, for some weeks, more often in some light."""
    stone = thing(rng, name, float(rng.uniform(0.003, 0.03)), (0.1, float(rng.uniform(0.3, 0.9))))
    start, length = rng.uniform(0, DAYS - 5), rng.uniform(5, DAYS)
    often, noon = float(np.exp(rng.uniform(np.log(0.02), np.log(0.9)))), rng.uniform(0, 24)
    for image in images:
        day = (image.taken - START) / timedelta(days=1)
        light = 1 if abs((day * 24 - noon + 12) % 24 - 12) < 6 else 0.2
        if start <= day <= start + length and rng.random() < often * light:
            image.boxes.append(stone.box(rng))


def ours(images: Sequence[Image]) -> list[list[str]]:
    """The things in the boxes of each group, by this program's rule."""
    sightings = Sightings()
    things = {}
    for image in images:
        sightings.add(image.path, image.taken.isoformat(), [box for _, box in image.boxes])
        for name, box in image.boxes:
            things[image.path, tuple(box.bbox)] = name
    groups = []
    for stone in sightings.find():
        keys = [(path, tuple(round(side, 4) for side in bbox)) for path, bbox in stone.boxes]
        groups.append([things[key] for key in keys])
    return groups


def megadetectors(images: Sequence[Image], overlap: float, at_least: int) -> list[list[str]]:
    """The same by the rule of MegaDetector's tools, in which the first box of a group defines it."""
    boxes = [
        (name, box.bbox)
        for image in images
        for name, box in image.boxes
        if box.conf >= 0.1 and _is_small(box)
    ]
    sides = np.zeros((len(boxes), 4), np.float32)  # of the first box of each group
    groups: list[list[str]] = []
    for name, bbox in boxes:
        own = np.asarray([bbox], np.float32)
        joined = np.flatnonzero(overlaps(own, sides[: len(groups)])[0] >= overlap)
        for position in joined:
            groups[position].append(name)
        if not joined.size:
            sides[len(groups)] = bbox
            groups.append([name])
    return [members for members in groups if len(members) >= at_least]


def megadetectors_own(
    surveys: Sequence[Sequence[Image]], overlap: float, at_least: int
) -> list[list[list[str]]]:
    """The groups that MegaDetector's own program finds for each camera.

    Raises:
        ImportError: The package megadetector, or one that it needs, is not installed.
    """
    from megadetector.postprocessing.repeat_detection_elimination import (  # type: ignore[import]
        repeat_detections_core as core,
    )

    options: Any = core.RepeatDetectionOptions()
    options.iouThreshold, options.occurrenceThreshold = overlap, at_least
    options.bWriteFilteringFolder, options.smartSort = False, None
    options.nWorkers = 1
    images, things = [], {}
    for image in (image for images in surveys for image in images):
        boxes = [{"category": "1", "conf": b.conf, "bbox": b.bbox} for _, b in image.boxes]
        name = f"{image.path}.jpg"  # the program ignores other files
        images.append({"file": name, "detections": boxes})
        things.update({(name, tuple(box.bbox)): seen for seen, box in image.boxes})
    content = {
        "info": {"format_version": "1.5"},
        "detection_categories": {"1": "animal"},
        "images": images,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "boxes.json"
        path.write_text(json.dumps(content))
        with redirect_stdout(sys.stderr):  # the program prints its progress
            results = core.find_repeat_detections(str(path), options=options)
    return [
        [[things[one.filename, tuple(one.bbox)] for one in group.instances] for group in groups]
        for groups in results.suspicious_detections
    ]


def compare_with_tools(surveys: Sequence[Sequence[Image]], overlap: float, at_least: int) -> None:
    """Prints whether MegaDetector's own program finds the same groups as its rule here."""
    here = [megadetectors(images, overlap, at_least) for images in surveys]
    own = megadetectors_own(surveys, overlap, at_least)
    found, expected = (
        Counter(tuple(sorted(group)) for groups in one for group in groups) for one in (own, here)
    )
    print(
        f"MegaDetector's own program {overlap} {at_least}, {len(surveys)} cameras: "
        f"{found.total()} groups, {(found & expected).total()} of {expected.total()} the same as here"
    )


def score(surveys: Sequence[Sequence[Image]], groups: Sequence[Sequence[list[str]]]) -> str:
    """The precision and recall of groups, and what the wrong groups show."""
    right, wrong, found, known = 0, Counter[str](), 0, 0
    for images, own in zip(surveys, groups, strict=True):
        of_stones: Counter[str] = Counter()
        for members in own:
            name, most = Counter(members).most_common(1)[0]
            if name.startswith("stone") and 2 * most > len(members):
                right += 1
                of_stones[name] += most
            else:
                wrong[name.rstrip("0123456789")] += 1
        all_boxes = Counter(
            name for i in images for name, box in i.boxes if box.conf >= 0.1 and _is_small(box)
        )
        stones = {n: c for n, c in all_boxes.items() if n.startswith("stone") and c >= 20}
        known += len(stones)
        found += sum(2 * of_stones[name] > count for name, count in stones.items())
    total = right + wrong.total()
    return (
        f"precision {right / total:.3f} ({right} of {total} groups; wrong: {dict(wrong)}), "
        f"recall {found / known:.3f} ({found} of {known} stones)"
    )


def _is_small(box: SeenBox) -> bool:
    return box.bbox[2] * box.bbox[3] <= 0.2


def measure_speed(surveys: Sequence[Sequence[Image]], boxes: int) -> None:
    """Runs the command on a file with a given number of boxes from 200 cameras, made by repetition."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.json"
        written = number = 0
        with path.open("w") as file:
            separator = '{"predictions": [\n'
            while written < boxes:
                later, camera_number = divmod(number, 200)
                images = surveys[number % len(surveys)]
                for image in images:
                    name = f"cam{camera_number}/DCIM/1{later:02}RECNX/{image.path[-6:]}.jpg"
                    taken = image.taken + later * timedelta(days=DAYS)
                    file.write(separator + json.dumps(_record(name, taken, image.boxes)))
                    written += len(image.boxes)
                    separator = ",\n"
                number += 1
            file.write("\n]}\n")
        command = [sys.executable, "-m", "speciesnet", "stones", str(path), "--log_level=warning"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{written} boxes: {used.ru_utime + used.ru_stime:.0f} s of CPU time, "
        f"{used.ru_maxrss / 1024:.0f} MiB"
    )


def _record(
    filepath: str, taken: datetime, found: Sequence[tuple[str, SeenBox]]
) -> dict[str, object]:
    boxes = [
        {"category": "1", "label": box.kind, "conf": round(box.conf, 4), "bbox": box.bbox}
        for _, box in sorted(found, key=lambda pair: -pair[1].conf)
    ]
    return {
        "filepath": filepath,
        "detections": boxes,
        "prediction": DEER,
        "prediction_score": 0.9,
        "prediction_source": "classifier",
        "metadata": {"datetime": taken.isoformat(timespec="seconds")},
    }


def main() -> None:
    """Prints the precision and recall of both rules, and the cost of the command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cameras", type=int, default=40)
    parser.add_argument("--boxes", type=int, default=1_000_000)
    parser.add_argument("--compare", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--tools", type=int, default=0, help="cameras for megadetector")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    surveys = [camera(rng, f"cam{number}") for number in range(given.cameras)]
    if given.compare:
        print(f"{sum(len(i.boxes) for images in surveys for i in images)} boxes simulated")
        print("this rule:           ", score(surveys, [ours(images) for images in surveys]))
        for overlap, at_least in ((0.9, 20), (0.85, 15)):
            groups = [megadetectors(images, overlap, at_least) for images in surveys]
            print(f"MegaDetector {overlap} {at_least}:", score(surveys, groups))
    if given.tools:
        compare_with_tools(surveys[: given.tools], 0.9, 20)
    if given.boxes:
        measure_speed(surveys, given.boxes)


if __name__ == "__main__":
    main()
