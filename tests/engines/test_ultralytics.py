from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from speciesnet.constants import Detection
from speciesnet.detector import InputShape, to_detections
from speciesnet.engines.base import EngineOptions
from speciesnet.engines.select import load_detector_engine
from speciesnet.engines.ultralytics import UltralyticsEngine, isolated
from speciesnet.errors import ModelError


def save(path: Path, architecture: str, classes: int = 3, image_size: int = 320) -> Path:
    """A random network as ultralytics' training saves one."""
    with isolated():  # or it would change Pillow for the tests after these
        from ultralytics import __version__
        from ultralytics.nn.tasks import DetectionModel, RTDETRDetectionModel

    torch.manual_seed(0)
    kind = RTDETRDetectionModel if "rtdetr" in architecture else DetectionModel
    network = kind(architecture, nc=classes, verbose=False)
    vars(network)["names"] = dict(enumerate(("animal", "person", "vehicle", "x")[:classes]))
    vars(network)["args"] = {"task": "detect", "imgsz": image_size}
    content = {
        "model": copy.deepcopy(network).half(),
        "ema": None,
        "train_args": {"imgsz": image_size, "task": "detect"},
        "version": __version__,
    }
    torch.save(content, path)
    return path


@pytest.mark.parametrize("architecture", ["yolov8n.yaml", "yolov9t.yaml", "yolov10n.yaml"])
def test_boxes_are_those_of_ultralytics_itself(tmp_path: Path, architecture: str) -> None:
    path = save(tmp_path / "detector.pt", architecture)
    engine = load_detector_engine(path, EngineOptions(device="cpu"))
    assert isinstance(engine, UltralyticsEngine)
    assert engine.image_size == 320
    images = np.random.default_rng(3).integers(0, 255, (1, 320, 256, 3), dtype=np.uint8)
    raw = engine(images)
    assert raw.shape[2] == 5 + len(Detection)
    assert (raw[..., 4] == 1).all()

    from ultralytics.nn.tasks import load_checkpoint

    network, _ = load_checkpoint(path)
    with torch.inference_mode():
        reference: Any = network(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)[0]
    if reference.shape[2] == 6:  # boxes that the network has chosen itself
        centres = (reference[..., :2] + reference[..., 2:4]) / 2
        np.testing.assert_allclose(raw[..., :2], centres.numpy(), atol=1e-3)
        np.testing.assert_allclose(raw[..., 5:].max(2), reference[..., 4].numpy(), atol=1e-5)
    else:
        expected = reference.transpose(1, 2).numpy()
        np.testing.assert_allclose(raw[..., [0, 1, 2, 3, 5, 6, 7]], expected, atol=1e-3)


def test_transformers_take_stretched_squares(tmp_path: Path) -> None:
    engine = load_detector_engine(save(tmp_path / "detector.pt", "rtdetr-resnet50.yaml"))
    assert engine.stretches
    photograph = np.random.default_rng(3).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    fitted = InputShape(engine.image_size, engine.stride, engine.stretches).fit(photograph)
    assert fitted.arr.shape == (320, 320, 3)
    raw = engine(fitted.arr[None])
    assert raw.shape == (1, 300, 8)
    detections = to_detections(raw[0], (320, 320), (60, 90), stretched=True)
    assert detections
    for detection in detections:
        assert min(detection["bbox"]) >= -1e-6
        assert max(detection["bbox"]) <= 1 + 1e-6


def test_detector_of_other_classes_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "detector.pt", "yolov8n.yaml", classes=4)
    with pytest.raises(ModelError, match=r"has 4 classes; it must have 3"):
        load_detector_engine(path, EngineOptions(device="cpu"))


def test_pillow_stays_as_it_is(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from PIL import Image; before = Image.open;"
        "from speciesnet.engines.base import EngineOptions;"
        "from speciesnet.engines.select import load_detector_engine;"
        f"load_detector_engine(Path({str(save(tmp_path / 'd.pt', 'yolov8n.yaml'))!r}),"
        " EngineOptions(device='cpu'));"
        "import ultralytics; assert Image.open is before"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_checkpoint_that_runs_code_is_refused(tmp_path: Path) -> None:
    with isolated():
        from ultralytics.nn.tasks import DetectionModel

    marker = tmp_path / "marker"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {marker}",)

    path = tmp_path / "trap.pt"
    torch.save({"model": DetectionModel("yolov8n.yaml", nc=3, verbose=False), "x": Trap()}, path)
    with pytest.raises(ModelError, match=r"trap.pt"):
        load_detector_engine(path, EngineOptions(device="cpu"))
    assert not marker.exists()


def test_ultralytics_neither_connects_nor_writes_settings(tmp_path: Path) -> None:
    path = save(tmp_path / "detector.pt", "yolov8n.yaml")
    program = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise SystemExit('connects to %r' % (a,))\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from pathlib import Path\n"
        "from speciesnet.engines.base import EngineOptions\n"
        "from speciesnet.engines.select import load_detector_engine\n"
        "import numpy as np\n"
        f"engine = load_detector_engine(Path({str(path)!r}), EngineOptions('torch'))\n"
        "engine(np.zeros((1, 64, 64, 3), np.uint8))\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    environment = os.environ | {"HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert not list(home.iterdir())
