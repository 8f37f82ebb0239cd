from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from speciesnet.engines.base import EngineOptions
from speciesnet.engines.precision import lacks_int8, prefers_int8
from speciesnet.engines.select import load_classifier_engine, load_detector_engine
from speciesnet.errors import ModelError

pytest.importorskip("openvino")
from speciesnet.engines import openvino, quantized

INT8 = EngineOptions(precision="int8")
needs_int8 = pytest.mark.skipif(
    importlib.util.find_spec("nncf") is None or not quantized.has_instructions(),
    reason="needs NNCF, and a CPU with VNNI or AMX",
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPECIESNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def on_this_cpu(monkeypatch: pytest.MonkeyPatch, *, instructions: bool, nncf: bool) -> None:
    monkeypatch.setattr(openvino, "has_instructions", lambda: instructions)
    monkeypatch.setattr(openvino, "can_quantize", lambda: nncf)


def test_other_engines_refuse_int8(yolov5_checkpoint: Path, small_package: Path) -> None:
    with pytest.raises(ModelError, match="The torch engine cannot compute in int8; use --engine"):
        load_detector_engine(yolov5_checkpoint, EngineOptions("torch", "int8"))
    with pytest.raises(ModelError, match="The tensorflow engine cannot compute in int8"):
        load_classifier_engine(
            small_package / "classifier.keras", EngineOptions("tensorflow", "int8")
        )


def test_cpu_without_the_instructions_refuses_int8(
    yolov5_checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_this_cpu(monkeypatch, instructions=False, nncf=True)
    assert "int8" not in openvino.precisions()
    with pytest.raises(ModelError, match="This CPU cannot compute in int8"):
        load_detector_engine(yolov5_checkpoint, INT8)


def test_int8_needs_nncf_or_a_network_in_the_cache(
    yolov5_checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_this_cpu(monkeypatch, instructions=True, nncf=False)
    assert "int8" not in openvino.precisions()
    with pytest.raises(ModelError, match=r"pip install \"speciesnet\[int8\]\""):
        load_detector_engine(yolov5_checkpoint, INT8)
    (cache / "openvino" / "0-int8-1-nncf-3").mkdir(parents=True)
    assert "int8" in openvino.precisions()


def test_missing_network_names_the_command_that_makes_it(
    yolov5_checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_this_cpu(monkeypatch, instructions=True, nncf=True)
    with pytest.raises(ModelError, match="speciesnet prepare --precision int8"):
        load_detector_engine(yolov5_checkpoint, INT8)


def test_int8_is_preferred_where_openvino_runs_a_network_on_such_a_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quantized, "has_instructions", lambda: True)
    monkeypatch.setattr("speciesnet.engines.select._has_gpu", lambda: False)
    assert prefers_int8(EngineOptions()) and prefers_int8(EngineOptions("openvino", device="cpu"))
    assert not prefers_int8(EngineOptions("torch"))
    assert not prefers_int8(EngineOptions("tensorflow"))
    assert not prefers_int8(EngineOptions(device="cuda"))
    monkeypatch.setattr("speciesnet.engines.select._has_gpu", lambda: True)
    assert not prefers_int8(EngineOptions())
    monkeypatch.setattr("speciesnet.engines.select._has_gpu", lambda: False)
    monkeypatch.setattr(quantized, "has_instructions", lambda: False)
    assert not prefers_int8(EngineOptions())


@needs_int8
def test_network_in_int8_is_made_once_and_answers_alike(
    yolov5_checkpoint: Path, cache: Path
) -> None:
    inputs = list(np.random.default_rng(0).integers(0, 255, (4, 64, 128, 3), dtype=np.uint8))
    first = quantized.Calibration(images=["a.jpg"], digest="1")
    other = quantized.Calibration(images=["b.jpg"], digest="2")
    assert lacks_int8(yolov5_checkpoint, INT8)
    folder = quantized.quantize(yolov5_checkpoint, openvino.convert_detector, inputs, first)
    assert not lacks_int8(yolov5_checkpoint, INT8)
    exact = load_detector_engine(yolov5_checkpoint, EngineOptions("openvino"))(inputs[0][None])
    found = load_detector_engine(yolov5_checkpoint, INT8)(inputs[0][None])
    assert not np.array_equal(found, exact)
    np.testing.assert_allclose(found[..., 4:], exact[..., 4:], atol=0.1)
    quantized.quantize(yolov5_checkpoint, openvino.convert_detector, inputs, other)
    assert quantized.calibration_of(yolov5_checkpoint) == first
    quantized.quantize(yolov5_checkpoint, openvino.convert_detector, inputs, other, replace=True)
    assert quantized.calibration_of(yolov5_checkpoint) == other
    (folder / "network.bin").write_bytes(b"")
    assert lacks_int8(yolov5_checkpoint, INT8)
    assert not folder.exists()


@needs_int8
def test_network_of_an_earlier_nncf_is_used_only_without_nncf(
    yolov5_checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = [np.full((64, 64, 3), value, np.uint8) for value in (0, 255)]
    calibration = quantized.Calibration(images=["a.jpg"], digest="1")
    quantized.quantize(yolov5_checkpoint, openvino.convert_detector, inputs, calibration)
    monkeypatch.setattr(quantized, "version_of", {"nncf": "99"}.get)
    assert lacks_int8(yolov5_checkpoint, INT8)
    monkeypatch.setattr(quantized, "version_of", {}.get)
    assert not lacks_int8(yolov5_checkpoint, INT8)
