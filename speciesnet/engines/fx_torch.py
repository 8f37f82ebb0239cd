"""Reads classifiers converted by onnx2torch, which the publisher ships since v4.0.1a.

Such a file is a pickled ``torch.fx`` graph: modules, and the source of a function that calls one after
the other. PyTorch would run that source. Here it is parsed, never run: only assignments of the outputs of
modules are allowed, and the modules are rebuilt from their tensors.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from speciesnet.engines.graph import IMAGE, Function, GraphNetwork
from speciesnet.engines.pickled import Record, read_records
from speciesnet.errors import ModelError, UnsupportedNetworkError

_PACKAGES = ("onnx2torch.", "torch.nn.modules.")
_NAMES = (
    "builtins.getattr",
    "torch._C._VariableFunctionsClass",
    "torch.fx.graph_module.reduce_graph_module",
)


@dataclass(frozen=True)
class _Step:
    """A line of the graph: the module, or the tensor, at ``place`` and its inputs."""

    answer: str
    place: tuple[str, ...]
    inputs: tuple[str, ...] | None  # None: a tensor


def read_fx_network(path: Path) -> GraphNetwork:
    """The network of a ``.pt`` file of onnx2torch, in float32 and evaluation mode.

    Raises:
        ModelError: The file is damaged, refers to code, or contains something else.
        UnsupportedNetworkError: A module is not supported.
    """
    saved = read_records(
        path, lambda name: name.startswith(_PACKAGES) or name in _NAMES, "classifier"
    )
    if not isinstance(saved, Record) or saved.kind != "reduce_graph_module":
        raise ModelError(
            f"The classifier {path} holds no torch.fx graph; give the .pt or .keras file of a package."
        )
    try:
        body: dict[str, Any] = saved.made_of[0]
        steps, image, result = _parse(body["_code"])
        # Before the steps: the image with its channels last, as the graph takes it.
        layers = [
            Function(lambda x: x.permute(0, 2, 3, 1)),
            *(_layer_of(step, body) for step in steps),
        ]
        numbers = {image: 0}
        inputs = [[IMAGE]]
        for step in steps:
            inputs.append([numbers[name] for name in step.inputs or ()])
            if step.answer in numbers:
                raise UnsupportedNetworkError(f"two answers {step.answer}")
            numbers[step.answer] = len(numbers)
        if numbers[result] != len(steps):
            raise UnsupportedNetworkError("a result that is not its last answer")
        return GraphNetwork(layers, inputs)
    except UnsupportedNetworkError:
        raise
    except Exception as error:  # files can be damaged in many ways
        reason = (str(error).strip().splitlines() or ["damaged"])[0]
        raise ModelError(
            f"The classifier {path} cannot be made sense of ({type(error).__name__}: {reason}); get "
            "it again."
        ) from error


def _parse(code: str) -> tuple[list[_Step], str, str]:
    """The steps of a graph's source, the name of its image, and of its result."""
    function = next(node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef))
    arguments = [argument.arg for argument in function.args.args]
    if len(arguments) != 2:
        raise UnsupportedNetworkError(f"{len(arguments) - 1} inputs")
    steps = []
    for line in function.body:
        if isinstance(line, ast.Return) and isinstance(line.value, ast.Name):
            return steps, arguments[1], line.value.id
        target = line.targets[0] if isinstance(line, ast.Assign) else None
        value = line.value if isinstance(line, ast.Assign) else None
        if isinstance(value, ast.Constant) and value.value is None:
            continue  # the graph releases an output
        place = None
        inputs: tuple[str, ...] | None = None
        if isinstance(value, ast.Call) and not value.keywords:
            place = _place(value.func)
            if all(isinstance(argument, ast.Name) for argument in value.args):
                inputs = tuple(cast("ast.Name", argument).id for argument in value.args)
            else:
                place = None
        elif value is not None:
            place = _place(value)
        if place is None or not isinstance(target, ast.Name):
            raise UnsupportedNetworkError(f"the step {ast.unparse(line)!r}")
        steps.append(_Step(target.id, place, inputs))
    raise UnsupportedNetworkError("no result")


def _place(node: ast.expr) -> tuple[str, ...] | None:
    """The attributes of ``self`` that an expression names; None for any other expression."""
    if isinstance(node, ast.Name):
        return () if node.id == "self" else None
    if isinstance(node, ast.Attribute):
        above = _place(node.value)
        return None if above is None else (*above, node.attr)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "getattr"
        and len(node.args) == 2
        and isinstance(node.args[1], ast.Constant)
    ):
        above = _place(node.args[0])
        return None if above is None else (*above, str(node.args[1].value))
    return None


def _layer_of(step: _Step, body: dict[str, Any]) -> nn.Module:
    found: Any = body["_modules"][step.place[0]]
    for name in step.place[1:]:
        tensors = found.__dict__["_parameters"] | found.__dict__["_buffers"]
        found = tensors[name] if name in tensors else found.child(name)
    if step.inputs is not None:
        return _build(found)
    if not isinstance(found, Tensor):
        raise UnsupportedNetworkError(f"the value {'.'.join(step.place)}")
    return _Number(found)


