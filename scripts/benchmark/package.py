"""Makes a model package of full size with random weights, for measurements.

    PYTHONPATH=scripts python -m benchmark.package FOLDER

The detector is a YOLOv5x6 (140 M parameters, 3 classes), the classifier an EfficientNetV2-M with 2,498
outputs. All that the detector finds has the same low confidence. The classifier's batch norms are set to
the statistics of one picture, so that its scores are far from uniform.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from demo.train_classifier import save_classifier
from numpy.typing import NDArray
from yolov5_p6 import p6_network, save_yolov5_checkpoint

from speciesnet.engines.tensorflow import import_tensorflow
from speciesnet.images import read_image, to_array
from speciesnet.packages.info import ModelInfo

NAMES = ("animal", "person", "vehicle")
PICTURE = Path(__file__).resolve().parents[2] / "speciesnet" / "demo" / "images"
LOGIT_SPREAD = 1.6  # standard deviation of the last layer's weights: scores far from uniform


def make_package(folder: Path, texts: Path | None = None, seed: int = 1) -> None:
    """Writes the package.

    Args:
        folder: Where to.
        texts: Package whose labels, taxonomy and geofence are used; without it there are made-up
            labels, and the demo's taxonomy and geofence.
        seed: The seed of the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    picture = to_array(read_image(str(next(PICTURE.rglob("*.jpg")))))
    source = ModelInfo(str(texts) if texts else "demo")
    labels = source.read_lines("classifier_labels")
    if texts is None:
        labels += [f"{i:08d}-0000-4000-8000-{i:012d};mammalia;;;;;made-up {i}" for i in range(2485)]
    (folder / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    shutil.copyfile(source.taxonomy, folder / "taxonomy.txt")
    shutil.copyfile(source.geofence, folder / "geofence.json")
    _save_detector(folder / "detector.pt", seed)
    _save_classifier(folder / "classifier.keras", picture, len(labels), seed)
    info = {
        "version": "random-full-size",
        "type": "always_crop",
        "classifier": "classifier.keras",
        "classifier_labels": "labels.txt",
        "detector": "detector.pt",
        "taxonomy": "taxonomy.txt",
        "geofence": "geofence.json",
    }
    (folder / "info.json").write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")


def _save_detector(path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    network = p6_network(len(NAMES), depth=1.33, width=1.25)
    save_yolov5_checkpoint(network.eval(), NAMES, path)


def _save_classifier(path: Path, picture: NDArray[np.uint8], classes: int, seed: int) -> None:
    tf, tf_keras = import_tensorflow()
    tf_keras.utils.set_random_seed(seed)
    model = tf_keras.applications.EfficientNetV2M(
        weights=None, input_shape=(480, 480, 3), classes=classes, classifier_activation=None,
        include_preprocessing=False,
    )  # fmt: skip
    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.momentum = 0.0
    images = tf.image.resize(picture[None], (480, 480)) / 127.5 - 1
    model(tf.concat([images, images[:, ::-1]], 0), training=True)
    weights = model.layers[-1].get_weights()
    spread = np.random.default_rng(seed).normal(0, LOGIT_SPREAD, weights[0].shape)
    model.layers[-1].set_weights([spread.astype(np.float32), weights[1]])
    save_classifier(model, path)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--texts", type=Path, help="package whose labels and rules are used")
    options = parser.parse_args()
    make_package(options.folder, options.texts)


if __name__ == "__main__":
    main()
