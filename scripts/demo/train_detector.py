"""Trains the demo's detector: a very small YOLOv5 network of two scales.

To learn quickly from few pictures, the first three layers are fixed: they shrink the picture to a
quarter and place 2x2 of its pixels side by side. Training therefore needs only small pictures, of 320
pixels instead of the program's 1280. No object in the demo's scenes is smaller than 80 of these 1280
pixels, so cells of 32 and 64 pixels find them all. In addition to boxes, the network learns through a
temporary head which cells are inside an object.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from yolov5_p6 import save_yolov5_checkpoint

from demo.dataset import Example
from speciesnet.detector import letterbox
from speciesnet.engines.yolov5 import C3, SPPF, Concat, Conv, Detect, DetectionModel

NAMES = ("animal", "person", "vehicle")
SHRINKAGE = 4  # by the layers that are not learned
LONG_SIDE = 1280 // SHRINKAGE  # pixels, of a training picture
ZOOMS = (0.75, 1.2)  # of a picture, at random
PAD = 114
CANVAS = (256, 320)  # rows, columns; multiples of the largest stride after shrinking
# Pixels pass the first two layers as 10 to 30, where SiLU changes nothing.
LIFT, GAIN = 10.0, 20.0
FIXED_LAYERS = 3
STRIDES = (32.0, 64.0)
# Width and height in pixels of the three anchors of each scale: k-means of the training boxes.
ANCHORS = (((129, 92), (77, 190), (228, 154)), ((152, 407), (368, 255), (570, 433)))
# Weights of the loss, and how much less it minds what is nearly right.
BOX_GAIN, OBJECT_GAIN, CLASS_GAIN = 1.0, 1.0, 0.5
MASK_GAIN = 0.5
FOCUS = 2.0
# A found object's objectness is trained toward this plus the rest times its IoU.
BASE_CONFIDENCE = 0.6
SEEN, SURE = 0.2, 0.9  # confidences; below the first one, the ensemble ignores boxes
# An anchor takes an object whose sides are up to so many times longer or shorter.
ANCHOR_RATIO = 2.5


@dataclass(frozen=True)
class DetectorPlan:
    """The training settings.

    Attributes:
        epochs: Passes over the pictures.
        batch: Pictures in a step.
        rate: Highest learning rate.
        seed: The seed of weights, order and windows.
        threads: CPU threads.
    """

    epochs: int = 40
    batch: int = 8
    rate: float = 3e-3
    seed: int = 1
    threads: int = 2


def read_pictures(examples: Sequence[Example]) -> list[tuple[NDArray[Any], float]]:
    """All pictures in memory, 320 pixels on the longest side, with the factor to that size."""
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        return list(executor.map(_read_scaled, [example.path for example in examples]))


def _read_scaled(path: Path) -> tuple[NDArray[Any], float]:
    with Image.open(path) as file:
        image = np.asarray(file.convert("RGB"))
    ratio = LONG_SIDE / max(image.shape[:2])
    if ratio != 1:
        size = (round(image.shape[1] * ratio), round(image.shape[0] * ratio))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return image, ratio


class Pictures(Dataset):
    """Training pictures: uint8 (3, rows, columns), and boxes (objects, 5).

    A row of the boxes is class, x and y of the center, width and height in pixels.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        pictures: Sequence[tuple[NDArray[Any], float]],
        seed: int,
    ) -> None:
        self.examples = examples
        self.pictures = pictures
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([self.seed, self.epoch, index])
        image, ratio = self.pictures[index]
        boxes, classes = _truth(self.examples[index])
        image, boxes = _placed(image, boxes * np.float32(ratio), CANVAS, rng)
        image, boxes = _mirrored(image, boxes, rng)
        kept, boxes = _clipped(boxes, image.shape[1], image.shape[0])
        image = _recoloured(np.ascontiguousarray(image), rng)
        middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        labels = np.concatenate([classes[kept][:, None], middle, size], 1).astype(np.float32)
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(labels)


def _truth(example: Example) -> tuple[NDArray[Any], NDArray[Any]]:
    """Boxes (objects, 4) as x0, y0, x1, y1 in pixels of the file, and class indices."""
    boxes = np.array([thing.box for thing in example.things], np.float32).reshape(-1, 4)
    return boxes, np.array([NAMES.index(thing.category) for thing in example.things], np.int64)