class _Number(nn.Module):
    """A tensor that is part of the network."""

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value.detach())

    def forward(self) -> Tensor:
        return self.value


def _build(record: Record) -> nn.Module:
    """The module that a record describes."""
    kind = record.kind
    if kind == "Sequential":
        return nn.Sequential(*map(_build, record.children()))
    if kind == "Conv2d":
        return _convolution(record)
    if kind == "Linear":
        tensors = record.tensors()
        classes, features = tensors["weight"].shape
        return _filled(nn.Linear(features, classes, bias="bias" in tensors), tensors)
    if kind == "BatchNorm2d":
        tensors = record.tensors()
        norm = nn.BatchNorm2d(len(tensors["running_mean"]), eps=record.child("eps"))
        return _filled(norm, tensors)
    if kind in _SIMPLE:
        return Function(_SIMPLE[kind])
    if kind in _WITH_OPTIONS:
        return Function(_WITH_OPTIONS[kind](record))
    raise UnsupportedNetworkError(f"a module {kind}")


def _convolution(record: Record) -> nn.Module:
    if record.child("padding_mode") != "zeros":
        raise UnsupportedNetworkError(f"padding with {record.child('padding_mode')}")
    tensors = record.tensors()
    filters, channels, *kernel = tensors["weight"].shape
    groups = record.child("groups")
    module = nn.Conv2d(
        channels * groups, filters, (kernel[0], kernel[1]), record.child("stride"),
        record.child("padding"), record.child("dilation"), groups, bias="bias" in tensors,
    )  # fmt: skip
    return _filled(module, tensors)


def _filled(module: nn.Module, tensors: dict[str, Tensor]) -> nn.Module:
    module.load_state_dict(tensors)
    return module


def _arithmetic(record: Record) -> Callable[..., Tensor]:
    if record.child("broadcast") == 1 and record.child("axis") is not None:
        raise UnsupportedNetworkError("arithmetic of the first ONNX versions")
    function: Record = record.child("math_op_function")
    name = function.made_of[1] if len(function.made_of) == 2 else function.kind
    if name not in _ARITHMETIC:
        raise UnsupportedNetworkError(f"the operation {name}")
    return _ARITHMETIC[name]


def _reduction(record: Record) -> Callable[..., Tensor]:
    if record.child("operation_type") != "ReduceMean":
        raise UnsupportedNetworkError(f"the operation {record.child('operation_type')}")
    axes, keep = record.child("axes"), record.child("keepdims")
    return lambda x: x.mean(axes, keepdim=keep)


def _padding(record: Record) -> Callable[..., Tensor]:
    pads, mode, value = (record.child(name) for name in ("pads", "mode", "constant_value"))
    return lambda x: functional.pad(x, list(pads), mode, value)


def _clamp(record: Record) -> Callable[..., Tensor]:
    low, high = record.child("min_val"), record.child("max_val")
    return lambda x: x.clamp(low, high)


def _squeeze(record: Record) -> Callable[..., Tensor]:
    axes = record.child("axes")
    return lambda x: x.squeeze(tuple(axes)) if axes else x.squeeze()


def _permutation(record: Record) -> Callable[..., Tensor]:
    order = record.child("perm")
    return lambda x: x.permute(order)


_ARITHMETIC: dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "_onnx_div": torch.div,
}
_SIMPLE: dict[str, Callable[..., Tensor]] = {
    "Dropout": lambda x: x,
    "Flatten": lambda x: x.flatten(1),
    "Identity": lambda x: x,
    "OnnxGlobalAveragePool": lambda x: x.mean((2, 3), keepdim=True),
    "OnnxGlobalAveragePoolWithKnownInputShape": lambda x: x.mean((2, 3), keepdim=True),
    "OnnxMatMul": torch.matmul,
    "OnnxReshape": lambda x, shape: _reshaped(x, shape.tolist()),
    "OnnxSqueezeDynamicAxes": lambda x, axes: x.squeeze(tuple(axes.tolist())),
    "OnnxUnsqueezeDynamicAxes": lambda x, axes: _unsqueezed(x, axes.tolist()),
    "ReLU": torch.relu,
    "SiLU": functional.silu,
    "Sigmoid": torch.sigmoid,
}
_WITH_OPTIONS: dict[str, Callable[[Record], Callable[..., Tensor]]] = {
    "OnnxBinaryMathOperation": _arithmetic,
    "OnnxClip": _clamp,
    "OnnxPadStatic": _padding,
    "OnnxReduceStaticAxes": _reduction,
    "OnnxSqueezeStaticAxes": _squeeze,
    "OnnxTranspose": _permutation,
}


def _reshaped(x: Tensor, shape: Sequence[int]) -> Tensor:
    # In ONNX, 0 keeps a dimension.
    return x.reshape([side or x.shape[i] for i, side in enumerate(shape)])


def _unsqueezed(x: Tensor, axes: Sequence[int]) -> Tensor:
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x
