"""Pickles that run code when they are unpickled, in every possible way."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

MARKER = "a-pickle-ran-code"  # the folder that each of them would make

Build = Callable[[str, str, str], bytes]


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def _by_reduce(module: str, name: str, argument: str) -> bytes:
    return f"c{module}\n{name}\n".encode() + _text(argument) + b"\x85R"


def _by_stack_global(module: str, name: str, argument: str) -> bytes:
    return _text(module) + _text(name) + b"\x93" + _text(argument) + b"\x85R"


def _by_new_object(module: str, name: str, argument: str) -> bytes:
    return f"c{module}\n{name}\n".encode() + _text(argument) + b"\x85\x81"


def _by_new_object_with_names(module: str, name: str, argument: str) -> bytes:
    return f"c{module}\n{name}\n".encode() + _text(argument) + b"\x85}\x92"


def _by_instance(module: str, name: str, argument: str) -> bytes:
    return b"(" + _text(argument) + f"i{module}\n{name}\n".encode()


def _by_object(module: str, name: str, argument: str) -> bytes:
    return b"(" + f"c{module}\n{name}\n".encode() + _text(argument) + b"o"


def _by_rebuilding(module: str, name: str, argument: str) -> bytes:
    """Uses torch's own function, which is allowed and calls any function passed to it."""
    function = f"c{module}\n{name}\n".encode()
    return (
        b"ctorch._tensor\n_rebuild_from_type_v2\n("
        + function + b"ctorch\nTensor\n" + _text(argument) + b"\x85}tR"
    )  # fmt: skip


def _by_state(module: str, name: str, argument: str) -> bytes:
    """A method of a known class, replaced by a function through the object's state."""
    function = f"c{module}\n{name}\n".encode()
    layer = b"cmodels.common\nConv\n)\x81}" + _text("child") + function + b"sb"
    return b"}" + _text("model") + layer + b"s"


# Those in which Python itself runs the call while it unpickles.
RUNNING: tuple[Build, ...] = (
    _by_reduce,
    _by_stack_global,
    _by_instance,
    _by_object,
    _by_rebuilding,
)
WAYS: tuple[Build, ...] = (
    *RUNNING,
    _by_new_object,
    _by_new_object_with_names,
    _by_state,
)
CALLS: tuple[tuple[str, str, str], ...] = (
    ("os", "system", f"mkdir {MARKER}"),
    ("posix", "system", f"mkdir {MARKER}"),
    ("nt", "system", f"mkdir {MARKER}"),
    ("os", "mkdir", MARKER),
    ("subprocess", "getoutput", f"mkdir {MARKER}"),
    ("subprocess", "Popen", "true"),
    ("builtins", "eval", f"__import__('os').mkdir({MARKER!r})"),
    ("builtins", "exec", f"import os; os.mkdir({MARKER!r})"),
    ("__builtin__", "eval", f"__import__('os').mkdir({MARKER!r})"),
    ("builtins", "__import__", "antigravity"),
    ("builtins", "open", MARKER),
    ("importlib", "import_module", "antigravity"),
    ("runpy", "run_path", MARKER),
    ("pickle", "loads", MARKER),
    ("torch", "load", MARKER),
    ("torch.hub", "load", MARKER),
    ("torch.jit", "load", MARKER),
    ("pathlib", "Path.mkdir", MARKER),
    ("models.common", "__init__.__globals__", MARKER),
    ("torch.nn.modules.container", "os.mkdir", MARKER),
    ("onnx2torch", "os.mkdir", MARKER),
    ("torch.fx.graph_module", "_exec_with_source", f"import os; os.mkdir({MARKER!r})"),
    ("ultralytics.utils.checks", "check_requirements", MARKER),
    ("numpy.testing._private.utils", "runstring", f"import os; os.mkdir({MARKER!r})"),
)
MAKES_FOLDER = ("os", "mkdir", MARKER)
# Before a call: what makes a checkpoint one of ultralytics'.
ULTRALYTICS = b"cultralytics.nn.tasks\nDetectionModel\n0"
# Modules and classes by which a Keras file could have code run.
KERAS_CODE: tuple[tuple[Any, str], ...] = (
    ("keras.layers", "Lambda"),
    ("keras.layers", "TFSMLayer"),
    ("keras.layers", "TFOpLambda"),
    ("builtins", "eval"),
    ("os", "system"),
    ("keras.utils", "get_file"),
    ("keras.layers.os", "system"),
    (None, "function"),
    (None, "__lambda__"),
    ([], "Dense"),
)


def pickled(
    build: Build, call: tuple[str, str, str], before: bytes = b"", after: bytes = b""
) -> bytes:
    """A complete pickle, in which the call may be between harmless parts of a list."""
    return b"\x80\x02(" + before + build(*call) + after + b"l."


HOSTILE = [pickled(build, CALLS[i]) for i, build in enumerate(WAYS)]
