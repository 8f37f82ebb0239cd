"""Measures rules that combine the answers of boxes within a sequence.

    PYTHONPATH=scripts python -m demo.herds --cache CACHE_FOLDER

Herds of one or two kinds, at cameras and moments that did not occur in training; the pictures go
through the program itself with ``--classify all``. Bursts with even numbers are used to choose
thresholds, and bursts with odd numbers to measure.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from demo.animals import KINDS
from demo.dataset import jpeg_bytes
from demo.evaluate import MODEL, iou
from demo.facts import SPECIES, common_name
from demo.herd_rules import Smoother, all_rules
from demo.scenes import Thing, herd
from speciesnet.constants import Detection
from speciesnet.ensemble.geofence import Rules
from speciesnet.ensemble.taxonomy import category_of, is_ancestor, load_taxonomy, split_label
from speciesnet.files.packages.info import ModelInfo
from speciesnet.records import Box, Record
from speciesnet.survey.counts import counts_of, largest_counts

FIRST = 4_000_000  # seeds beyond those of the bursts
BURSTS, FRAMES = 80, 4
LABELS_BY_NAME = {common_name(label): label for label in SPECIES}


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


def _degraded(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Puts three of four pictures out of focus, in fog or both; each picture of a burst independently."""
    if rng.random() < 0.5:
        sigma = float(rng.uniform(1.0, 4.0)) * image.shape[1] / 1280
        image = cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8)
    if rng.random() < 0.5:
        fog = float(rng.uniform(0.2, 0.75))
        image = (image * (1 - fog) + fog * float(rng.uniform(60, 190))).astype(np.uint8)
    return image


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
        poor = replace(scene, image=_degraded(scene.image, rng))
        (folder / name).write_bytes(jpeg_bytes(poor, int(rng.integers(25, 85))))
        height, width = scene.image.shape[:2]
        things = [asdict(thing) for thing in scene.things]
        frames.append({"name": name, "size": [width, height], "things": things})
    finished.write_text(json.dumps(frames), encoding="utf-8")


