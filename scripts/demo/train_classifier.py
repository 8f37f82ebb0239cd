"""Trains the demo's classifier with Keras 2 and saves it in the format of Keras 2.15.

The network takes 480x480 pixels and first shrinks them to a third, so that training can run on crops
of 160x160 pixels: the same weights with two input sizes.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from demo.background import Box
from demo.dataset import Example
from speciesnet.engines.tensorflow import import_tensorflow

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

SIZE = 480  # pixels, of the network's input
POOL = 3
CHANNELS = (24, 40, 64, 96, 128)
SMOOTHING = 0.02


@dataclass(frozen=True)
class ClassifierPlan:
    """The training settings.

    Attributes:
        crops: Jittered crops of every object.
        epochs: Passes over the crops.
        batch: Crops in a step.
        rate: Highest learning rate.
        seed: The seed of weights, order and crops.
        threads: CPU threads.
    """

    crops: int = 3
    epochs: int = 12
    batch: int = 32
    rate: float = 2e-3
    seed: int = 2
    threads: int = 2


def make_crop(
    image: NDArray[Any], box: tuple[float, float, float, float], pooled: bool = True
) -> NDArray[Any]:
    """A box (x0, y0, x1, y1) as the classifier sees it: shape (480, 480, 3), (160, 160, 3) if pooled."""
    x0, y0, x1, y1 = (int(v) for v in box)
    patch = image[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    # OpenCV's bilinear resize has half-pixel centers and no antialiasing, like TensorFlow's.
    full = cv2.resize(patch, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    if not pooled:
        return full
    return cv2.resize(full, (SIZE // POOL, SIZE // POOL), interpolation=cv2.INTER_AREA)


def _jittered(
    box: Sequence[float], width: int, height: int, rng: np.random.Generator, amount: float
) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    w, h = x1 - x0, y1 - y0
    dx0, dx1 = rng.normal(0, amount, 2) * w
    dy0, dy1 = rng.normal(0, amount, 2) * h
    left, right = np.clip(x0 + dx0, 0, width - 4), np.clip(x1 + dx1, 4, width)
    top, bottom = np.clip(y0 + dy0, 0, height - 4), np.clip(y1 + dy1, 4, height)
    return float(left), float(top), float(max(right, left + 4)), float(max(bottom, top + 4))


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """The share of the smaller box that overlaps the other one."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(w, 0.0) * max(h, 0.0) / max(smaller, 1e-6)


def crops_of(
    example: Example,
    labels: Sequence[str],
    crops: int,
    rng: np.random.Generator,
    pooled: bool = True,
    background: Sequence[Box] = (),
) -> Iterator[tuple[NDArray[Any], int]]:
    """Crops and class indices of one picture: its objects, and background as blank.

    ``background`` are boxes that must be recognized as blank.
    """
    image = np.asarray(Image.open(example.path).convert("RGB"))

    def crop(box: tuple[float, float, float, float]) -> NDArray[Any]:
        return make_crop(image, box, pooled)

    height, width = image.shape[:2]
    for thing in example.things:
        if thing.visible < 0.3:
            continue
        for k in range(crops):
            amount = 0.0 if k == 0 and crops > 1 else 0.06
            yield (
                crop(_jittered(thing.box, width, height, rng, max(amount, 0.02))),
                labels.index(thing.label),
            )
    blank = labels.index("blank")
    for box in background:
        yield crop(_jittered(box, width, height, rng, 0.02)), blank
    if not example.things:
        yield crop((0, 0, width, height)), blank
        for _ in range(2):
            margin = rng.uniform(0, 0.2, 4)
            left, top = width * margin[0], height * margin[1]
            right, bottom = width * (1 - margin[2]), height * (1 - margin[3])
            yield crop((left, top, right, bottom)), blank
    elif example.label != "blank" and rng.random() < 0.25 and len(example.things) == 1:
        # A missed detection shows the whole picture to the classifier, which may still know it.
        box = example.things[0].box
        if (box[2] - box[0]) * (box[3] - box[1]) > 0.03 * width * height:
            yield crop((0, 0, width, height)), labels.index(example.label)
    for _ in range(2 if not example.things else 1):
        w = width * float(np.exp(rng.uniform(np.log(0.03), np.log(0.5))))
        h = min(w * float(rng.uniform(0.5, 1.8)), 0.9 * height)
        x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
        box = (x, y, x + w, y + h)
        if all(_overlap(box, thing.box) < 0.1 for thing in example.things) and (
            not example.things or rng.random() < 0.4
        ):
            yield crop(box), blank


