"""Networks in int8 for OpenVINO: made by NNCF from the converted network, and stored in the same cache.

NNCF observes the network on calibration images, and stores weights and activations as whole numbers of
eight bits. The instructions for them (VNNI, AMX) are several times faster than those for float32.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from speciesnet.engines.base import version_of
from speciesnet.engines.openvino_cache import (
    Conversion,
    ConvertedNetwork,
    Facts,
    converted_folder,
    load_converted,
    load_folder,
    openvino,
    without_telemetry,
    write_network,
)
from speciesnet.errors import ModelError, first_line
from speciesnet.files.packages.downloads import cache_folder

RECIPE = 1  # increases whenever ``_quantized`` makes another network from the same images
_CPU_FLAGS = ("avx512_vnni", "avx_vnni", "amx_int8")  # faster than float32, and without overflows
_CALIBRATION = "calibration"

T = TypeVar("T")


class Calibration(TypedDict):
    """The images that a network was calibrated on.

    Attributes:
        images: Their paths.
        digest: A hash of their pixels.
    """

    images: list[str]
    digest: str


def has_instructions() -> bool:
    """Whether this CPU has instructions for int8 that are faster than those for float32."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        import torch

        able = getattr(torch.cpu, "get_capabilities", dict)()  # missing in older versions
        return any(able.get(flag) for flag in _CPU_FLAGS)
    found = next((line.split() for line in lines if line.startswith("flags")), [])
    return not {*_CPU_FLAGS}.isdisjoint(found)


def can_quantize() -> bool:
    """Whether NNCF is installed."""
    return importlib.util.find_spec("nncf") is not None


def quantized_folder(source: Path) -> Path:
    """Where the cache keeps the int8 network of a file, whether it exists or not.

    The name contains the version of NNCF. Without NNCF, the newest network is used.
    """
    converted = converted_folder(source)
    if version := version_of("nncf"):
        return converted.with_name(f"{converted.name}{_ending(version)}")
    found = converted.parent.glob(f"{converted.name}{_ending('*')}")
    complete = [folder for folder in found if folder.is_dir() and folder.suffix != ".part"]
    newest = max(complete, key=lambda folder: folder.stat().st_mtime, default=None)
    return newest or converted.with_name(f"{converted.name}{_ending('none')}")


def _ending(version: str) -> str:
    return f"-int8-{RECIPE}-nncf-{version}"


def is_any_quantized() -> bool:
    """Whether the cache contains the int8 network of any file."""
    return any(path.is_dir() for path in (cache_folder() / "openvino").glob(f"*{_ending('*')}"))


def calibration_of(source: Path) -> Calibration | None:
    """What the int8 network of a file was calibrated on; None if the cache has no such network."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return load_folder(quantized_folder(source), lambda found: found.facts[_CALIBRATION])
    return None


def load_quantized(source: Path, load: Callable[[ConvertedNetwork], T]) -> T:
    """Loads the int8 network of a file from the cache.

    Args:
        source: The file of a detector or a classifier.
        load: Compiles the network; raises an error if the cached network is damaged.

    Raises:
        ModelError: The cache does not contain it.
    """
    try:
        return load_folder(quantized_folder(source), load)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelError(
            f"There is no int8 network of {source} yet. Make it with speciesnet prepare --precision "
            "int8 --calibration_folder PHOTOGRAPHS, or use --precision fp32."
        ) from error


def quantize(
    source: Path,
    convert: Conversion,
    inputs: Sequence[NDArray[np.uint8]],
    calibration: Calibration,
    *,
    replace: bool = False,
) -> Path:
    """Makes the int8 network of a file, unless the cache has it.

    Args:
        source: The file of a detector or a classifier.
        convert: Converts it to a network in float32; see ``load_converted``.
        inputs: The network's inputs (H, W, 3) to calibrate on; their sizes may differ.
        calibration: The images that the inputs were made from.
        replace: Whether to replace a network that was calibrated on other images.

    Returns:
        The folder of the network.

    Raises:
        ModelError: NNCF is missing or fails, or the cache cannot be written.
    """
    nncf = _import_nncf()
    folder = quantized_folder(source)
    with ExitStack() as stack:
        with suppress(OSError, NotImplementedError):  # if files can be locked
            folder.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(f"{folder}.lock"))
        earlier = calibration_of(source)
        is_same = earlier and earlier["digest"] == calibration["digest"]
        if is_same or (earlier and not replace):  # another process was first
            return folder
        network, facts = load_converted(source, convert, _read)
        try:
            quantized = _quantized(nncf, network, inputs)
            write_network(quantized, {**facts, _CALIBRATION: calibration}, folder)
        except Exception as error:  # NNCF, OpenVINO and the disk raise different errors
            raise ModelError(
                f"The int8 network of {source} cannot be made ({first_line(error)}). Fix the cause, or "
                "use --precision fp32."
            ) from error
    return folder


def _import_nncf() -> Any:
    try:
        with without_telemetry():
            import nncf
    except (ImportError, OSError) as error:
        raise ModelError(
            f"Making int8 networks needs NNCF, which cannot be loaded ({first_line(error)}). Run pip "
            'install "speciesnet[int8]", or use --precision fp32.'
        ) from error
    # NNCF's set_log_level also changes others' handlers.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf


def _read(converted: ConvertedNetwork) -> tuple[openvino.Model, Facts]:
    network = converted.network
    return openvino.Core().read_model(network) if isinstance(network, Path) else network, {
        **converted.facts
    }


def _quantized(
    nncf: Any, network: openvino.Model, inputs: Sequence[NDArray[np.uint8]]
) -> openvino.Model:
    """Quantizes a network in float32; the options are those that measured best on the demo model."""
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    return nncf.quantize(
        network,
        nncf.Dataset([image[None] for image in inputs]),
        subset_size=len(inputs),
        preset=nncf.QuantizationPreset.MIXED,
        target_device=nncf.TargetDevice.CPU,
        ignored_scope=nncf.IgnoredScope(names=[*_kept(network)]),
        advanced_parameters=AdvancedQuantizationParameters(
            # VNNI and AMX do not overflow, unlike older instructions, for which weights lose a bit.
            overflow_fix=OverflowFix.DISABLE,
            # The ranges cover all values. NNCF's default, the mean of the images' ranges, cuts off the
            # peaks, which few pixels of few images have: the animals.
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
            disable_bias_correction=True,  # it makes boxes less exact, and takes most of the time
        ),
    )


def _kept(network: openvino.Model) -> Iterator[str]:
    """Names of the layers that stay in floating point: the last ones, next to the outputs."""
    layers = ("Convolution", "GroupConvolution", "MatMul")
    for result in network.get_results():
        op = result
        while op.get_type_name() not in layers:
            op = op.input_value(0).get_node()
        yield op.get_friendly_name()
