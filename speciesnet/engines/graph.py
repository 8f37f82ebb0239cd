"""Networks as lists of layers and their inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from speciesnet.engines.keras_file import INPUT_SHAPE

IMAGE = -1  # the network's input, as the input of a layer


class GraphNetwork(nn.Module):
    """A network with one input, whose output is that of its last layer.

    Args:
        layers: The layers, each after its inputs.
        inputs: For each layer the indices of the layers that are its inputs, or ``IMAGE``.

    Attributes:
        classes: Number of outputs.

    Raises:
        ValueError: The layers do not fit together, or do not return logits.
        RuntimeError: The layers do not fit together.
    """

    def __init__(self, layers: Sequence[nn.Module], inputs: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.inputs = [list(sources) for sources in inputs]
        self._last_use = {source: i for i, sources in enumerate(self.inputs) for source in sources}
        height, width, channels = INPUT_SHAPE
        with torch.inference_mode():
            logits = self.eval()(torch.zeros((1, channels, height, width)))
        if logits.ndim != 2:
            raise ValueError(f"its output has the shape {tuple(logits.shape)}")
        self.classes = logits.shape[1]

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (batch, 3, 480, 480), RGB in [0, 1], to logits (batch, classes)."""
        answers = {IMAGE: images}
        for i, (layer, sources) in enumerate(zip(self.layers, self.inputs, strict=True)):
            answers[i] = layer(*(answers[source] for source in sources))
            for source in set(sources):
                if self._last_use[source] == i:
                    del answers[source]
        return answers[len(self.layers) - 1]


class Function(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, *inputs: Tensor) -> Tensor:  # noqa: D102
        return self._function(*inputs)
