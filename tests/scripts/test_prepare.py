from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from commands import run_here

from speciesnet.engines.base import EngineOptions
from speciesnet.engines.select import prefers_openvino

pytest.importorskip("openvino")
from speciesnet.engines import quantized

pytestmark = pytest.mark.skipif(
    not prefers_openvino(EngineOptions()), reason="a different engine is faster on this machine"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPECIESNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def folders(cache: Path) -> list[Path]:
    return sorted(path for path in (cache / "openvino").iterdir() if path.is_dir())


def test_networks_are_converted_and_their_folders_printed(cache: Path) -> None:
    done = run_here("prepare", "--model", "demo")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "model package",
        "detector",
        "detector for OpenVINO",
        "classifier for OpenVINO",
    ]
    assert len(folders(cache)) == 2
    assert all(str(folder) in done.out for folder in folders(cache))


def test_detector_in_float32_needs_no_conversion(cache: Path) -> None:
    done = run_here("prepare", "--model", "demo", "--precision", "fp32")
    assert "detector for OpenVINO: not needed, because it runs on PyTorch in fp32\n" in done.out
    assert len(folders(cache)) == 1


def test_cache_that_cannot_be_written_is_an_error(cache: Path) -> None:
    cache.write_text("a file is in the way of the folder")
    done = run_here("prepare", "--model", "demo", "--precision", "fp32")
    assert done.code == 1
    assert "The classifier cannot be stored in" in done.err


@pytest.mark.skipif(
    importlib.util.find_spec("nncf") is None or not quantized.has_instructions(),
    reason="needs NNCF, and a CPU with VNNI or AMX",
)
def test_int8_needs_photographs_only_the_first_time(cache: Path) -> None:
    int8 = ("prepare", "--model", "demo", "--precision", "int8")
    assert "Add --calibration_folder PHOTOGRAPHS" in run_here(*int8).sentence
    done = run_here(*int8, "--calibration_folder", "demo")
    assert done.code == 0, done.err
    assert "detector in int8, calibrated on 19 photographs: " in done.out
    assert run_here(*int8).code == 0
    assert len(folders(cache)) == 4
