"""Random networks and packages in the published formats."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from fuzz.files import keras_archive
from yolov5_p6 import p6_network, save_yolov5_checkpoint

from speciesnet.engines.yolov5 import Conv, Detect, DetectionModel
from speciesnet.files.packages.info import ModelInfo

NAMES = ["animal", "person", "vehicle"]
CLASSES = 2498


def small_network(seed: int = 0) -> DetectionModel:
    """A P6 network of 0.8 million random parameters, with batch norms that change their input."""
    torch.manual_seed(seed)
    network = p6_network(len(NAMES), depth=0.33, width=0.125)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return network.eval()


def tiny_network(seed: int = 0) -> DetectionModel:
    """A network of three convolutions, which is converted in a fraction of a second."""
    torch.manual_seed(seed)
    anchors, stride = torch.tensor([[[2.0, 3.0], [4.0, 4.0], [6.0, 5.0]]]), torch.tensor([8.0])
    convolutions = [Conv(3, 8, 6, 2, 2), Conv(8, 8, 3, 2), Conv(8, 8, 3, 2)]
    head = Detect(len(NAMES), anchors, stride, [8])
    return DetectionModel([*convolutions, head], [-1, -1, -1, [2]]).eval()


def save_small_package(folder: Path, kind: str = "always_crop", seed: int = 0) -> None:
    """Writes a package with small random networks, 2,498 labels, and the rules of the demo model."""
    folder.mkdir(parents=True)
    demo = ModelInfo("demo")
    labels = demo.read_lines("classifier_labels")
    missing = range(CLASSES - len(labels))
    labels += [f"{i:08d}-0000-4000-8000-{i:012d};mammalia;;;;;made-up {i}" for i in missing]
    (folder / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    shutil.copyfile(demo.taxonomy, folder / "taxonomy.txt")
    shutil.copyfile(demo.geofence, folder / "geofence.json")
    save_yolov5_checkpoint(small_network(seed), NAMES, folder / "detector.pt")
    _save_classifier(folder / "classifier.keras", seed)
    info = {
        "version": "made-up",
        "type": kind,
        "classifier": "classifier.keras",
        "classifier_labels": "labels.txt",
        "detector": "detector.pt",
        "taxonomy": "taxonomy.txt",
        "geofence": "geofence.json",
    }
    (folder / "info.json").write_text(json.dumps(info), encoding="utf-8")


def _save_classifier(path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    weights = {
        "conv2d": [random.uniform(-0.08, 0.08, (16, 16, 3, 16)), np.zeros(16)],
        "batch_normalization": [np.full(16, number, np.float64) for number in (1, 0, 0, 1)],
        "dense": [random.normal(0, 20, (16, CLASSES)), np.zeros(CLASSES)],
    }
    path.write_bytes(keras_archive(weights))
