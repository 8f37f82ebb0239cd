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


def has_int8(source: Callable[[], Path], options: EngineOptions) -> bool:
    """Whether the cache has the int8 network of a file, and this machine can run it."""
    options = only_openvino_for_int8(replace(options, precision="int8"))
    if options.engine != "openvino" or options.device not in (None, "cpu"):
        return False
    if not prefers_openvino(replace(options, precision="fp32")) or not loads_openvino(options):
        return False
    from speciesnet.engines import openvino, quantized

    able = quantized.is_any_quantized() and "int8" in openvino.precisions()
    return able and quantized.calibration_of(source()) is not None


def lacks_int8(source: Path, options: EngineOptions) -> bool:
    """Whether the int8 network of a file is missing in the cache, but can be made on this machine."""
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