def make_crops(
    examples: Sequence[Example],
    labels: Sequence[str],
    crops: int,
    seed: int,
    pooled: bool = True,
    background: Sequence[Sequence[Box]] = (),
) -> tuple[NDArray[Any], NDArray[Any]]:
    """All crops, shape (n, 160, 160, 3) if pooled, and their class indices."""
    pictures, classes = [], []
    for i, example in enumerate(examples):
        rng = np.random.default_rng([seed, i])
        boxes = background[i] if background else ()
        for crop, index in crops_of(example, labels, crops, rng, pooled, boxes):
            pictures.append(crop)
            classes.append(index)
    return np.stack(pictures), np.array(classes)


def build_network(classes: int, size: int, pooled: bool) -> Any:
    """The network for inputs (batch, size, size, 3) in [0, 1]; ``pooled`` shrinks them first."""
    from tf_keras import Model, layers

    inputs = layers.Input((size, size, 3), name="input_1")
    x = layers.Rescaling(2.0, -1.0, name="rescaling")(inputs)
    if pooled:
        x = layers.AveragePooling2D(POOL, name="shrink")(x)
    for i, channels in enumerate(CHANNELS):
        kernel = 5 if i == 0 else 3
        x = layers.Conv2D(channels, kernel, 2, "same", use_bias=False, name=f"down_{i}")(x)
        x = layers.BatchNormalization(name=f"down_{i}_norm")(x)
        x = layers.Activation("swish", name=f"down_{i}_act")(x)
        if i >= 2:
            y = layers.Conv2D(channels, 3, 1, "same", use_bias=False, name=f"same_{i}")(x)
            y = layers.BatchNormalization(name=f"same_{i}_norm")(y)
            y = layers.Activation("swish", name=f"same_{i}_act")(y)
            x = layers.Add(name=f"add_{i}")([x, y])
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    outputs = layers.Dense(classes, name="logits")(x)
    return Model(inputs, outputs, name="model")


