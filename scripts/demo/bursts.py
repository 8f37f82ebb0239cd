"""Compares one answer for a burst with an answer for each of its pictures.

    PYTHONPATH=scripts python -m demo.bursts --cache CACHE_FOLDER

The cameras, animals and moments did not occur in training; the pictures go through the program
itself.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from demo.animals import KINDS
from demo.dataset import jpeg_bytes
from demo.evaluate import MODEL
from demo.facts import common_name
from demo.scenes import burst

FIRST = 3_000_000  # seeds beyond those of training, calibration and the held-out pictures
BURSTS, FRAMES = 240, 4
LABELS = (*KINDS, "human", "vehicle")


@dataclass(frozen=True)
class Frame:
    """One picture of a burst.

    Attributes:
        path: The JPEG file.
        burst: Number of its burst.
        label: Common name of what walks through the burst.
        night: Whether it is an infrared picture.
    """

    path: Path
    burst: int
    label: str
    night: bool


def _render(job: tuple[Path, int]) -> None:
    folder, number = job
    finished = folder / f"{number:05d}.json"
    if finished.exists():
        return
    cv2.setNumThreads(1)
    rng = np.random.default_rng([FIRST + number, 61])
    label = LABELS[number % len(LABELS)]
    scenes = burst(FIRST + number, label, frames=FRAMES)
    for k, scene in enumerate(scenes):
        (folder / f"{number:05d}_{k}.jpg").write_bytes(jpeg_bytes(scene, int(rng.integers(55, 92))))
    finished.write_text(json.dumps({"label": label, "night": scenes[0].night}), encoding="utf-8")


def render_bursts(folder: Path, bursts: int, workers: int = 2) -> list[Frame]:
    """Renders bursts, or reuses existing ones, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    with get_context("spawn").Pool(workers) as pool:  # the same on every system
        for _ in pool.imap_unordered(_render, [(folder, n) for n in range(bursts)], chunksize=4):
            pass
    frames = []
    for number in range(bursts):
        facts = json.loads((folder / f"{number:05d}.json").read_text(encoding="utf-8"))
        frames += [
            Frame(folder / f"{number:05d}_{k}.jpg", number, facts["label"], facts["night"])
            for k in range(FRAMES)
        ]
    return frames


def measure(frames: list[Frame], model: Path) -> list[tuple[Frame, str, str]]:
    """Each picture with its own answer and its burst's answer, as common names."""
    from speciesnet import SpeciesNet
    from speciesnet.ensemble.geofence import Rules
    from speciesnet.survey.sequences import sequence_answer

    net = SpeciesNet(str(model))
    predictions = net.predict(filepaths=[str(frame.path) for frame in frames])
    assert predictions is not None
    records: dict[str, Any] = {r["filepath"]: r for r in predictions["predictions"]}
    rules = Rules(net.ensemble.taxonomy_map, net.ensemble.geofence_map)
    found = []
    for _, group in groupby(frames, key=lambda frame: frame.burst):
        members = list(group)
        own = [records[frame.path.as_posix()] for frame in members]
        answer = sequence_answer(own, rules)
        together = common_name(answer[0]) if answer else "none"
        found += [
            (frame, common_name(record["prediction"]), together)
            for frame, record in zip(members, own, strict=True)
        ]
    return found


def as_markdown(found: list[tuple[Frame, str, str]]) -> str:
    """The table in the documentation."""
    lines = [
        f"{len({frame.burst for frame, *_ in found})} bursts of {FRAMES} pictures.",
        "",
        "| pictures | correct by image | correct by sequence | corrected | made wrong |",
        "|---|---|---|---|---|",
    ]
    for name, some in (
        ("all", found),
        ("by day", [row for row in found if not row[0].night]),
        ("by night", [row for row in found if row[0].night]),
        ("with animals", [row for row in found if row[0].label in KINDS]),
    ):
        own = [answer == frame.label for frame, answer, _ in some]
        together = [answer == frame.label for frame, _, answer in some]
        corrected = sum(b and not a for a, b in zip(own, together, strict=True))
        spoilt = sum(a and not b for a, b in zip(own, together, strict=True))
        lines.append(
            f"| {name} | {100 * np.mean(own):.1f}% | {100 * np.mean(together):.1f}% "
            f"| {corrected} | {spoilt} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--cache", type=Path, required=True, help="folder for the rendered pictures"
    )
    parser.add_argument("--model", type=Path, default=MODEL, help="model package")
    parser.add_argument("--bursts", type=int, default=BURSTS, help="how many")
    options = parser.parse_args()
    print(as_markdown(measure(render_bursts(options.cache, options.bursts), options.model)))


if __name__ == "__main__":
    main()
