"""The YOLOv5 network: the modules of MegaDetector v5.

Layer names and attributes are those of YOLOv5 checkpoints, so that the tensors of a checkpoint load
by name (see ``checkpoint``). Only the modules of the v6.0 architecture are implemented.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Conv(nn.Module):
    """Convolution, batch norm, SiLU."""

    def __init__(self, c1: int, c2: int, k: int = 1, s: int = 1, p: int | None = None) -> None:
        super().__init__()
        padding = k // 2 if p is None else p
        self.conv = nn.Conv2d(c1, c2, k, s, padding, bias=False)
        self.bn = nn.BatchNorm2d(c2, eps=1e-3, momentum=0.03)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    """1x1 and 3x3 convolutions with an optional residual connection."""

    def __init__(self, c1: int, c2: int, hidden: int, shortcut: bool = True) -> None:
        super().__init__()
        self.cv1 = Conv(c1, hidden, 1)
        self.cv2 = Conv(hidden, c2, 3)
        self.add = shortcut and c1 == c2

    def forward(self, x: Tensor) -> Tensor:
        y = self.cv2(self.cv1(x))
        return x + y if self.add else y


class C3(nn.Module):
    """Cross-stage partial block: ``n`` bottlenecks parallel to a 1x1 shortcut."""

    def __init__(self, c1: int, c2: int, n: int = 1, shortcut: bool = True) -> None:
        super().__init__()
        hidden = c2 // 2
        self.cv1 = Conv(c1, hidden, 1)
        self.cv2 = Conv(c1, hidden, 1)
        self.cv3 = Conv(2 * hidden, c2, 1)
        self.m = nn.Sequential(*(Bottleneck(hidden, hidden, hidden, shortcut) for _ in range(n)))

    def forward(self, x: Tensor) -> Tensor:
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))


class SPPF(nn.Module):
    """Spatial pyramid pooling by one max-pool applied three times."""

    def __init__(self, c1: int, c2: int, k: int = 5) -> None:
        super().__init__()
        self.cv1 = Conv(c1, c1 // 2, 1)
        self.cv2 = Conv(c1 // 2 * 4, c2, 1)
        self.m = nn.MaxPool2d(k, stride=1, padding=k // 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.cv1(x)
        y1 = self.m(x)
        y2 = self.m(y1)
        return self.cv2(torch.cat((x, y1, y2, self.m(y2)), 1))


class Concat(nn.Module):
    """Joins feature maps along one dimension."""

    def __init__(self, dimension: int = 1) -> None:
        super().__init__()
        self.d = dimension

    def forward(self, x: list[Tensor]) -> Tensor:
        return torch.cat(x, self.d)


class Detect(nn.Module):
    """The detection head: one 1x1 convolution for each scale.

    Args:
        nc: Number of classes.
        anchors: Shape (scales, anchors, 2): widths and heights in units of the scale's stride.
        stride: Pixels per cell, for each scale.
        ch: Input channels of each scale.
    """

    anchors: Tensor
    stride: Tensor

    def __init__(self, nc: int, anchors: Tensor, stride: Tensor, ch: Sequence[int]) -> None:
        super().__init__()
        self.nc = nc
        self.no = nc + 5
        self.na = anchors.shape[1]
        self.register_buffer("anchors", anchors.float())
        self.stride = stride.float()
        self.m = nn.ModuleList(nn.Conv2d(c, self.no * self.na, 1) for c in ch)

    def forward(self, x: list[Tensor]) -> list[Tensor]:
        """Raw logits of each scale, shape (batch, anchors, rows, columns, 5 + classes)."""
        logits = []
        for convolution, features in zip(self.m, x, strict=True):
            y = convolution(features)
            batch, _, rows, columns = y.shape
            logits.append(y.view(batch, self.na, self.no, rows, columns).permute(0, 1, 3, 4, 2))
        return logits

    def decode(self, logits: list[Tensor]) -> Tensor:
        """Converts logits to boxes (batch, boxes, 5 + classes).

        A row is x and y of the center, width and height in pixels of the network's input, then
        objectness and class probabilities in [0, 1].
        """
        decoded = []
        for i, scale in enumerate(logits):
            batch, _, rows, columns, _ = scale.shape
            stride = self.stride[i].to(scale.device)
            y, x = torch.meshgrid(
                torch.arange(rows, device=scale.device, dtype=scale.dtype),
                torch.arange(columns, device=scale.device, dtype=scale.dtype),
                indexing="ij",
            )
            grid = torch.stack((x, y), 2) - 0.5
            xy, wh, rest = scale.sigmoid().split((2, 2, self.nc + 1), 4)
            xy = (xy * 2 + grid) * stride
            wh = (wh * 2) ** 2 * (self.anchors[i] * stride).view(1, self.na, 1, 1, 2)
            decoded.append(torch.cat((xy, wh, rest), 4).reshape(batch, -1, self.no))
        return torch.cat(decoded, 1)


class DetectionModel(nn.Module):
    """A YOLOv5 network: a list of layers and the inputs of each.

    Args:
        layers: The modules; the last one is a ``Detect``.
        inputs: For each layer the index of its input layer (-1 is the previous one), or a list of
            indices.
    """

    def __init__(self, layers: Sequence[nn.Module], inputs: Sequence[int | list[int]]) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)
        self.inputs = list(inputs)
        self._kept = {
            source % i
            for i, f in enumerate(self.inputs)
            for source in (f if isinstance(f, list) else [f])
            if source != -1
        }

    @property
    def detect(self) -> Detect:
        """The detection head."""
        head = self.model[-1]
        assert isinstance(head, Detect)
        return head

    def fuse(self) -> DetectionModel:
        """Folds batch norms into the convolutions before them; returns the network."""
        for module in self.modules():
            if isinstance(module, Conv):
                module.conv = nn.utils.fuse_conv_bn_eval(module.conv, module.bn)
                module.bn = nn.Identity()  # type: ignore[assignment]
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """Raw logits for images of shape (batch, 3, H, W), RGB in [0, 1], H and W multiples of 64."""
        outputs: dict[int, Tensor] = {}
        x = images
        for i, (layer, f) in enumerate(zip(self.model, self.inputs, strict=True)):
            if isinstance(f, list):
                x = layer([x if j == -1 else outputs[j] for j in f])
            else:
                x = layer(x if f == -1 else outputs[f])
            if i in self._kept:
                outputs[i] = x
        return x  # type: ignore[return-value]  # the last layer is a Detect
