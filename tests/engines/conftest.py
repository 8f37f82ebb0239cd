"""Checkpoints of random networks."""

from __future__ import annotations

from pathlib import Path

import pytest
from networks import NAMES, small_network
from yolov5_p6 import save_yolov5_checkpoint


@pytest.fixture(scope="session")
def yolov5_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("yolov5") / "detector.pt"
    save_yolov5_checkpoint(small_network(), NAMES, path)
    return path
