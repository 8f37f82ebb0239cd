"""Reads classifiers saved by Keras 2 as PyTorch networks, without TensorFlow.

The usual layers of image classifiers are translated one by one; other layers raise
``UnsupportedNetworkError``, and TensorFlow runs the network instead.
"""

from __future__ import annotations

import functools
import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from speciesnet.engines.graph import IMAGE, Function, GraphNetwork
from speciesnet.engines.keras_file import check_shape, open_weights, read_config, unreadable
from speciesnet.errors import ModelError, UnsupportedNetworkError, first_line

Config = dict[str, Any]
Weights = Sequence[NDArray[np.float32]]


def read_keras_network(path: Path) -> GraphNetwork:
    """The network of a ``.keras`` file, in float32 and evaluation mode.

    Batch norms are folded into the convolutions before them.

    Raises:
        ModelError: The file is damaged, or refers to code outside Keras.
        UnsupportedNetworkError: A layer, or a connection between layers, is not supported.
    """
    config = read_config(path)
    try:
        # Reading the whole member is many times faster than seeking in the archive.
        with open_weights(path) as file:
            content = io.BytesIO(file.read())
        weights = h5py.File(content)
        _check_sizes(weights)
    except Exception as error:  # archives can be damaged in many ways
        raise unreadable(path, error) from error
    try:
        with weights:
            layers, inputs, shape = _layers(config)
            modules = [
                _module(kind, options, _weights_of(weights, group))
                for kind, options, group in layers
            ]
        check_shape(path, shape)
        _fuse(modules, inputs)
        return GraphNetwork(modules, inputs)
    except (UnsupportedNetworkError, ModelError):
        raise
    except Exception as error:  # files can be unusual in many ways
        reason = f"a part that is not understood ({first_line(error)})"
        raise UnsupportedNetworkError(reason) from error


def _fuse(modules: list[nn.Module], inputs: Sequence[Sequence[int]]) -> None:
    """Folds batch norms into the convolutions before them."""
    for i, (module, sources) in enumerate(zip(modules, inputs, strict=True)):
        before = modules[sources[0]]
        if (
            isinstance(module, nn.BatchNorm2d)
            and isinstance(before, _Convolution)
            and before.activation.is_linear
            and sum(sources[0] in others for others in inputs) == 1
        ):
            before.conv = nn.utils.fuse_conv_bn_eval(before.conv.eval(), module.eval())
            modules[i] = nn.Identity()


def _layers(
    config: Config,
) -> tuple[list[tuple[str, Config, str]], list[list[int]], tuple[int | None, ...]]:
    """Class, options and weight group of each layer; the inputs of each; the shape of an image."""
    if config.get("class_name") != "Functional":
        raise UnsupportedNetworkError(f"a {config.get('class_name')} network")
    described = config["config"]["layers"]
    indices = {layer["config"]["name"]: i for i, layer in enumerate(described)}
    outputs = config["config"]["output_layers"]
    if len(outputs) != 1 or indices[outputs[0][0]] != len(described) - 1:
        raise UnsupportedNetworkError("several outputs")
    layers, inputs, seen = [], [], Counter()
    for i, layer in enumerate(described):
        kind, options = layer["class_name"], layer["config"]
        group = _snake_case(kind)
        number = seen[group]
        seen[group] += 1
        layers.append((kind, options, f"layers/{group}_{number}" if number else f"layers/{group}"))
        calls = layer["inbound_nodes"]
        if len(calls) != (kind != "InputLayer") or (kind == "InputLayer") != (i == 0):
            raise UnsupportedNetworkError(f"{options['name']}, which is called {len(calls)} times")
        sources = [indices[call[0]] for node in calls for call in node] or [IMAGE]
        if any(source >= i for source in sources):
            raise UnsupportedNetworkError(f"{options['name']}, which comes before its own inputs")
        inputs.append(sources)
    return layers, inputs, tuple(described[0]["config"]["batch_input_shape"][1:])


