"""Which precisions below float32 a machine runs natively."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from speciesnet.engines.base import EngineOptions, Precision
from speciesnet.engines.select import loads_openvino, only_openvino_for_int8, prefers_openvino


def reduced_precision(options: EngineOptions) -> Precision | None:
    """The precision below float32 that the engine supports natively on this machine, if any."""
    if options.engine == "tensorflow":
        return None
    if loads_openvino(options):
        from speciesnet.engines import openvino

        return "bf16" if "bf16" in openvino.precisions() else None
    from speciesnet.engines import devices

    return devices.reduced_precision(devices.torch_device(options.device))


def prefers_int8(options: EngineOptions) -> bool:
    """Whether int8 is the fastest precision for a network on this machine: its CPU runs it."""
    if not _prefers_openvino_on_cpu(options):
        return False
    from speciesnet.engines import quantized

    return quantized.has_instructions()


def int8_digest(source: Callable[[], Path], options: EngineOptions) -> str | None:
    """What the int8 network of a file was calibrated on, as a hash.

    None if the cache has no such network, or if it is not the fastest one on this machine.
    """
    if not _prefers_openvino_on_cpu(options):
        return None
    from speciesnet.engines import quantized

    if not quantized.is_any_quantized() or not quantized.has_instructions():
        return None
    calibration = quantized.calibration_of(source())
    return calibration["digest"] if calibration else None


def _prefers_openvino_on_cpu(options: EngineOptions) -> bool:
    """Whether OpenVINO would run a network in int8, and there is no graphics card for it."""
    if options.device not in (None, "cpu") or not prefers_openvino(options):
        return False
    return loads_openvino(replace(options, precision="int8"))


def can_quantize() -> bool:
    """Whether NNCF is installed, which makes networks in int8."""
    from speciesnet.engines import quantized

    return quantized.can_quantize()


def lacks_int8(source: Path, options: EngineOptions) -> bool:
    """Whether the int8 network of a file is missing from the cache, but can be made on this machine."""
    options = only_openvino_for_int8(options)
    if options.engine != "openvino" or not loads_openvino(options):
        return False
    from speciesnet.engines import openvino, quantized

    able = "int8" in openvino.precisions() and quantized.can_quantize()
    return able and quantized.calibration_of(source) is None


def check_int8() -> None:
    """Raises ``ModelError`` if this machine cannot run networks in int8."""
    options = EngineOptions("openvino", "int8")
    loads_openvino(options)
    from speciesnet.engines import openvino

    openvino.check(options)
