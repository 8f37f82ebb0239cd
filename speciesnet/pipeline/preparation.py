"""Prepares what a model needs before its first run: downloads, and converted and int8 networks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Literal

from speciesnet.engines.base import DEFAULT_OPTIONS, EngineOptions, Precision
from speciesnet.engines.precision import check_int8, lacks_int8
from speciesnet.engines.select import convert
from speciesnet.errors import ModelError
from speciesnet.files.packages.info import ModelInfo
from speciesnet.pipeline.calibration import quantize_in_background
from speciesnet.pipeline.networks import NETWORKS


def prepare(
    model_name: str,
    precision: Precision | Literal["auto"] = "auto",
    photographs: Sequence[str] = (),
    *,
    threads: int | None = None,
    force_download: bool = False,
) -> Iterator[str]:
    """Prepares a model on this machine, so that later runs start quickly and work offline.

    Args:
        model_name: See ``ModelInfo``.
        precision: The precision of later runs; ``auto`` prepares all precisions that it may choose,
            and int8 networks if there are photographs.
        photographs: Paths or URLs of photographs to calibrate int8 networks on; networks that were
            calibrated on others are replaced.
        threads: CPU threads; None uses all cores.
        force_download: Whether to download the package again.

    Yields:
        A line for each step: what was made, where, and how many seconds it took.

    Raises:
        ModelError: A step fails.
    """
    start = time.monotonic()
    model_info = ModelInfo(model_name, force_download=force_download)
    yield f"model package: {model_info.folder}{_took(start)}"
    start = time.monotonic()
    sources = {"detector": model_info.detector, "classifier": model_info.classifier}
    yield f"detector: {sources['detector']}{_took(start)}"
    names = list(NETWORKS)
    if precision != "int8":
        names = []
        options = DEFAULT_OPTIONS if precision == "auto" else EngineOptions(precision=precision)
        for name in NETWORKS:
            start = time.monotonic()
            if name == "detector" and precision == "fp32":
                yield "detector for OpenVINO: not needed, because it runs on PyTorch in fp32"
            elif folder := convert(name, sources[name], options):
                names.append(name)
                yield f"{name} for OpenVINO: {folder}{_took(start)}"
            else:
                yield f"{name} for OpenVINO: not needed, because a different engine runs it"
    if precision == "int8" or (precision == "auto" and photographs and names):
        yield from _quantized(model_info, names, photographs, threads)


def _quantized(
    model_info: ModelInfo, names: Sequence[str], photographs: Sequence[str], threads: int | None
) -> Iterator[str]:
    """Makes the int8 networks, unless they exist already; yields a line for each."""
    sources = {"detector": model_info.detector, "classifier": model_info.classifier}
    options = EngineOptions(precision="int8", threads=threads)
    start = time.monotonic()
    check_int8()
    from speciesnet.engines.quantized import calibration_of, quantized_folder

    if photographs:
        quantize_in_background(
            model_info, names, photographs, threads=threads, replace=True, niceness=0
        ).wait()
    elif any(lacks_int8(sources[name], options) for name in names):
        raise ModelError(
            "int8 networks are calibrated on photographs. Add --calibration_folder PHOTOGRAPHS, a folder "
            "of typical ones, or use a different --precision."
        )
    for name in names:
        calibration = calibration_of(sources[name])
        count = len(calibration["images"]) if calibration else 0
        folder = quantized_folder(sources[name])
        yield f"{name} in int8, calibrated on {count} photographs: {folder}"
    yield f"int8 networks{_took(start)}"


def _took(start: float) -> str:
    return f" ({time.monotonic() - start:.1f} s)"
