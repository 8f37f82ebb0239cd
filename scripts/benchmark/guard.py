"""Compares guarded runs of the demo model with float32, on rendered scenes.

    PYTHONPATH=scripts python -m benchmark.guard --cache FOLDER [--scenes 10000]

Every scene is processed three times: in float32, under the guard, and under a guard whose band is
always zero, which shows that the comparison can fail. The demo's networks are so small that a lower
precision saves little time; so the guard is told that it does. Scenes and predictions stay in the
cache folder, and an interrupted comparison continues where it stopped.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from demo.dataset import HELD_OUT, render_dataset

from speciesnet import SpeciesNet
from speciesnet.pipeline import Photo
from speciesnet.pipeline.guard import trial
from speciesnet.pipeline.guard.bands import Evidence
from speciesnet.pipeline.guard.guard import Guard
from speciesnet.records import Record
from speciesnet.scripts.gpu_test import machine

FIRST = HELD_OUT + 5000  # the seed of the first camera
SHOTS = 32  # scenes of each
SHARES = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)  # shares of the band in the table


@contextmanager
def _margins_noted(path: Path) -> Iterator[None]:
    """Notes the margin of every image that the guard sees, in units of its band."""
    settled = Guard._settled

    def noting(self: Guard, photos: Sequence[Photo]) -> Iterator[Photo]:
        with path.open("a", encoding="utf-8") as file:
            for photo in photos:
                margin = self._band.margin_of(photo) / self._band.width
                file.write(json.dumps([photo.filepath, margin]) + "\n")
        yield from settled(self, photos)

    with mock.patch.object(Guard, "_settled", noting):
        yield


def records_of(
    output: Path, paths: Sequence[str], precision: str, country: str
) -> dict[str, Record]:
    """The records of a run, by path; it continues if the output exists."""
    started = time.perf_counter()
    net = SpeciesNet("demo", precision=precision)  # type: ignore[arg-type]  # checked by SpeciesNet
    net.predict(filepaths=list(paths), country=country, predictions_json=str(output))
    minutes = (time.perf_counter() - started) / 60
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{output.stem}: {minutes:.1f} min; peak memory so far {memory:.2f} GiB", flush=True)
    records = json.loads(output.read_text(encoding="utf-8"))["predictions"]
    return {record["filepath"]: record for record in records}


def different(one: Mapping[str, Record], other: Mapping[str, Record]) -> list[str]:
    """The images whose answers or sources differ."""
    keys = ("prediction", "prediction_source")
    return [
        path
        for path, record in one.items()
        if any(record.get(k) != other[path].get(k) for k in keys)
    ]


def table(margins: Mapping[str, float], wrong: Sequence[str]) -> str:
    """The share of images processed in float32, and the wrong answers, for narrower bands.

    Args:
        margins: The margin of each image, in units of the band.
        wrong: Images that get a different answer from the fast networks.
    """
    lines = ["| band, as a share of the guard's | processed in float32 | different answers |"]
    lines.append("| --- | --- | --- |")
    for share in SHARES:
        doubtful = sum(margin <= share for margin in margins.values()) if share else 0
        left = sum(margins.get(path, math.inf) > share for path in wrong) if share else len(wrong)
        lines.append(f"| {share:g} | {100 * doubtful / len(margins):.1f}% | {left} |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--cache", required=True, type=Path, help="folder of scenes and predictions"
    )
    parser.add_argument("--scenes", type=int, default=10_000)
    parser.add_argument("--country", default="USA")
    options = parser.parse_args()
    cache = options.cache.resolve()
    examples = render_dataset(cache / "scenes", FIRST, math.ceil(options.scenes / SHOTS), SHOTS)
    paths = [str(example.path) for example in examples][: options.scenes]
    print(f"{machine()}\n{len(paths)} scenes\n", flush=True)

    shutil.rmtree(cache / "evidence", ignore_errors=True)
    os.environ["SPECIESNET_CACHE"] = str(cache / "evidence")  # the trial of this comparison alone
    margins_file = cache / "margins.jsonl"
    exact = records_of(cache / "float32.json", paths, "fp32", options.country)
    with mock.patch.object(trial, "WORTHWHILE", math.inf):
        with _margins_noted(margins_file):
            guarded = records_of(cache / "guarded.json", paths, "auto", options.country)
        with mock.patch.object(Evidence, "band", lambda self: 0.0):
            unguarded = records_of(cache / "band_0.json", paths, "auto", options.country)
    settings = json.loads((cache / "guarded.json.run.json").read_text(encoding="utf-8"))
    print(json.dumps(settings["precision"], indent=1))
    wrong = different(exact, unguarded)
    print(f"\ndifferent from float32 under the guard: {len(different(exact, guarded))}")
    print(f"different from float32 with a band of zero: {len(wrong)}\n")
    margins = dict(map(json.loads, margins_file.read_text(encoding="utf-8").splitlines()))
    print(table(margins, [path for path in wrong if path in margins]))  # not those of the trial


if __name__ == "__main__":
    main()