def _placed(
    image: NDArray[Any], boxes: NDArray[Any], canvas: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """A slightly larger or smaller picture on a canvas, usually with an object in view."""
    zoom = np.float32(rng.uniform(*ZOOMS))
    size = (round(image.shape[1] * zoom), round(image.shape[0] * zoom))
    image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    boxes = boxes * zoom
    focus = boxes[rng.integers(len(boxes))] if len(boxes) and rng.random() < 0.85 else None
    shown = np.full((*canvas, 3), PAD, np.uint8)
    start, place = [0, 0], [0, 0]  # rows, columns: in the picture, on the canvas
    for axis in (0, 1):
        spare = image.shape[axis] - canvas[axis]
        if spare <= 0:
            place[axis] = round(rng.uniform(0, -spare))
        elif focus is None:
            start[axis] = round(rng.uniform(0, spare))
        else:
            low, high = focus[3 - axis] - canvas[axis], focus[1 - axis]
            start[axis] = round(np.clip(rng.uniform(min(low, high), max(low, high)), 0, spare))
    part = image[start[0] : start[0] + canvas[0], start[1] : start[1] + canvas[1]]
    shown[place[0] : place[0] + part.shape[0], place[1] : place[1] + part.shape[1]] = part
    move = [place[1] - start[1], place[0] - start[0]] * 2
    return shown, (boxes + np.array(move)).astype(np.float32)


def _mirrored(
    image: NDArray[Any], boxes: NDArray[Any], rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    if rng.random() < 0.5:
        image = image[:, ::-1]
        boxes = boxes.copy()
        boxes[:, [0, 2]] = image.shape[1] - boxes[:, [2, 0]]
    return image, boxes


def _clipped(boxes: NDArray[Any], width: int, height: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Boxes clipped to the window, without those of which too little is left."""
    cut = boxes.copy()
    cut[:, [0, 2]] = cut[:, [0, 2]].clip(0, width)
    cut[:, [1, 3]] = cut[:, [1, 3]].clip(0, height)
    left = (cut[:, 2:] - cut[:, :2]).prod(1) / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1)
    kept = (left > 0.2) & (cut[:, 2:] - cut[:, :2] > 2).all(1)
    return kept, cut[kept]


def _recoloured(image: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    if rng.random() < 0.1:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    gain, shift = rng.uniform(0.75, 1.25), rng.uniform(-18, 18)
    table = np.clip(np.arange(256) * gain + shift, 0, 255).astype(np.uint8)
    return cv2.LUT(image, table)


def collate(samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Images (batch, 3, rows, columns) and boxes (objects, 6), which start with the image's index."""
    labels = [
        torch.cat([torch.full((len(boxes), 1), float(i)), boxes], 1)
        for i, (_, boxes) in enumerate(samples)
    ]
    return torch.stack([image for image, _ in samples]), torch.cat(labels)


@dataclass(frozen=True)
class Matches:
    """Anchors of one scale that must predict an object: indices, and the targets."""

    image: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor
    box: Tensor
    category: Tensor


def match(labels: Tensor, anchors: Tensor, stride: float, rows: int, columns: int) -> Matches:
    """Assigns objects to anchors of similar shape in the cell of their center and two neighbors.

    Args:
        labels: Shape (objects, 6): image, class, x, y, width, height in pixels.
        anchors: Shape (anchors, 2), in cells.
        stride: Pixels per cell.
        rows: Cells of the grid.
        columns: Cells of the grid.
    """
    cells = labels[:, 2:] / stride
    ratio = cells[None, :, 2:] / anchors[:, None]
    similar = torch.maximum(ratio, 1 / ratio).amax(2) < ANCHOR_RATIO
    anchor, index = similar.nonzero(as_tuple=True)
    centre = cells[index, :2]
    inside = centre % 1
    size = torch.tensor([columns, rows])
    steps = [torch.zeros_like(centre)]
    chosen = [torch.ones(len(centre), dtype=torch.bool)]
    for axis in (0, 1):
        for direction in (-1.0, 1.0):
            step = torch.zeros_like(centre)
            step[:, axis] = direction
            near = inside[:, axis] < 0.5 if direction < 0 else inside[:, axis] >= 0.5
            target = centre[:, axis].floor() + direction
            steps.append(step)
            chosen.append(near & (target >= 0) & (target < size[axis]))
    picked = torch.stack(chosen)
    which, position = picked.nonzero(as_tuple=True)
    cell = centre[position].floor() + torch.stack(steps)[which, position]
    column = cell[:, 0].clamp(0, columns - 1).long()
    row = cell[:, 1].clamp(0, rows - 1).long()
    index = index[position]
    return Matches(
        labels[index, 0].long(),
        anchor[position],
        row,
        column,
        cells[index],
        labels[index, 1].long(),
    )


def complete_iou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and complete IoU of boxes (n, 4) given as x, y of the center, width, height."""
    a0, a1 = a[:, :2] - a[:, 2:] / 2, a[:, :2] + a[:, 2:] / 2
    b0, b1 = b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2
    overlap = (torch.minimum(a1, b1) - torch.maximum(a0, b0)).clamp(0).prod(1)
    union = a[:, 2:].prod(1) + b[:, 2:].prod(1) - overlap + 1e-7
    iou = overlap / union
    hull = torch.maximum(a1, b1) - torch.minimum(a0, b0)
    apart = ((a[:, :2] - b[:, :2]) ** 2).sum(1) / ((hull**2).sum(1) + 1e-7)
    skew = (
        (torch.atan(b[:, 2] / b[:, 3]) - torch.atan(a[:, 2] / (a[:, 3] + 1e-7))) ** 2
        * 4
        / math.pi**2
    )
    with torch.no_grad():
        weight = skew / (1 - iou + skew + 1e-7)
    return iou, iou - apart - weight * skew


def detection_loss(head: Detect, logits: list[Tensor], labels: Tensor) -> Tensor:
    """The loss of a batch: complete IoU of boxes, focal objectness, cross-entropy of classes.

    Objectness is divided by the number of cells with an object, not by the number of all cells, and
    cells that are already right count little: otherwise the empty cells would dominate.
    """
    boxes = classes = objectness = torch.zeros(())
    cells = 0
    for i, scale in enumerate(logits):
        scale = scale.float()
        rows, columns = scale.shape[2:4]
        wanted = torch.zeros(scale.shape[:4])
        if len(labels):
            m = match(labels, head.anchors[i], float(head.stride[i]), rows, columns)
            if len(m.image):
                cells += len(m.image)
                found = scale[m.image, m.anchor, m.row, m.column]
                corner = torch.stack([m.column, m.row], 1).float()
                centre = found[:, :2].sigmoid() * 2 - 0.5 + corner
                size = (found[:, 2:4].sigmoid() * 2) ** 2 * head.anchors[i][m.anchor]
                iou, score = complete_iou(torch.cat([centre, size], 1), m.box)
                boxes = boxes + (1 - score).sum()
                target = BASE_CONFIDENCE + (1 - BASE_CONFIDENCE) * iou.detach().clamp(0)
                wanted[m.image, m.anchor, m.row, m.column] = target
                category = functional.one_hot(m.category, head.nc).float()
                classes = classes + functional.binary_cross_entropy_with_logits(
                    found[:, 5:], category, reduction="sum"
                )
        surprise = (scale[..., 4].detach().sigmoid() - wanted).abs() ** FOCUS
        objectness = objectness + functional.binary_cross_entropy_with_logits(
            scale[..., 4], wanted, surprise, reduction="sum"
        )
    weighted = BOX_GAIN * boxes + CLASS_GAIN * classes + OBJECT_GAIN * objectness
    return weighted / max(cells, 1)


def small_network() -> DetectionModel:
    """The network, with fixed first layers and random weights in the others."""
    layout: list[tuple[nn.Module, int | list[int]]] = [
        (Conv(3, 8, 6, 2, 2), -1),
        (Conv(8, 8, 3, 2), -1),
        (Conv(8, 16, 3, 2), -1),  # 2: cells of 8 pixels
        (Conv(16, 48, 3, 2), -1),
        (C3(48, 48, 1), -1),  # 4: 16 pixels
        (Conv(48, 96, 3, 2), -1),
        (C3(96, 96, 2), -1),  # 6: 32 pixels
        (Conv(96, 160, 3, 2), -1),
        (C3(160, 160, 2), -1),
        (SPPF(160, 160), -1),
        (Conv(160, 96, 1), -1),  # 10: 64 pixels
        (nn.Upsample(None, 2, "nearest"), -1),
        (Concat(), [-1, 6]),
        (C3(192, 96, 1, shortcut=False), -1),  # 13: what is found in cells of 32 pixels
        (Conv(96, 96, 3, 2), -1),
        (Concat(), [-1, 10]),
        (C3(192, 160, 1, shortcut=False), -1),  # 16: ... of 64 pixels
    ]
    strides = torch.tensor(STRIDES)
    anchors = torch.tensor(ANCHORS, dtype=torch.float32) / strides.view(-1, 1, 1)
    detect = Detect(len(NAMES), anchors, strides, [96, 160])
    for head in detect.m:
        bias = cast("Tensor", head.bias).detach().view(detect.na, -1)
        bias[:, 4] = -4.0  # few cells contain an object
    layers, inputs = zip(*layout, strict=True)
    network = DetectionModel([*layers, detect], [*inputs, [13, 16]])
    _fix_first_layers(network)
    return network


def _fix_first_layers(network: DetectionModel) -> None:
    """Layers 0 and 1 average 2x2 pixels; layer 2 places 2x2 pixels side by side."""
    stem, second, third = fixed = cast("Sequence[Conv]", network.model[:FIXED_LAYERS])
    for layer in fixed:
        nn.init.zeros_(layer.conv.weight)
        nn.init.constant_(layer.bn.bias, LIFT)
    with torch.no_grad():
        for colour in range(3):
            stem.conv.weight[colour, colour, 2:4, 2:4] = GAIN / 4
            second.conv.weight[colour, colour, 1:3, 1:3] = 1 / 4
            second.bn.bias[colour] = 0
            for pixel in range(4):
                channel = 4 * colour + pixel
                third.conv.weight[channel, colour, 1 + pixel // 2, 1 + pixel % 2] = 1
                third.bn.bias[channel] = -LIFT / 2
    for parameter in network.model[:FIXED_LAYERS].parameters():
        parameter.requires_grad_(False)


def learnt_part(network: DetectionModel) -> DetectionModel:
    """The layers after the fixed ones, as a network that shares their weights."""

    def moved(f: int | list[int]) -> int | list[int]:
        if isinstance(f, list):
            return [j if j == -1 else j - FIXED_LAYERS for j in f]
        return f if f == -1 else f - FIXED_LAYERS

    inputs = [moved(f) for f in network.inputs[FIXED_LAYERS:]]
    return DetectionModel(list(network.model[FIXED_LAYERS:]), inputs)


def shrunken(network: DetectionModel, images: Tensor) -> Tensor:
    """What the fixed layers would output for pictures four times this size."""
    third = network.model[FIXED_LAYERS - 1].eval()
    lifted = torch.full((len(images), third.conv.in_channels, *images.shape[2:]), LIFT)  # type: ignore
    lifted[:, :3] += images.float() * (GAIN / 255)
    with torch.no_grad():
        return third(lifted.contiguous(memory_format=torch.channels_last))


class MaskHead(nn.Module):
    """Predicts which categories cover each cell of each scale; only for training."""

    def __init__(self, network: DetectionModel) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Conv2d(cast("nn.Conv2d", m).in_channels, len(NAMES), 1) for m in network.detect.m
        )
        self._features: list[Tensor] = []
        network.detect.register_forward_pre_hook(self._remember)

    def _remember(self, module: nn.Module, inputs: tuple[list[Tensor]]) -> None:
        self._features = inputs[0]

    def forward(self) -> list[Tensor]:
        """Logits (batch, categories, rows, columns) of each scale, for the network's last batch."""
        return [h(x.float()) for h, x in zip(self.heads, self._features, strict=True)]


def mask_loss(logits: list[Tensor], strides: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy of cells centered in a box, and of empty cells with the same total weight."""
    total = torch.zeros(())
    for scale, stride in zip(logits, strides.tolist(), strict=True):
        rows, columns = scale.shape[2:]
        y = (torch.arange(rows) + 0.5).mul(stride)[:, None]
        x = (torch.arange(columns) + 0.5).mul(stride)[None, :]
        wanted = torch.zeros_like(scale)
        for image, category, cx, cy, width, height in labels.tolist():
            inside = ((x - cx).abs() < width / 2) & ((y - cy).abs() < height / 2)
            wanted[int(image), int(category)][inside] = 1
        losses = functional.binary_cross_entropy_with_logits(scale, wanted, reduction="none")
        full = wanted.sum().clamp(1)
        total = (
            total
            + (losses * wanted).sum() / full
            + (losses * (1 - wanted)).sum() / ((1 - wanted).sum())
        )
    return total * MASK_GAIN


class Average:
    """A running average of a network's weights, which is kept in the end."""

    def __init__(self, network: DetectionModel, decay: float = 0.998) -> None:
        self.network = copy.deepcopy(network).eval()
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, network: DetectionModel) -> None:
        """Moves the average slightly toward the network."""
        self.steps += 1
        decay = self.decay * (1 - math.exp(-self.steps / 150))
        current = network.state_dict()
        for name, value in self.network.state_dict().items():
            if value.dtype.is_floating_point:
                value.mul_(decay).add_(current[name].detach(), alpha=1 - decay)
            else:
                value.copy_(current[name])


def train_detector(
    examples: Sequence[Example],
    plan: DetectorPlan,
    report: bool = True,
    snapshot: Path | None = None,
) -> DetectionModel:
    """Trains from scratch and returns the averaged network, ready to be saved."""
    torch.manual_seed(plan.seed)
    torch.set_num_threads(plan.threads)
    torch.set_flush_denormal(True)  # SiLU makes many, and they cost tenfold
    pictures = read_pictures(examples)
    network = small_network().to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    rest = learnt_part(network)
    average = Average(network)
    masks = MaskHead(network)
    parameters = [*rest.parameters(), *masks.parameters()]
    decayed = [p for p in parameters if p.ndim > 1]
    plain = [p for p in parameters if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}],
        lr=plan.rate,
    )
    shown = Pictures(examples, pictures, plan.seed)
    steps = math.ceil(len(shown) / plan.batch) * plan.epochs
    step = 0
    for epoch in range(plan.epochs):
        shown.epoch = epoch
        loader = DataLoader(
            shown,
            plan.batch,
            shuffle=True,
            collate_fn=collate,
            generator=torch.Generator().manual_seed(plan.seed * 1000 + epoch),
        )
        running = 0.0
        for images, labels in loader:
            share = step / steps
            rate = plan.rate * min(step / 100, 1) * (0.02 + 0.49 * (1 + math.cos(math.pi * share)))
            for group in optimizer.param_groups:
                group["lr"] = rate
            with torch.autocast("cpu", torch.bfloat16):
                logits = rest(shrunken(network, images))
            labels[:, 2:] *= SHRINKAGE
            loss = detection_loss(network.detect, logits, labels)
            loss = loss + mask_loss(masks(), network.detect.stride, labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 10.0)
            optimizer.step()
            average.update(network)
            value = float(loss.detach())
            running = 0.98 * running + 0.02 * value if running else value
            step += 1
        if report:
            print(f"detector: epoch {epoch + 1}, loss {running:.4f}", flush=True)
        if snapshot:
            save_detector(average.network, snapshot)
    return average.network


def calibrate_detector(network: DetectionModel, examples: Sequence[Example]) -> tuple[float, float]:
    """Scales objectness so that confidences suit the thresholds of the program.

    The focal loss makes them too low. The logit that best separates images with an object from empty
    ones becomes a confidence of ``SEEN``, and the median logit of images with an object becomes
    ``SURE``.

    Args:
        network: The network, which is changed.
        examples: Pictures that were not used in training.

    Returns:
        Factor and shift of the logits.
    """
    network = network.float().eval()
    logits, objects = [], []
    for example in examples:
        with Image.open(example.path) as file:
            fitted = letterbox(np.asarray(file.convert("RGB")), LONG_SIDE * SHRINKAGE, 64)
        with torch.inference_mode():
            batch = torch.from_numpy(fitted).permute(2, 0, 1)[None].float() / 255
            raw = network.detect.decode(network(batch))[0].double()
        logits.append(float((raw[:, 4] * raw[:, 5:].amax(1)).max().logit()))
        objects.append(bool(example.things))
    found, truth = np.array(logits), np.array(objects)
    thresholds = np.arange(-4, 4, 0.05)
    right = np.array([((found > t) == truth).sum() for t in thresholds])
    threshold = float(np.median(thresholds[right == right.max()]))
    low, high = math.log(SEEN / (1 - SEEN)), math.log(SURE / (1 - SURE))
    factor = (high - low) / (float(np.median(found[truth])) - threshold)
    shift = low - threshold * factor
    with torch.no_grad():
        for head in network.detect.m:
            weight, bias = cast("Tensor", head.weight), cast("Tensor", head.bias)
            objectness = slice(4, None, network.detect.no)
            weight[objectness] *= factor
            bias[objectness] = bias[objectness] * factor + shift
    return factor, shift


def save_detector(network: DetectionModel, path: Path) -> None:
    """Writes the network as a YOLOv5 checkpoint."""
    save_yolov5_checkpoint(copy.deepcopy(network), NAMES, path)
