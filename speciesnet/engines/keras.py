"""Keras 2 classifiers on TensorFlow."""

from __future__ import annotations

import json
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciesnet.errors import ModelError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

INPUT_SHAPE = (480, 480, 3)

# Where a saved Keras 2 model may take its parts from.
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


class KerasEngine:
    """Runs a ``.keras`` file saved by Keras 2; see ``ClassifierEngine``.

    Args:
        path: The file.
        device: "cpu" keeps the network off graphics cards; anything else leaves it to TensorFlow.

    Raises:
        ModelError: The file is damaged, refers to code outside Keras, or TensorFlow is missing.
    """

    def __init__(self, path: Path, device: str | None = None) -> None:
        config = _read_config(path)
        try:
            tf, tf_keras = import_tensorflow()
        except ImportError as error:
            raise ModelError(
                f"The classifier needs TensorFlow and tf_keras ({error}): "
                "pip install --upgrade speciesnet."
            ) from error
        self._device = "/CPU:0" if device == "cpu" else None
        for gpu in tf.config.list_physical_devices("GPU"):
            with suppress(RuntimeError):  # where the card is in use already
                # Without this TensorFlow takes all of the card's memory, and PyTorch none.
                tf.config.experimental.set_memory_growth(gpu, True)
        try:
            with tf.device(self._device):
                model = _load(path, config, tf_keras)
            input_shape = model.input_shape[1:]
            self.classes: int = model.output_shape[-1]
        except Exception as error:  # Keras raises nearly anything on files that it cannot read
            raise ModelError(
                f"The classifier {path} cannot be read ({type(error).__name__}: "
                f"{str(error).strip().splitlines()[0] if str(error).strip() else 'damaged'}); "
                "get it again."
            ) from error
        if input_shape != INPUT_SHAPE:
            raise ModelError(
                f"The classifier {path} takes images of shape {input_shape}; it must be {INPUT_SHAPE}."
            )
        tf.config.experimental.enable_tensor_float_32_execution(False)  # 10 bits are not float32
        signature = [tf.TensorSpec([None, *INPUT_SHAPE], tf.float32)]
        self._predict = tf.function(lambda x: model(x, training=False), input_signature=signature)
        self._tf = tf

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """See ``ClassifierEngine``."""
        with self._tf.device(self._device):
            return self._predict(self._tf.constant(images)).numpy()


def _load(path: Path, config: dict[str, Any], tf_keras: Any) -> Any:
    """As ``load_model``, which takes minutes for a large network: it seeks in the archive."""
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
        model = tf_keras.models.model_from_json(json.dumps(config))
        model.load_weights(archive.extract("model.weights.h5", folder))
    return model


def import_tensorflow() -> tuple[Any, Any]:
    """The modules ``tensorflow`` and ``tf_keras``, imported in silence; raises ``ImportError``."""
    with _without_greetings():
        import tensorflow
        import tf_keras

        tensorflow.config.list_physical_devices("GPU")  # which complains where there is none
    return tensorflow, tf_keras


@contextmanager
def _without_greetings() -> Iterator[None]:
    """Holds back what TensorFlow's C++ writes to standard error when it is imported.

    No setting of TensorFlow keeps it from doing so; if the import fails, it is shown.
    """
    try:
        standard_error = os.dup(2)
    except OSError:  # there is none
        yield
        return
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException:
            held_back.seek(0)
            os.write(standard_error, held_back.read())
            raise
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)


def _read_config(path: Path) -> dict[str, Any]:
    """What the network is made of.

    Keras imports whatever module a file names; only its own are let through.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
        if not isinstance(config, dict):
            raise ValueError("its configuration is no JSON object")
    except Exception as error:  # archives can be damaged in many ways
        raise ModelError(
            f"The classifier {path} is not a .keras file, or was not downloaded whole ({error}); "
            "get it again."
        ) from error
    config.pop("compile_config", None)  # how it was trained, which is nobody's business any more
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
    """Every JSON object of a configuration that describes something to be made."""
    if isinstance(config, dict):
        if "class_name" in config or "module" in config:
            yield config
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)
