from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frameworks import needs_tensorflow

from speciesnet.engines.tensorflow import TensorFlowEngine
from speciesnet.errors import ModelError


def altered(source: Path, target: Path, alter: Any) -> Path:
    """A copy of a .keras file whose configuration went through a function."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                alter(config)
                content = json.dumps(config).encode()
            new.writestr(name, content)
    return target


@pytest.fixture(scope="module")
def engine(small_package: Path) -> TensorFlowEngine:
    return TensorFlowEngine(small_package / "classifier.keras")


@needs_tensorflow
def test_logits_are_those_of_keras_itself(engine: TensorFlowEngine, small_package: Path) -> None:
    import tf_keras

    images = np.random.default_rng(0).integers(0, 255, (3, 480, 480, 3), dtype=np.uint8)
    path = small_package / "classifier.keras"
    model: Any = tf_keras.models.load_model(path, compile=False)
    expected = model.predict(images.astype(np.float32) / 255, verbose=0)
    assert engine.classes == 2498
    np.testing.assert_allclose(engine(images), expected, rtol=1e-4, atol=1e-4)


@needs_tensorflow
def test_last_batch_may_be_smaller(engine: TensorFlowEngine) -> None:
    assert engine(np.zeros((1, 480, 480, 3), np.uint8)).shape == (1, 2498)
    assert engine(np.zeros((5, 480, 480, 3), np.uint8)).shape == (5, 2498)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("keras.layers", "Lambda"),
        ("keras.src.utils.data_utils", "get_file"),
        ("kerasx.layers", "Dense"),
    ],
)
def test_code_outside_keras_is_refused(
    small_package: Path, tmp_path: Path, module: str, name: str
) -> None:
    def alter(config: dict[str, Any]) -> None:
        config["config"]["layers"][1] |= {"module": module, "class_name": name}

    path = altered(small_package / "classifier.keras", tmp_path / "trap.keras", alter)
    with pytest.raises(ModelError, match=rf"trap.keras asks to run {module}.{name}"):
        TensorFlowEngine(path)


@pytest.mark.parametrize("size", [0, 100, 200_000])
def test_file_that_is_cut_off_is_refused(small_package: Path, tmp_path: Path, size: int) -> None:
    path = tmp_path / "cut.keras"
    path.write_bytes((small_package / "classifier.keras").read_bytes()[:size])
    with pytest.raises(ModelError, match=r"cut.keras .* download it again"):
        TensorFlowEngine(path)
