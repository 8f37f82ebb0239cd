"""Compares the boxes, scores and answers of engines and precisions with those of the first one.

PYTHONPATH=scripts python -m benchmark.alike --model PACKAGE --folders PHOTOGRAPHS
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from benchmark import ENGINES
from speciesnet import SpeciesNet


def records_of(model: str, folder: str, country: str | None, engine: str, precision: Any) -> Any:
    """The records of a folder's images."""
    net = SpeciesNet(model, engine=engine, precision=precision)
    answer = net.predict(folders=[folder], country=country)
    assert answer is not None
    return answer["predictions"]


def nearest(box: dict[str, Any], others: list[dict[str, Any]]) -> tuple[float, float]:
    """The distance to the nearest box of the same category, in sides, and the confidence difference."""
    best = (1.0, 1.0)
    for other in others:
        if other["category"] == box["category"]:
            apart = float(np.abs(np.subtract(box["bbox"], other["bbox"])).max())
            best = min(best, (apart, abs(box["conf"] - other["conf"])))
    return best


def row(name: str, reference: Any, found: Any, confidence: float) -> str:
    """A line of the table."""
    boxes = [
        nearest(box, two.get("detections", []))
        for one, two in zip(reference, found, strict=True)
        for box in one.get("detections", [])
        if box["conf"] > confidence
    ]
    pixels = np.array([apart * 1280 for apart, _ in boxes])
    confidences = np.array([off for _, off in boxes])
    scores = np.array(
        [
            max(
                abs(score - dict(zip(*second.values(), strict=False)).get(label, 0))
                for label, score in zip(first["classes"], first["scores"], strict=True)
            )
            for one, two in zip(reference, found, strict=True)
            if (first := one.get("classifications")) and (second := two.get("classifications"))
        ]
    )
    same = sum(
        (one.get("prediction"), one.get("prediction_source"))
        == (two.get("prediction"), two.get("prediction_source"))
        for one, two in zip(reference, found, strict=True)
    )
    cells = [
        name,
        f"{(pixels <= 2).sum()} of {len(boxes)}",
        f"{np.median(pixels):.2f}" if boxes else "",
        f"{np.median(confidences):.4f}" if boxes else "",
        f"{confidences.max():.4f}" if boxes else "",
        f"{np.median(scores):.5f}" if len(scores) else "",
        f"{scores.max():.5f}" if len(scores) else "",
        f"{same} of {len(reference)}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", required=True)
    parser.add_argument("--folders", required=True)
    parser.add_argument("--country")
    parser.add_argument("--confidence", type=float, default=0.1, help="boxes above it are compared")
    parser.add_argument("--engines", nargs="*", help="only these, such as openvino:bf16")
    options = parser.parse_args()
    chosen = [tuple(e.split(":")) for e in options.engines or [":".join(e) for e in ENGINES]]
    print(
        "| engine | boxes within 2 pixels | median (pixels) | confidence, median | largest "
        "| score, median | largest | same answer |\n|---|---|---|---|---|---|---|---|"
    )
    reference = None
    for engine, precision in chosen:
        found = records_of(options.model, options.folders, options.country, engine, precision)
        reference = reference or found
        print(row(f"{engine} {precision}", reference, found, options.confidence), flush=True)


if __name__ == "__main__":
    main()
