from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from speciesnet import SpeciesNet
from speciesnet.errors import ModelError
from speciesnet.files.packages.info import ModelInfo
from speciesnet.images.instances import SAMPLE_IMAGES, find_images
from speciesnet.pipeline.calibration import NEEDED_IMAGES, quantize_in_background

pytest.importorskip("openvino")
from speciesnet.engines import quantized

needs_int8 = pytest.mark.skipif(
    importlib.util.find_spec("nncf") is None or not quantized.has_instructions(),
    reason="needs NNCF, and a CPU with VNNI or AMX",
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPECIESNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def samples() -> list[str]:
    return find_images([str(SAMPLE_IMAGES)])[: NEEDED_IMAGES + 1]


def test_too_few_photographs_are_refused() -> None:
    with pytest.raises(ModelError, match=r"at least 16 readable photographs, but there are 2"):
        quantize_in_background(ModelInfo("demo"), ["detector"], samples()[:2])


@pytest.mark.slow
def test_unreadable_photographs_do_not_count(cache: Path, tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{i}.jpg") for i in range(NEEDED_IMAGES)]
    quantization = quantize_in_background(ModelInfo("demo"), ["detector"], paths)
    with pytest.raises(ModelError, match="but there are 0"):
        quantization.wait()
    assert quantization.poll() == "failed"


@pytest.mark.slow
@needs_int8
def test_run_in_int8_makes_both_networks_once(cache: Path) -> None:
    paths, made = samples(), []
    for _ in range(2):
        model = SpeciesNet("demo", precision="int8", threads=1)
        answers = model.predict(filepaths=paths)
        assert answers is not None
        assert not any("failures" in record for record in answers["predictions"])
        assert model.detector.engine.name == model.classifier.engine.name == "openvino int8"
        made.append({p: p.stat().st_mtime_ns for p in cache.rglob("*-int8-*/network.bin")})
    assert len(made[0]) == 2 and made[0] == made[1]
    found = quantized.calibration_of(ModelInfo("demo").detector)
    assert found is not None and sorted(found["images"]) == sorted(paths)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_process_ends_with_its_parent_even_if_that_is_killed(cache: Path, tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    for i in range(NEEDED_IMAGES):
        Image.new("RGB", (4000, 3000)).save(tmp_path / f"{i}.png")
    code = (
        "import sys\n"
        "from speciesnet.files.packages.info import ModelInfo\n"
        "from speciesnet.pipeline.calibration import quantize_in_background\n"
        "making = quantize_in_background(ModelInfo('demo'), ['detector'], sys.argv[1:])\n"
        "print(making._process.pid, flush=True)\n"
        "making.wait()\n"
    )
    paths = find_images([str(tmp_path)])
    parent = subprocess.Popen([sys.executable, "-c", code, *paths], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    process = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.05)
    assert not list(cache.rglob("facts.json")) and not list(cache.rglob("*.part"))


@pytest.mark.slow
def test_process_that_is_stopped_leaves_nothing(cache: Path, tmp_path: Path) -> None:
    for i in range(NEEDED_IMAGES):
        Image.new("RGB", (4000, 3000)).save(tmp_path / f"{i}.png")
    quantization = quantize_in_background(
        ModelInfo("demo"), ["detector"], find_images([str(tmp_path)])
    )
    assert quantization.poll() == "running"
    quantization.stop()
    assert quantization.poll() == "failed"
    assert not list(cache.rglob("facts.json")) and not list(cache.rglob("*.part"))
