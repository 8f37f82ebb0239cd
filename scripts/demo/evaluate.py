"""Measures the demo model on rendered pictures that did not occur in its training.

    PYTHONPATH=scripts python -m demo.evaluate --cache CACHE_FOLDER

The pictures go through the program itself: detector, classifier, ensemble.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from demo.dataset import HELD_OUT, Example, render_dataset
from demo.facts import LABELS, common_name

SITES, SHOTS = 110, 4
SEEN = 0.2  # a top detection below this confidence counts as none
MODEL = Path(__file__).resolve().parents[2] / "speciesnet" / "files" / "packages" / "demo" / "model"
_CATEGORY = {"blank": "none", "human": "person", "vehicle": "vehicle"}
_DETECTED = {"animal": "animal", "human": "person", "vehicle": "vehicle"}


@dataclass(frozen=True)
class Result:
    """The program's result for one picture.

    Attributes:
        truth: Common name of the right answer.
        night: Whether it is an infrared picture.
        category: animal, person, vehicle or none: the top detection.
        confidence: The confidence of the best detection; 0 if there is none.
        prediction: Common name of the final answer.
        source: The rule that produced it.
        found: Objects that a box of the right category with IoU of at least 0.5 finds.
        objects: Objects in the picture.
    """

    truth: str
    night: bool
    category: str
    confidence: float
    prediction: str
    source: str
    found: int
    objects: int


def truth_category(label: str) -> str:
    """animal, person, vehicle or none."""
    return _CATEGORY.get(label, "animal")


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """The intersection over union of two boxes, each xmin, ymin, xmax, ymax."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(w, 0.0) * max(h, 0.0)
    return overlap / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap)


def result_of(example: Example, record: Mapping[str, Any]) -> Result:
    """Compares a record with the truth."""
    detections = record.get("detections", [])
    top = detections[0] if detections else None
    confidence = top["conf"] if top else 0.0
    category = _DETECTED[top["label"]] if top and confidence >= SEEN else "none"
    with Image.open(example.path) as image:
        width, height = image.size
    found = 0
    for thing in example.things:
        for d in detections:
            x, y, w, h = d["bbox"]
            box = (x * width, y * height, (x + w) * width, (y + h) * height)
            if (
                d["conf"] >= SEEN
                and _DETECTED[d["label"]] == thing.category
                and iou(box, thing.box) >= 0.5
            ):
                found += 1
                break
    prediction = common_name(record.get("prediction", "failed"))
    source = record.get("prediction_source", "failed")
    return Result(
        example.label,
        example.night,
        category,
        confidence,
        prediction,
        source,
        found,
        len(example.things),
    )


def evaluate(examples: Sequence[Example], model: Path) -> list[Result]:
    """Runs the program over the pictures."""
    from speciesnet import SpeciesNet

    predictions = SpeciesNet(str(model)).predict(
        filepaths=[str(e.path) for e in examples], batch_size=8
    )
    assert predictions is not None
    records = {record["filepath"]: record for record in predictions["predictions"]}
    return [result_of(example, records[example.path.as_posix()]) for example in examples]


def _share(values: Sequence[bool]) -> str:
    return f"{100 * float(np.mean(values)):.1f}%" if len(values) else "-"


def as_markdown(results: Sequence[Result]) -> str:
    """The numbers in the model card."""
    objects = [r for r in results if r.objects]
    blanks = [r for r in results if not r.objects]
    lines = [
        "| measure | value |",
        "|---|---|",
        f"| pictures (by day, by night) | {len(results)} ({sum(not r.night for r in results)}, "
        f"{sum(r.night for r in results)}) |",
        "| right detection category | "
        f"{_share([r.category == truth_category(r.truth) for r in results])} |",
        f"| right final prediction | {_share([r.prediction == r.truth for r in results])} |",
        f"| ... by day | {_share([r.prediction == r.truth for r in results if not r.night])} |",
        f"| ... by night | {_share([r.prediction == r.truth for r in results if r.night])} |",
        f"| objects found (IoU >= 0.5, confidence >= {SEEN}) | "
        f"{sum(r.found for r in results)} of {sum(r.objects for r in results)} |",
        "| pictures with an object whose top detection is above 0.7 | "
        f"{_share([r.confidence > 0.7 for r in objects])} |",
        "| empty pictures whose top detection is below 0.2 | "
        f"{_share([r.confidence < 0.2 for r in blanks])} |",
        "| median confidence of the top detection, with an object | "
        f"{np.median([r.confidence for r in objects]):.2f} |",
        "",
        "| detection category | pictures | right | seen instead |",
        "|---|---|---|---|",
    ]
    for category in ("animal", "person", "vehicle", "none"):
        some = [r for r in results if truth_category(r.truth) == category]
        others = Counter(r.category for r in some if r.category != category)
        right = _share([r.category == category for r in some])
        lines.append(f"| {category} | {len(some)} | {right} | {_listed(others)} |")
    lines += ["", "| label | pictures | right | predicted instead |", "|---|---|---|---|"]
    for label in LABELS:
        some = [r for r in results if r.truth == label]
        others = Counter(r.prediction for r in some if r.prediction != label)
        right = _share([r.prediction == label for r in some])
        lines.append(f"| {label} | {len(some)} | {right} | {_listed(others)} |")
    sources = Counter(r.source for r in results)
    lines += ["", "Sources of the final prediction: " + _listed(sources) + "."]
    return "\n".join(lines)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.most_common())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--cache", type=Path, required=True, help="folder for the rendered pictures"
    )
    parser.add_argument("--model", type=Path, default=MODEL, help="model package")
    parser.add_argument(
        "--wrong", type=Path, help="write the wrongly answered pictures here, as JSON"
    )
    options = parser.parse_args()
    examples = render_dataset(options.cache, HELD_OUT, SITES, SHOTS)
    results = evaluate(examples, options.model)
    print(as_markdown(results))
    if options.wrong:
        wrong = [
            {"path": str(e.path), "truth": r.truth, "prediction": r.prediction,
                "category": r.category,
             "confidence": r.confidence, "source": r.source}
            for e, r in zip(examples, results, strict=True) if r.prediction != r.truth
        ]  # fmt: skip
        options.wrong.write_text(json.dumps(wrong, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
