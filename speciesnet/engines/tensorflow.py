"""Runs Keras 2 classifiers on TensorFlow."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciesnet.engines.base import DEFAULT_OPTIONS, EngineOptions
from speciesnet.engines.keras_file import (
    INPUT_SHAPE,
    check_shape,
    open_weights,
    read_config,
    unreadable,
)
from speciesnet.engines.triton import import_triton
from speciesnet.errors import ModelError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The newest TensorFlow that pyproject.toml allows, and the newest Python for which it has wheels.
NEWEST_RELEASE = "2.21"
NEWEST_PYTHON = (3, 13)


class TensorFlowEngine:
    """Runs a ``.keras`` file saved by Keras 2; see ``ClassifierEngine``.

    Args:
        path: The file.
        options: The device "cpu" keeps the network off GPUs; otherwise TensorFlow chooses.

    Raises:
        ModelError: The file is damaged or refers to code outside Keras, or TensorFlow is missing.
    """

    def __init__(self, path: Path, options: EngineOptions = DEFAULT_OPTIONS) -> None:
        if options.precision != "fp32":
            raise ModelError(
                f"The tensorflow engine cannot compute in {options.precision}; use --precision fp32."
            )
        config = read_config(path)
        try:
            tf, tf_keras = import_tensorflow()
        except ImportError as error:
            raise ModelError(
                f"The tensorflow engine cannot be loaded: {error}, or use --engine auto."
            ) from error
        if options.threads:
            with suppress(RuntimeError):  # already in use
                tf.config.threading.set_intra_op_parallelism_threads(options.threads)
        self._device = "/CPU:0" if options.device == "cpu" else None
        for gpu in tf.config.list_physical_devices("GPU"):
            with suppress(RuntimeError):  # already in use
                # Otherwise TensorFlow allocates all of the GPU's memory and leaves none to PyTorch.
                tf.config.experimental.set_memory_growth(gpu, True)
        try:
            with tf.device(self._device):
                model = _load(path, config, tf_keras)
            input_shape = model.input_shape[1:]
            self.classes: int = model.output_shape[-1]
        except Exception as error:  # Keras raises many types of errors
            raise unreadable(path, error) from error
        check_shape(path, input_shape)
        tf.config.experimental.enable_tensor_float_32_execution(False)  # 10 bits are not float32
        signature = [tf.TensorSpec([None, *INPUT_SHAPE], tf.float32)]
        self._predict = tf.function(lambda x: model(x, training=False), input_signature=signature)
        self._tf = tf
        self.on_cpu = options.device == "cpu" or not tf.config.list_physical_devices("GPU")
        self.batches_alike = False  # as on PyTorch
        self.name = f"tensorflow fp32 on {'cpu' if self.on_cpu else 'gpu'}"

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See ``ClassifierEngine``."""
        with self._tf.device(self._device):
            scaled = np.divide(images, 255, dtype=np.float32)
            return self._predict(self._tf.constant(scaled)).numpy()


def _load(path: Path, config: dict[str, Any], tf_keras: Any) -> Any:
    """Replaces ``load_model``, which seeks in the archive and takes minutes for large networks."""
    with open_weights(path) as weights, tempfile.TemporaryDirectory() as folder:
        model = tf_keras.models.model_from_json(json.dumps(config))
        whole = Path(folder) / "model.weights.h5"
        with whole.open("wb") as file:
            shutil.copyfileobj(weights, file)
        model.load_weights(whole)
    return model


def import_tensorflow() -> tuple[Any, Any]:
    """Imports ``tensorflow`` and ``tf_keras`` without their output.

    Raises:
        ImportError: One of them is missing or broken; the message gives the reason and the fix.
    """
    import_triton()
    try:
        with _without_greetings():
            import tensorflow
            import tf_keras

            tensorflow.config.list_physical_devices("GPU")  # prints warnings if there is none
    except (ImportError, OSError) as error:
        raise ImportError(_reason_and_fix(error)) from error
    return tensorflow, tf_keras


def _reason_and_fix(error: ImportError | OSError) -> str:
    if not isinstance(error, ModuleNotFoundError):
        fix = "pip install --force-reinstall tensorflow tf_keras"
        return f"TensorFlow cannot be imported ({error}); run {fix}"
    if sys.version_info[:2] > NEWEST_PYTHON:
        here, newest = ("{}.{}".format(*version) for version in (sys.version_info, NEWEST_PYTHON))
        return (
            f"TensorFlow {NEWEST_RELEASE} does not support Python {here}; install SpeciesNet with "
            f"Python {newest}"
        )
    return f"TensorFlow is not installed completely ({error}); run pip install tensorflow tf_keras"


@contextmanager
def _without_greetings() -> Iterator[None]:
    """Hides what TensorFlow's C++ code writes to standard error on import, unless the import fails.

    No setting of TensorFlow prevents this output.
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
