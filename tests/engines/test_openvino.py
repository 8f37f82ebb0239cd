from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from frameworks import needs_tensorflow

from speciesnet.classifier import softmax
from speciesnet.engines.base import EngineOptions
from speciesnet.engines.select import load_classifier_engine, load_detector_engine
from speciesnet.engines.tensorflow import TensorFlowEngine
from speciesnet.engines.torch import TorchDetector
from speciesnet.errors import ModelError

pytest.importorskip("openvino")
OPENVINO = EngineOptions("openvino")


@pytest.mark.parametrize("shape", [(128, 192), (256, 64), (64, 320)])
def test_boxes_are_those_of_torch(yolov5_checkpoint: Path, shape: tuple[int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 255, (1, *shape, 3), dtype=np.uint8)
    found = load_detector_engine(yolov5_checkpoint, OPENVINO)(images)
    expected = TorchDetector(yolov5_checkpoint)(images)
    assert found.shape == expected.shape and found.dtype == np.float32
    np.testing.assert_allclose(found[..., :4], expected[..., :4], atol=0.05)
    np.testing.assert_allclose(found[..., 4:], expected[..., 4:], atol=1e-5)


def test_batch_gives_what_single_images_give(yolov5_checkpoint: Path) -> None:
    engine = load_detector_engine(yolov5_checkpoint, OPENVINO)
    images = np.random.default_rng(0).integers(0, 255, (2, 64, 128, 3), dtype=np.uint8)
    alone = np.concatenate([engine(images[:1]), engine(images[1:])])
    np.testing.assert_allclose(engine(images), alone, atol=1e-3)


@needs_tensorflow
def test_classifier_agrees_with_tensorflow(small_package: Path) -> None:
    path = small_package / "classifier.keras"
    engine = load_classifier_engine(path, OPENVINO)
    images = np.random.default_rng(0).integers(0, 255, (3, 480, 480, 3), dtype=np.uint8)
    expected = softmax(TensorFlowEngine(path)(images))
    np.testing.assert_allclose(softmax(engine(images)), expected, atol=1e-5)
    np.testing.assert_allclose(softmax(engine(images[:1])), expected[:1], atol=1e-5)


def test_batches_of_any_size_give_the_same_classes(small_package: Path) -> None:
    engine = load_classifier_engine(small_package / "classifier.keras", OPENVINO)
    assert engine.batches_alike
    images = np.random.default_rng(0).integers(0, 255, (8, 480, 480, 3), dtype=np.uint8)
    together = engine(images)
    for size in (1, 2, 4):
        parts = [engine(images[i : i + size]) for i in range(0, 8, size)]
        # Equal to the last bit with AVX2; other processors may add numbers in a different order.
        np.testing.assert_allclose(np.concatenate(parts), together, rtol=1e-5, atol=1e-5)


def test_answers_are_not_overwritten_by_the_next_batch(small_package: Path) -> None:
    engine = load_classifier_engine(small_package / "classifier.keras", OPENVINO)
    images = np.random.default_rng(0).integers(0, 255, (2, 480, 480, 3), dtype=np.uint8)
    first = engine(images[:1])
    copy = first.copy()
    engine(images[1:])
    assert np.array_equal(first, copy)


def test_other_devices_and_precisions_are_refused(yolov5_checkpoint: Path) -> None:
    with pytest.raises(ModelError, match="runs on the CPU, not on 'cuda'"):
        load_detector_engine(yolov5_checkpoint, EngineOptions("openvino", device="cuda"))
    with pytest.raises(ModelError, match="cannot compute in fp16"):
        load_detector_engine(yolov5_checkpoint, EngineOptions("openvino", "fp16"))


def test_second_run_imports_no_framework_and_connects_to_nothing(
    yolov5_checkpoint: Path, small_package: Path
) -> None:
    program = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise SystemExit('connects to %r' % (a,))\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from pathlib import Path\n"
        "from speciesnet.engines.base import EngineOptions\n"
        "from speciesnet.engines.select import *\n"
        f"load_detector_engine(Path({str(yolov5_checkpoint)!r}), EngineOptions('openvino'))\n"
        f"path = Path({str(small_package / 'classifier.keras')!r})\n"
        "load_classifier_engine(path, EngineOptions('openvino'))\n"
        "print(sorted({'torch', 'tensorflow', 'tf_keras', 'openvino_telemetry'} & set(sys.modules)))\n"
    )
    outputs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        for _ in range(2)
    ]
    assert [done.returncode for done in outputs] == [0, 0], outputs[0].stderr
    assert outputs[1].stdout == "[]\n"
