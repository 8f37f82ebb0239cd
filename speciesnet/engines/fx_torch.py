"""Reads classifiers converted by onnx2torch, which the publisher has shipped since v4.0.1a.

Such a file is a pickled ``torch.fx`` graph: modules, and the source of a function that calls them one
after another. PyTorch would run that source. Here it is parsed, never run: only assignments of the
outputs of modules are allowed, and the modules are rebuilt from their tensors.
"""

from __future__ import annotations

import ast
import functools
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
    """The network of a ``.pt`` file from onnx2torch, in float32 and evaluation mode.

    Raises:
        ModelError: The file is damaged, refers to code, or contains something else.
        UnsupportedNetworkError: A module is not supported.
    """
    saved = read_records(
        path, lambda name: name.startswith(_PACKAGES) or name in _NAMES, "classifier"
    )
    if not isinstance(saved, Record) or saved.kind != "reduce_graph_module":
        raise ModelError(
            f"The classifier {path} contains no torch.fx graph; pass the .pt or .keras file of a package."
        )
    try:
        body: dict[str, Any] = saved.made_of[0]
        steps, image, result = _parse(body["_code"])
        # Before the steps: the image with its channels last, as the graph takes it.
        layers: list[nn.Module] = [Function(lambda x: x.permute(0, 2, 3, 1))]
        inputs = [[IMAGE]]
        numbers = {image: 0}
        for step in steps:
            layer = _layer_of(step, body)
            sources = [numbers[name] for name in step.inputs or ()]
            feeding = [layers[source] for source in sources]
            if feeding and all(isinstance(one, _Constant) for one in feeding):
                # Exporters compute paddings in many steps; they are the same for every image.
                layer, sources = _Constant(layer(*(one() for one in feeding))), []
            layers.append(layer)
            inputs.append(sources)
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
            f"The classifier {path} cannot be parsed ({type(error).__name__}: {reason}); "
            "download it again."
        ) from error


def _parse(code: str) -> tuple[list[_Step], str, str]:
    """The steps in a graph's source, and the names of its image and its result."""
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
    return _Constant(found)


class _Constant(nn.Module):
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
    if kind == "OnnxBinaryMathOperation":
        return Function(_arithmetic(record))
    if kind == "OnnxConstant":
        return _Constant(record.tensors()["value"])
    if kind == "OnnxConstantOfShape":
        value = record.tensors()["value"]
        return Function(lambda shape: value.new_full(shape.tolist(), value.item()))
    if kind in _FUNCTIONS:
        function, options = _FUNCTIONS[kind]
        return Function(functools.partial(function, **{o: record.child(o) for o in options}))
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


_ARITHMETIC: dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "_onnx_div": torch.div,
}


def _cast(x: Tensor, *, torch_dtype: torch.dtype) -> Tensor:
    # A network in a lower precision stays in it.
    is_same_kind = x.is_floating_point() and torch_dtype.is_floating_point
    return x if is_same_kind else x.to(torch_dtype)


def _padded(x: Tensor, pads: Tensor, value: float = 0.0, *, mode: str) -> Tensor:
    if mode != "constant":
        raise UnsupportedNetworkError(f"padding with {mode}")
    # ONNX lists the beginnings of all axes and then their ends, PyTorch both of the last axis first.
    sides = pads.reshape(2, -1).flip(1).T.flatten().tolist()
    return functional.pad(x, sides, value=float(value))


def _reduced(x: Tensor, *, operation_type: str, axes: list[int], keepdims: bool) -> Tensor:
    if operation_type != "ReduceMean":
        raise UnsupportedNetworkError(f"the operation {operation_type}")
    return x.mean(axes, keepdim=keepdims)


def _reshaped(x: Tensor, shape: Sequence[int]) -> Tensor:
    # In ONNX, 0 keeps a dimension.
    return x.reshape([side or x.shape[i] for i, side in enumerate(shape)])


def _sliced(
    x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
) -> Tensor:
    axes = torch.arange(len(starts)) if axes is None else axes
    steps = torch.ones_like(starts) if steps is None else steps
    columns = (values.tolist() for values in (starts, ends, axes, steps))
    for start, end, axis, step in zip(*columns, strict=True):
        if step < 0:  # PyTorch has no negative steps
            x, start, end, step = x.flip(axis), -start - 1, -end - 1, -step
        x = x[(slice(None),) * (axis % x.ndim) + (slice(start, end, step),)]
    return x


def _unsqueezed(x: Tensor, axes: Sequence[int]) -> Tensor:
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


# What modules compute, and the names of their attributes that it depends on.
_FUNCTIONS: dict[str, tuple[Callable[..., Tensor], tuple[str, ...]]] = {
    "Dropout": (lambda x: x, ()),
    "Flatten": (lambda x: x.flatten(1), ()),
    "Identity": (lambda x: x, ()),
    "OnnxCast": (_cast, ("torch_dtype",)),
    "OnnxClip": (lambda x, min_val, max_val: x.clamp(min_val, max_val), ("min_val", "max_val")),
    "OnnxConcat": (lambda *parts, axis: torch.cat(parts, axis), ("axis",)),
    "OnnxGlobalAveragePool": (lambda x: x.mean((2, 3), keepdim=True), ()),
    "OnnxGlobalAveragePoolWithKnownInputShape": (lambda x: x.mean((2, 3), keepdim=True), ()),
    "OnnxMatMul": (torch.matmul, ()),
    "OnnxPadDynamic": (_padded, ("mode",)),
    "OnnxPadStatic": (
        lambda x, pads, mode, constant_value: functional.pad(x, list(pads), mode, constant_value),
        ("pads", "mode", "constant_value"),
    ),
    "OnnxReduceStaticAxes": (_reduced, ("operation_type", "axes", "keepdims")),
    "OnnxReshape": (lambda x, shape: _reshaped(x, shape.tolist()), ()),
    "OnnxSlice": (_sliced, ()),
    "OnnxSqueezeDynamicAxes": (lambda x, axes: x.squeeze(tuple(axes.tolist())), ()),
    "OnnxSqueezeStaticAxes": (
        lambda x, axes: x.squeeze(tuple(axes)) if axes else x.squeeze(),
        ("axes",),
    ),
    "OnnxTranspose": (lambda x, perm: x.permute(perm), ("perm",)),
    "OnnxUnsqueezeDynamicAxes": (lambda x, axes: _unsqueezed(x, axes.tolist()), ()),
    "ReLU": (torch.relu, ()),
    "SiLU": (functional.silu, ()),
    "Sigmoid": (torch.sigmoid, ()),
}