def render_herds(folder: Path, bursts: int, workers: int = 2) -> list[Frame]:
    """Renders bursts, or reuses existing ones, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    with get_context("spawn").Pool(workers) as pool:  # the same on every system
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


def records_of(frames: Sequence[Frame], cache: Path, model: Path) -> dict[str, Record]:
    """The record of each picture by file name; records from an earlier call are reused."""
    from speciesnet import SpeciesNet

    saved = cache / "records.json"
    found = json.loads(saved.read_text(encoding="utf-8")) if saved.exists() else {}
    missing = [str(frame.path) for frame in frames if frame.path.name not in found]
    if missing:
        predictions = SpeciesNet(str(model)).predict(filepaths=missing, classify="all")
        assert predictions is not None
        found |= {Path(record["filepath"]).name: record for record in predictions["predictions"]}
        saved.write_text(json.dumps(found), encoding="utf-8")
    return found


@dataclass
class Score:
    """What a rule gets right.

    Attributes:
        boxes: Animal boxes with an answer that match an animal, with an IoU of at least 0.5.
        right: Those with the species of the animal.
        above: Those with a taxon above the species.
        corrected: Those that only the rule gets right.
        spoilt: Those that only the rule gets wrong.
        bursts: Bursts with boxes.
        counted: Those whose species and their numbers are right (MaxN).
        named: Those whose species are right.
        false: Boxes with a species of which less than a tenth shows an animal.
    """

    boxes: int = 0
    right: int = 0
    above: int = 0
    corrected: int = 0
    spoilt: int = 0
    bursts: int = 0
    counted: int = 0
    named: int = 0
    false: int = 0

    def add(
        self, frames: Sequence[Frame], before: Sequence[Record], after: Sequence[Record]
    ) -> None:
        """Adds a burst."""
        for frame, old, new in zip(frames, before, after, strict=True):
            pairs = list(zip(old.get("detections", ()), new.get("detections", ()), strict=True))
            for thing, at in matches(frame, old):
                was, now = (pair.get("prediction", "") for pair in pairs[at])
                self.boxes += 1
                truth = LABELS_BY_NAME[thing.label]
                self.right += now == truth
                self.above += is_ancestor(now, truth)
                self.corrected += now == truth != was
                self.spoilt += was == truth != now
            self.false += sum(
                split_label(box.get("prediction", "")).rank == "species"
                and category_of(box.get("prediction", "")) == Detection.ANIMAL
                and shown_share(box, frame) < 0.1
                for _, box in pairs
            )
        self.bursts += 1
        truths = [
            Counter(LABELS_BY_NAME[t.label] for t in frame.things if t.visible > 0.25)
            for frame in frames
        ]
        expected, found = largest_counts(truths), largest_counts(counts_of(r) for r in after)
        self.counted += expected == found
        self.named += set(expected) == set(found)


def shown_share(box: Box, frame: Frame) -> float:
    """The largest share of a box that the box of one animal covers."""
    left, top, width, height = box["bbox"]
    shares = [0.0]
    for thing in frame.things:
        x0, x1 = (side / frame.size[0] for side in thing.box[::2])
        y0, y1 = (side / frame.size[1] for side in thing.box[1::2])
        wide = max(0.0, min(left + width, x1) - max(left, x0))
        tall = max(0.0, min(top + height, y1) - max(top, y0))
        shares.append(wide * tall / max(width * height, 1e-9))
    return max(shares)


def matches(frame: Frame, record: Record) -> list[tuple[Thing, int]]:
    """The animals in a picture, and the positions of the boxes with answers that match them."""
    pairs = []
    width, height = frame.size
    for at, box in enumerate(record.get("detections", ())):
        if "prediction" in box:
            x, y, w, h = box["bbox"]
            sides = (x * width, y * height, (x + w) * width, (y + h) * height)
            pairs += [(iou(sides, t.box), n, at) for n, t in enumerate(frame.things)]
    found: dict[int, int] = {}
    for overlap, n, at in sorted(pairs, reverse=True):
        if overlap >= 0.5 and n not in found and at not in found.values():
            found[n] = at
    return [(frame.things[n], at) for n, at in found.items()]


def measure(
    frames: Sequence[Frame], records: Mapping[str, Record], rules: Mapping[str, Smoother]
) -> dict[str, Score]:
    """Applies each rule to each burst."""
    scores = {name: Score() for name in rules}
    for _, group in groupby(frames, key=lambda frame: frame.burst):
        members = list(group)
        before = [records[frame.path.name] for frame in members]
        for name, rule in rules.items():
            scores[name].add(members, before, rule(before))
    return scores


def as_markdown(scores: Mapping[str, Score]) -> str:
    """The table in the documentation."""
    lines = [
        "| rule | boxes right | right or above | corrected | made wrong | false | species | counts |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, s in scores.items():
        lines.append(
            f"| {name} | {100 * s.right / s.boxes:.1f}% | {100 * (s.right + s.above) / s.boxes:.1f}% "
            f"| {s.corrected} | {s.spoilt} | {s.false} | {s.named} of {s.bursts} "
            f"| {s.counted} of {s.bursts} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cache", type=Path, required=True, help="folder for pictures and records")
    parser.add_argument("--model", type=Path, default=MODEL, help="model package")
    parser.add_argument("--bursts", type=int, default=BURSTS, help="how many")
    options = parser.parse_args()
    frames = render_herds(options.cache, options.bursts)
    records = records_of(frames, options.cache, options.model)
    rules = all_rules(Rules(load_taxonomy(ModelInfo(str(options.model)))))
    for rest, half in enumerate(("thresholds chosen on", "held out")):
        scores = measure([f for f in frames if f.burst % 2 == rest], records, rules)
        boxes = next(iter(scores.values())).boxes
        print(f"\n{half}: {boxes} boxes\n\n{as_markdown(scores)}")


if __name__ == "__main__":
    main()
