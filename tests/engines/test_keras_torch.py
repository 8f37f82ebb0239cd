from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from frameworks import HAS_TENSORFLOW, needs_tensorflow
from fuzz import files

from speciesnet.engines.base import EngineOptions
from speciesnet.engines.keras_torch import read_keras_network
from speciesnet.engines.select import load_classifier_engine
from speciesnet.engines.tensorflow import TensorFlowEngine, import_tensorflow
from speciesnet.errors import ModelError, UnsupportedNetworkError


def layers() -> Any:
    return import_tensorflow()[1].layers


def saved(path: Path, build: Any) -> Path:
    """A Keras 2 file: ``build`` makes the features (batch, rows, columns, channels) of an input."""
    tf_keras = import_tensorflow()[1]
    tf_keras.utils.set_random_seed(5)
    inputs = tf_keras.Input((480, 480, 3))
    x = tf_keras.layers.GlobalAveragePooling2D()(build(inputs))
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(7)(x))
    rng = np.random.default_rng(3)
    model.set_weights([rng.uniform(0.1, 0.6, w.shape) for w in model.get_weights()])
    save(model, path)
    return path


def save(model: Any, path: Path) -> None:
    """Saves a model like ``model.save``, but always in the format of ``.keras`` files.

    With tf_keras 2.21, ``model.save`` writes HDF5 from the second file of a thread on, unless that thread
    imported tf_keras; a thread that loaded the networks of an earlier test may have imported it.
    """
    from tf_keras.src.saving.saving_lib import save_model

    save_model(model, path)


def assert_agrees_with_tensorflow(path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (2, 480, 480, 3), dtype=np.uint8)
    network = read_keras_network(path)
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    expected = TensorFlowEngine(path)(images)
    with torch.inference_mode():
        np.testing.assert_allclose(network(batch).numpy(), expected, rtol=2e-5, atol=1e-5)


def squeeze_and_excitation(x: Any) -> Any:
    x = layers().Conv2D(8, 3, strides=2, padding="same")(x)
    y = layers().GlobalAveragePooling2D()(x)
    y = layers().Reshape((1, 1, 8))(y)
    y = layers().Conv2D(4, 1, activation="swish")(y)
    y = layers().Conv2D(8, 1, activation="sigmoid")(y)
    return layers().Multiply()([x, y])


def residual(x: Any) -> Any:
    x = layers().Rescaling(2.0, offset=-1.0)(x)
    x = layers().Conv2D(6, 3, strides=4, padding="same", use_bias=False)(x)
    x = layers().BatchNormalization()(x)
    x = layers().Activation("swish")(x)
    y = layers().DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    y = layers().BatchNormalization(scale=False)(y)
    y = layers().Dropout(0.3)(layers().Activation("relu6")(y))
    return layers().Concatenate()([layers().Add()([x, y]), x])


def uneven_padding(x: Any) -> Any:
    x = layers().Conv2D(4, (5, 2), strides=(3, 2), padding="same")(x)
    x = layers().DepthwiseConv2D(4, strides=2, padding="same")(x)
    return layers().Conv2D(4, 3, strides=2, padding="valid", groups=2)(x)


def pooling(x: Any) -> Any:
    x = layers().AveragePooling2D(3)(x)
    return layers().MaxPooling2D(2, strides=3)(x)


@needs_tensorflow
@pytest.mark.parametrize("build", [squeeze_and_excitation, residual, uneven_padding, pooling])
def test_layers_compute_what_tensorflow_computes(tmp_path: Path, build: Any) -> None:
    assert_agrees_with_tensorflow(saved(tmp_path / "classifier.keras", build))


@needs_tensorflow
def test_efficientnet_v2_agrees_with_tensorflow(tmp_path: Path) -> None:
    tf_keras = import_tensorflow()[1]
    tf_keras.utils.set_random_seed(1)
    model = tf_keras.applications.EfficientNetV2B0(
        weights=None, input_shape=(480, 480, 3), classes=11, classifier_activation=None
    )
    save(model, tmp_path / "classifier.keras")
    assert_agrees_with_tensorflow(tmp_path / "classifier.keras")


def unknown(x: Any) -> Any:
    return layers().LayerNormalization()(layers().Conv2D(4, 3)(x))


@needs_tensorflow
def test_unknown_layer_is_left_to_tensorflow(tmp_path: Path) -> None:
    path = saved(tmp_path / "classifier.keras", unknown)
    with pytest.raises(UnsupportedNetworkError, match="of class LayerNormalization"):
        read_keras_network(path)
    assert isinstance(load_classifier_engine(path), TensorFlowEngine)
    for engine in ("torch", "openvino"):
        with pytest.raises(ModelError, match=f"{engine} engine cannot run .*LayerNormalization"):
            load_classifier_engine(path, EngineOptions(engine))


def test_weights_of_another_shape_are_refused(small_package: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd.keras"
    with (
        zipfile.ZipFile(small_package / "classifier.keras") as old,
        zipfile.ZipFile(path, "w") as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                next(
                    layer for layer in config["config"]["layers"] if layer["class_name"] == "Conv2D"
                )["config"]["groups"] = 3
                content = json.dumps(config).encode()
            new.writestr(name, content)
    reason = "cannot be read" if HAS_TENSORFLOW else "has a part that is not understood"
    with pytest.raises(ModelError, match=f"odd.keras {reason}"):
        load_classifier_engine(path)


def test_weights_larger_than_their_file_are_refused(tmp_path: Path) -> None:
    weights = io.BytesIO(files.member(files.keras_file(), "model.weights.h5"))
    with h5py.File(weights, "a") as file:
        del file["layers/dense/vars/0"]
        file.create_dataset("layers/dense/vars/0", (10**6, 10**6), "f4")  # 4 TB that are not stored
    path = tmp_path / "huge.keras"
    path.write_bytes(files.replaced(files.keras_file(), "model.weights.h5", weights.getvalue()))
    with pytest.raises(ModelError, match=r"huge.keras .* claims more numbers than the file has"):
        load_classifier_engine(path)


@pytest.mark.parametrize("depth", [900, 1500, 100_000])
def test_configuration_nested_deeply_is_read_or_refused(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "deep.keras"
    config = b'{"a":' * depth + b"1" + b"}" * depth
    path.write_bytes(files.replaced(files.keras_file(), "config.json", config))
    with pytest.raises((ModelError, UnsupportedNetworkError)):
        read_keras_network(path)