def train_classifier(
    examples: Sequence[Example],
    background: Sequence[Sequence[Box]],
    labels: Sequence[str],
    plan: ClassifierPlan,
    report: bool = True,
) -> Any:
    """Trains from scratch; returns the network for 480x480 inputs, whose outputs are logits.

    ``background`` are boxes of each picture that have to be known as blank.
    """
    tf, tf_keras = import_tensorflow()
    tf.config.threading.set_intra_op_parallelism_threads(plan.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf_keras.utils.set_random_seed(plan.seed)
    pictures, classes = make_crops(examples, labels, plan.crops, plan.seed, True, background)
    if report:
        print(f"classifier: {len(pictures)} crops, {np.bincount(classes).tolist()}", flush=True)
    network = build_network(len(labels), SIZE // POOL, pooled=False)
    steps = int(np.ceil(len(pictures) / plan.batch))
    schedule = tf_keras.optimizers.schedules.CosineDecay(
        1e-5, steps * (plan.epochs - 1), 1e-2, warmup_target=plan.rate, warmup_steps=steps
    )
    optimizer = tf_keras.optimizers.AdamW(schedule, weight_decay=0.01)  # type: ignore[arg-type]
    counts = np.bincount(classes, minlength=len(labels))
    weights = tf.constant((counts.mean() / np.maximum(counts, 1)) ** 0.5, tf.float32)

    @tf.function(jit_compile=False)
    def step(images: Any, wanted: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = network(images, training=True)
            target = tf.one_hot(wanted, len(labels))
            target = target * (1 - SMOOTHING) + SMOOTHING / len(labels)
            loss = tf.nn.softmax_cross_entropy_with_logits(target, logits) * tf.gather(
                weights, wanted
            )
            loss = tf.reduce_mean(loss)
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        right = tf.reduce_mean(tf.cast(tf.argmax(logits, 1) == wanted, tf.float32))
        return loss, right

    rng = np.random.default_rng([plan.seed, 71])
    for epoch in range(plan.epochs):
        order = rng.permutation(len(pictures))
        losses, rights = [], []
        for first in range(0, len(order), plan.batch):
            index = order[first : first + plan.batch]
            loss, right = step(_augmented(pictures[index], rng), classes[index])
            losses.append(float(loss))
            rights.append(float(right))
        if report:
            state = f"loss {np.mean(losses):.4f}, right {np.mean(rights):.4f}"
            print(f"classifier: epoch {epoch + 1}, {state}", flush=True)
    final = build_network(len(labels), SIZE, pooled=True)
    final.set_weights(network.get_weights())
    return final


def calibrate(network: Any, examples: Sequence[Example], labels: Sequence[str], seed: int) -> float:
    """Scales the logits so that the probabilities fit pictures that were not used in training.

    Returns:
        The factor under which the right answers are most likely.
    """
    pictures, classes = make_crops(examples, labels, 1, seed, pooled=False)
    logits = np.concatenate(
        [
            np.asarray(network(pictures[i : i + 16].astype(np.float32) / 255))
            for i in range(0, len(pictures), 16)
        ]
    ).astype(np.float64)

    def surprise(factor: float) -> float:
        scaled = logits * factor
        total = np.log(np.exp(scaled - scaled.max(1, keepdims=True)).sum(1)) + scaled.max(1)
        return float(np.mean(total - scaled[np.arange(len(classes)), classes]))

    factor = float(min(np.arange(0.5, 4.01, 0.05), key=surprise))
    layer = network.get_layer("logits")
    layer.set_weights([weight * factor for weight in layer.get_weights()])
    return factor


def _augmented(images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Mirrored, brightened, shifted and softened copies in [0, 1]."""
    batch = images.astype(np.float32) / 255
    for i in range(len(batch)):
        if rng.random() < 0.5:
            batch[i] = batch[i, :, ::-1]
        if rng.random() < 0.15:
            batch[i] = batch[i].mean(-1, keepdims=True)
        if rng.random() < 0.5:
            matrix = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
            matrix[0, 0], matrix[1, 1] = rng.uniform(0.88, 1.12, 2)
            matrix[:, 2] = rng.uniform(-9, 9, 2)
            batch[i] = cv2.warpAffine(
                batch[i], matrix, batch[i].shape[1::-1], borderMode=cv2.BORDER_REFLECT
            )
        if rng.random() < 0.2:
            batch[i] = cv2.GaussianBlur(batch[i], (0, 0), float(rng.uniform(0.4, 1.4)))
    gain = rng.uniform(0.7, 1.3, (len(batch), 1, 1, 1)).astype(np.float32)
    shift = rng.uniform(-0.07, 0.07, (len(batch), 1, 1, 1)).astype(np.float32)
    return np.clip(batch * gain + shift, 0, 1)


def save_classifier(network: Any, path: Path) -> None:
    """Writes the network as Keras 2.15 would: its module names and its version, fixed times."""
    draft = path.with_suffix(".draft.keras")
    network.save(draft)
    with (
        zipfile.ZipFile(draft) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            content = source.read(name)
            if name == "config.json":
                content = json.dumps(_renamed(json.loads(content))).encode()
            elif name == "metadata.json":
                content = json.dumps(
                    {"keras_version": "2.15.0", "date_saved": "2024-01-01@00:00:00"}
                ).encode()
            target.writestr(
                zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED
            )
    draft.unlink()


def _renamed(node: Any) -> Any:
    """The configuration with Keras 2.15's module names, without keys that it does not know."""
    if isinstance(node, dict):
        return {
            key: value.replace("tf_keras", "keras", 1)
            if key == "module" and isinstance(value, str)
            else _renamed(value)
            for key, value in node.items()
            if key not in ("compile_config", "optional")
        }
    return [_renamed(item) for item in node] if isinstance(node, list) else node
