"""Reads classifiers saved by Keras 2 as data: the configuration of the network, and its weights."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from speciesnet.errors import ModelError

INPUT_SHAPE: tuple[int, int, int] = (480, 480, 3)

# Modules whose classes a saved Keras 2 model may use.
_KERAS_MODULE = re.compile(
    r"(tf_)?keras\.(layers|initializers|regularizers|constraints|activations|mixed_precision"
    r"|src\.engine\.(functional|sequential|input_layer)|src\.layers\..+)"
    r"|tensorflow\.python\.ops\.init_ops(_v2)?"  # initial values, as EfficientNetV2's are saved
)
_RUNS_CODE = frozenset(
    {
        "ClassMethod",
        "DropoutWrapper",
        "InstanceMethod",
        "Lambda",
        "ResidualWrapper",
        "SlicingOpLambda",
        "TFSMLayer",
    }
)
# TFOpLambda layers call a TensorFlow function by name; these only compute.
_PURE_FUNCTIONS = ("math.", "nn.", "__operators__.", "cast", "identity", "reshape")
_PLAIN_DATA = frozenset({"__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "TensorShape"})


def read_config(path: Path) -> dict[str, Any]:
    """Reads the configuration of the network in a ``.keras`` file.

    Keras imports any module that a file names; here only its own modules are allowed.

    Raises:
        ModelError: The file is damaged, or refers to code outside Keras.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
        if not isinstance(config, dict):
            raise ValueError("its configuration is not a JSON object")
    except Exception as error:  # archives can be damaged in many ways
        raise ModelError(
            f"The classifier {path} is not a .keras file, or was not downloaded completely ({error}); "
            "download it again."
        ) from error
    config.pop("compile_config", None)  # for training only
    for part in _objects(config):
        module, name = part.get("module"), str(part.get("class_name"))
        if module is None:
            is_known = name in _PLAIN_DATA
        else:
            is_known = bool(_KERAS_MODULE.fullmatch(str(module))) and name not in _RUNS_CODE
        if name == "TFOpLambda":
            options = part.get("config")
            function = options.get("function") if isinstance(options, dict) else None
            is_known = is_known and str(function).startswith(_PURE_FUNCTIONS)
        if not is_known:
            what = name if module is None else f"{module}.{name}"
            raise ModelError(
                f"The classifier {path} asks to run {what}, which no SpeciesNet classifier needs; "
                "it is refused: get the file again from a source that you trust."
            )
    return config


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object of a configuration that describes an object."""
    parts = [config]
    while parts:  # not recursive: JSON may be deeper than Python's stack
        part = parts.pop()
        if isinstance(part, dict):
            if "class_name" in part or "module" in part:
                yield part
            parts += reversed(part.values())
        elif isinstance(part, list):
            parts += reversed(part)


@contextmanager
def open_weights(path: Path) -> Iterator[IO[bytes]]:
    """Opens the HDF5 file of weights inside a ``.keras`` file, where it is stored uncompressed."""
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as weights:
        yield weights


def check_shape(path: Path, shape: tuple[int | None, ...]) -> None:
    """Raises ``ModelError`` for a network that does not take images of ``INPUT_SHAPE``."""
    if tuple(shape) != INPUT_SHAPE:
        raise ModelError(
            f"The classifier {path} takes images of shape {tuple(shape)}; it must be {INPUT_SHAPE}."
        )


def unreadable(path: Path, error: Exception) -> ModelError:
    """The error for a file that a framework cannot read as a network."""
    reason = (str(error).strip().splitlines() or ["damaged"])[0]
    return ModelError(
        f"The classifier {path} cannot be read ({type(error).__name__}: {reason}); download it again."
    )
