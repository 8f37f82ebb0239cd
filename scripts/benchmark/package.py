"""Creates a full-size model package with random weights, for measurements.

    PYTHONPATH=scripts python -m benchmark.package FOLDER [--onnx2torch]

The detector is a YOLOv5x6 (140 M parameters, 3 classes), the classifier an EfficientNetV2-M with
2,498 outputs. Everything that the detector finds has the same low confidence. The classifier's batch
norms are set to the statistics of one picture, so that its scores are far from uniform.
``--onnx2torch`` saves the same classifier as a module of onnx2torch, the only kind that the published
program has read since 5.0.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnx2torch
import torch
from demo.train_classifier import save_classifier
from numpy.typing import NDArray
from yolov5_p6 import p6_network, save_yolov5_checkpoint

from speciesnet.engines.keras_torch import read_keras_network
from speciesnet.engines.tensorflow import import_tensorflow
from speciesnet.files.packages.info import ModelInfo
from speciesnet.images.decoding import read_image, to_array

NAMES = ("animal", "person", "vehicle")
PICTURE = (
    Path(__file__).resolve().parents[2] / "speciesnet" / "files" / "packages" / "demo" / "images"
)
LOGIT_SPREAD = 1.6  # standard deviation of the last layer's weights: scores far from uniform


class _Published(torch.nn.Module):
    """A classifier that takes images as the published program gives them: (batch, 480, 480, 3)."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self._network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self._network(images.permute(0, 3, 1, 2))


def make_package(
    folder: Path, texts: Path | None = None, seed: int = 1, uses_onnx2torch: bool = False
) -> None:
    """Writes the package.

    Args:
        folder: Where to write it.
        texts: The package whose labels, taxonomy and geofence are used; None uses made-up labels and
            the demo's taxonomy and geofence.
        seed: The seed of the weights.
        uses_onnx2torch: Whether the classifier is a module of onnx2torch.
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
    classifier = folder / "classifier.keras"
    if uses_onnx2torch:
        classifier = _as_onnx2torch(classifier)
    info = {
        "version": "random-full-size",
        "type": "always_crop",
        "classifier": classifier.name,
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


def _as_onnx2torch(keras_file: Path) -> Path:
    """Replaces a Keras file by the same network as a module of onnx2torch."""
    graph = keras_file.with_suffix(".onnx")
    example = torch.zeros(1, 480, 480, 3)
    torch.onnx.export(
        _Published(read_keras_network(keras_file)).eval(),
        (example,),
        str(graph),
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        opset_version=13,
        dynamo=False,
    )
    path = keras_file.with_suffix(".pt")
    torch.save(onnx2torch.convert(_with_own_weights(onnx.load(graph))), path)
    graph.unlink()
    keras_file.unlink()
    return path


def _with_own_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Undoes the sharing of equal weights by PyTorch's exporter, which onnx2torch cannot read."""
    graph = model.graph
    weights = {weight.name: weight for weight in graph.initializer}
    shared = [
        node for node in graph.node if node.op_type == "Identity" and node.input[0] in weights
    ]
    for node in shared:
        copy = graph.initializer.add()
        copy.CopyFrom(weights[node.input[0]])
        copy.name = node.output[0]
        graph.node.remove(node)
    return model


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--texts", type=Path, help="package whose labels and rules are used")
    parser.add_argument("--onnx2torch", action="store_true", help="for the published 5.x")
    options = parser.parse_args()
    make_package(options.folder, options.texts, uses_onnx2torch=options.onnx2torch)


if __name__ == "__main__":
    main()