def _snake_case(name: str) -> str:
    """Keras' name of a class among the saved weights."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _check_sizes(file: h5py.File) -> None:
    """Raises ``ValueError`` for weights larger than their file, which would fill the memory."""

    def check(name: str, part: Any) -> None:
        if isinstance(part, h5py.Dataset) and part.nbytes > file.id.get_filesize():
            raise ValueError(f"{name} claims more numbers than the file has")

    file.visititems(check)


def _weights_of(file: h5py.File, group: str) -> Weights:
    variables: Any = file.get(f"{group}/vars")
    if variables is None:
        return []
    return [np.asarray(variables[str(i)], np.float32) for i in range(len(variables))]


class _Activation(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        if name not in _ACTIVATIONS:
            raise UnsupportedNetworkError(f"activation {name}")
        self._function = _ACTIVATIONS[name]
        self.is_linear = name == "linear"

    def forward(self, x: Tensor) -> Tensor:
        return self._function(x)


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "sigmoid": torch.sigmoid,
    "silu": functional.silu,
    "swish": functional.silu,
    "tanh": torch.tanh,
}


class _Scale(nn.Module):
    """Multiplies and adds numbers, one for each channel or one for all."""

    scale: Tensor
    offset: Tensor

    def __init__(self, scale: Any, offset: Any) -> None:
        super().__init__()
        for name, value in (("scale", scale), ("offset", offset)):
            tensor = torch.as_tensor(np.asarray(value, np.float32)).reshape(-1, 1, 1)
            self.register_buffer(name, tensor)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.offset


class _Convolution(nn.Module):
    """A convolution with TensorFlow's padding: an odd pixel goes to the bottom and right."""

    def __init__(self, options: Config, kernel: NDArray[np.float32], bias: Weights) -> None:
        super().__init__()
        _require(options, data_format="channels_last", dilation_rate=[1, 1])
        height, width, channels, filters = kernel.shape
        groups = options["groups"]
        self._same = options["padding"] == "same"
        self._steps = tuple(options["strides"])
        self.conv = nn.Conv2d(
            channels * groups, filters, (height, width), self._steps, groups=groups, bias=bool(bias)
        )
        _fill(self.conv.weight, kernel.transpose(3, 2, 0, 1))
        if bias:
            _fill(self.conv.bias, bias[0])
        if self._same and self._steps == (1, 1) and height % 2 and width % 2:
            self.conv.padding = (height // 2, width // 2)
            self._same = False
        self.activation = _Activation(options["activation"])

    def forward(self, x: Tensor) -> Tensor:
        if self._same:
            sides = []
            for size, kernel, step in zip(
                (x.shape[3], x.shape[2]),
                reversed(self.conv.kernel_size),
                reversed(self._steps),
                strict=True,
            ):
                spare = max((-(-int(size) // step) - 1) * step + kernel - int(size), 0)
                sides += [spare // 2, spare - spare // 2]
            x = functional.pad(x, sides)
        return self.activation(self.conv(x))


class _Dense(nn.Linear):
    def __init__(self, options: Config, weights: Weights) -> None:
        super().__init__(*weights[0].shape, bias=options["use_bias"])
        _require(options, activation="linear")
        _fill(self.weight, weights[0].T)
        if options["use_bias"]:
            _fill(self.bias, weights[1])


def _require(options: Config, **values: Any) -> None:
    """Raises ``UnsupportedNetworkError`` for options with values other than these."""
    for name, value in values.items():
        if options.get(name, value) != value:
            raise UnsupportedNetworkError(f"{options['name']} with {name} {options[name]}")


def _fill(parameter: Any, values: NDArray[np.float32]) -> None:
    if tuple(parameter.shape) != values.shape:
        raise ValueError(f"weights of shape {values.shape} for {tuple(parameter.shape)}")
    parameter.data = torch.from_numpy(np.ascontiguousarray(values))


def _batch_norm(options: Config, weights: Weights) -> nn.Module:
    if list(options["axis"]) not in ([3], [-1]):
        raise UnsupportedNetworkError(f"{options['name']} with axis {options['axis']}")
    rest = list(weights)
    norm = nn.BatchNorm2d(len(rest[0]), eps=options["epsilon"])
    if options["scale"]:
        _fill(norm.weight, rest.pop(0))
    if options["center"]:
        _fill(norm.bias, rest.pop(0))
    _fill(norm.running_mean, rest[0])
    _fill(norm.running_var, rest[1])
    return norm


def _module(kind: str, options: Config, weights: Weights) -> nn.Module:
    """The module of a layer, in which channels come before rows and columns."""
    if kind in ("InputLayer", "Dropout"):
        return nn.Identity()
    if kind == "Rescaling":
        return _Scale(options["scale"], options["offset"])
    if kind == "Normalization":
        _require(options, invert=False)
        mean, variance = weights[:2] if weights else (options["mean"], options["variance"])
        scale = 1 / np.maximum(np.sqrt(np.asarray(variance, np.float32)), 1e-7)
        return _Scale(scale, -np.asarray(mean, np.float32) * scale)
    if kind == "Conv2D":
        return _Convolution(options, weights[0], weights[1:])
    if kind == "DepthwiseConv2D":
        _require(options, depth_multiplier=1)
        kernel = weights[0].transpose(0, 1, 3, 2)  # one filter per channel
        return _Convolution(options | {"groups": kernel.shape[3]}, kernel, weights[1:])
    if kind == "BatchNormalization":
        return _batch_norm(options, weights)
    if kind == "Activation":
        return _Activation(options["activation"])
    if kind == "GlobalAveragePooling2D":
        _require(options, data_format="channels_last")
        keep = options["keepdims"]
        return Function(lambda x: x.mean((2, 3), keepdim=keep))
    if kind in ("AveragePooling2D", "MaxPooling2D"):
        _require(options, data_format="channels_last", padding="valid")
        pooling = nn.AvgPool2d if kind == "AveragePooling2D" else nn.MaxPool2d
        return pooling(tuple(options["pool_size"]), tuple(options["strides"]))
    if kind == "Reshape" and list(options["target_shape"][:-1]) == [1, 1]:
        channels = options["target_shape"][-1]
        return Function(lambda x: x.reshape(-1, channels, 1, 1))
    if kind == "Concatenate" and options["axis"] in (-1, 3):
        return Function(lambda *parts: torch.cat(parts, 1))
    if kind == "Dense":
        return _Dense(options, weights)
    if kind in ("Add", "Multiply"):
        operation = torch.add if kind == "Add" else torch.mul
        return Function(lambda *parts: functools.reduce(operation, parts))
    raise UnsupportedNetworkError(f"{options['name']} of class {kind}")
