"""Downloads from the hubs that are broken off, through their own Python packages."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hubs import Hub, hub_of

KAGGLE = "kaggle:owner/model/keras/small"
CODE = """
import sys
from speciesnet.errors import ModelError
from speciesnet.files.packages.info import ModelInfo
try:
    info = ModelInfo(sys.argv[1])
    print(info.folder, info.detector, sep="\\n")
except ModelError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def hub(small_package: Path) -> Iterator[Hub]:
    with hub_of(small_package) as hub:
        yield hub


def fetch(hub: Hub, folder: Path, model: str) -> subprocess.CompletedProcess[str]:
    """Asks for the files of a model, in a process of its own, which the hubs' packages configure."""
    places = {
        "KAGGLEHUB_CACHE": str(folder / "kaggle"),
        "HF_HOME": str(folder / "hf"),
        "SPECIESNET_CACHE": str(folder / "cache"),
    }
    environment = {**os.environ, **hub.environment, **places}
    words = [sys.executable, "-c", CODE, model]
    return subprocess.run(words, env=environment, capture_output=True, encoding="utf-8")


def check_files(hub: Hub, done: subprocess.CompletedProcess[str]) -> None:
    """Checks that a download has all files of the package, byte for byte."""
    assert done.returncode == 0, done.stderr
    folder, detector = map(Path, done.stdout.splitlines())
    assert {name: (folder / name).read_bytes() for name in hub.names} == {
        name: hub.files[name] for name in hub.names
    }
    assert detector.read_bytes() == hub.files.get("md.pt", hub.files.get("detector.pt"))


def test_a_package_of_kaggle_and_its_detector_go_on_where_they_were_broken_off(
    hub: Hub, tmp_path: Path
) -> None:
    hub.move_detector()
    half = 2**20  # both write a mebibyte at a time
    hub.files["classifier.keras"] += bytes(2 * half)
    hub.cuts = {"classifier.keras": [half + 10], "md.pt": [half + 10]}
    for _ in range(2):  # first the package, then the detector
        broken = fetch(hub, tmp_path, KAGGLE)
        assert broken.returncode == 1
        assert "cannot be downloaded" in broken.stderr
    check_files(hub, fetch(hub, tmp_path, KAGGLE))
    for name in ("classifier.keras", "md.pt"):
        assert (name, f"bytes={half}-") in hub.ranges
    before = list(hub.ranges)
    check_files(hub, fetch(hub, tmp_path, KAGGLE))
    assert hub.ranges == before


def test_a_package_of_hugging_face_goes_on_where_it_was_broken_off(
    hub: Hub, tmp_path: Path
) -> None:
    step = 10 * 2**20  # bytes that it writes at a time
    hub.files["detector.pt"] += bytes(2 * step)
    hub.cuts = {"detector.pt": [step + 10]}
    check_files(hub, fetch(hub, tmp_path, "hf:owner/small"))
    assert ("detector.pt", f"bytes={step}-") in hub.ranges


def test_a_damaged_file_of_kaggle_is_not_kept(hub: Hub, tmp_path: Path) -> None:
    hub.cuts = {"detector.pt": [2**20 + 10]}
    assert fetch(hub, tmp_path, KAGGLE).returncode == 1
    [part] = tmp_path.rglob("detector.pt")
    part.write_bytes(bytes(part.stat().st_size))
    damaged = fetch(hub, tmp_path, KAGGLE)
    assert "the download is damaged" in damaged.stderr
    check_files(hub, fetch(hub, tmp_path, KAGGLE))
