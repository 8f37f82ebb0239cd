"""Builds everything in ``speciesnet/files/packages/demo``: model package, sample pictures, model card.

    PYTHONPATH=scripts python -m demo.build --cache CACHE_FOLDER

renders the training pictures (about 1 GB with the cache), trains both networks, measures them on
held-out pictures and writes the package. Everything follows from the seeds in the plans below; an
existing cache is reused. ``--only`` runs only some of the steps.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from demo.background import background_boxes
from demo.dataset import CALIBRATION, HELD_OUT, Example, render_dataset
from demo.evaluate import SHOTS as HELD_SHOTS
from demo.evaluate import SITES as HELD_SITES
from demo.evaluate import as_markdown, evaluate
from demo.facts import LABELS, write_package_texts
from demo.samples import write_samples
from demo.train_classifier import ClassifierPlan, calibrate, save_classifier, train_classifier
from demo.train_detector import (
    DetectorPlan,
    calibrate_detector,
    save_detector,
    small_network,
    train_detector,
)

# Cameras (seeds from 0) that each network is trained with, and pictures of each.
DETECTOR_SITES, CLASSIFIER_SITES, TRAIN_SHOTS = 480, 480, 4
CALIBRATION_SITES = 72
DETECTOR = DetectorPlan()
CLASSIFIER = ClassifierPlan()
STEPS = ("detector", "classifier", "texts", "samples", "card")
DEMO = Path(__file__).resolve().parents[2] / "speciesnet" / "files" / "packages" / "demo"
_CARD = Path(__file__).with_name("MODEL_CARD.template.md")


def training_examples(cache: Path, sites: int, workers: int) -> list[Example]:
    """The training pictures, rendered if necessary."""
    return render_dataset(cache, 0, sites, TRAIN_SHOTS, workers)


def calibration_examples(options: argparse.Namespace) -> list[Example]:
    """The pictures for calibrating both networks' scores, rendered if necessary."""
    return render_dataset(
        options.cache, CALIBRATION, CALIBRATION_SITES, TRAIN_SHOTS, options.workers
    )


def write_card(model: Path, examples: list[Example]) -> str:
    """Measures the package and writes its model card; returns the numbers."""
    numbers = as_markdown(evaluate(examples, model))
    values = {
        "NUMBERS": numbers,
        "HELD_OUT": str(len(examples)),
        "HELD_OUT_SITES": str(HELD_SITES),
        "HELD_OUT_SEED": str(HELD_OUT),
        "DETECTOR_PICTURES": str(DETECTOR_SITES * TRAIN_SHOTS),
        "DETECTOR_SITES": str(DETECTOR_SITES),
        "CLASSIFIER_PICTURES": str(CLASSIFIER_SITES * TRAIN_SHOTS),
        "CLASSIFIER_SITES": str(CLASSIFIER_SITES),
        "DETECTOR_PARAMETERS": f"{sum(p.numel() for p in small_network().parameters()) / 1e6:.2f}",
        "DETECTOR_EPOCHS": str(DETECTOR.epochs),
        "DETECTOR_SEED": str(DETECTOR.seed),
        "CLASSIFIER_EPOCHS": str(CLASSIFIER.epochs),
        "CALIBRATION": str(CALIBRATION_SITES * TRAIN_SHOTS),
        "CALIBRATION_SEED": str(CALIBRATION),
        "CLASSIFIER_SEED": str(CLASSIFIER.seed),
        "DETECTOR_KB": str(round((model / "detector.pt").stat().st_size / 1000)),
        "CLASSIFIER_KB": str(round((model / "classifier.keras").stat().st_size / 1000)),
    }
    text = _CARD.read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace("{{" + key + "}}", value)
    (model / "MODEL_CARD.md").write_bytes(text.encode())
    return numbers


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--cache", type=Path, required=True, help="folder for the rendered pictures"
    )
    parser.add_argument("--only", choices=STEPS, nargs="*", default=list(STEPS), help="steps to do")
    parser.add_argument("--workers", type=int, default=2, help="processes that render")
    options = parser.parse_args()
    model = DEMO / "model"
    start = time.monotonic()

    def done(what: str) -> None:
        print(f"{what}: done after {time.monotonic() - start:.0f} s", flush=True)

    write_package_texts(model)
    if "detector" in options.only:
        examples = training_examples(options.cache, DETECTOR_SITES, options.workers)
        done(f"{len(examples)} pictures for the detector")
        detector = train_detector(examples, DETECTOR)
        factor, shift = calibrate_detector(detector, calibration_examples(options))
        save_detector(detector, model / "detector.pt")
        done(f"detector, objectness scaled by {factor:.2f} and shifted by {shift:.2f}")
    if "classifier" in options.only:
        examples = training_examples(options.cache, CLASSIFIER_SITES, options.workers)
        done(f"{len(examples)} pictures for the classifier")
        background = background_boxes(examples, model / "detector.pt")
        done(f"{sum(map(len, background))} boxes that the detector falls for")
        network = train_classifier(examples, background, LABELS, CLASSIFIER)
        factor = calibrate(network, calibration_examples(options), LABELS, CLASSIFIER.seed)
        save_classifier(network, model / "classifier.keras")
        done(f"classifier, logits scaled by {factor:.2f}")
    if "samples" in options.only:
        done(f"{write_samples(DEMO / 'images')} bytes of sample pictures")
    if "card" in options.only:
        held_out = render_dataset(options.cache, HELD_OUT, HELD_SITES, HELD_SHOTS, options.workers)
        print(write_card(model, held_out))
        done("model card")


if __name__ == "__main__":
    main()
