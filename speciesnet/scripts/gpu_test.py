"""Reports the GPUs that PyTorch and TensorFlow find: ``speciesnet gpu-test``."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Generator, Iterator

import speciesnet
from speciesnet.engines.base import EngineOptions
from speciesnet.engines.select import prefers_openvino
from speciesnet.scripts import console, flags

USAGE = """\
Reports which GPUs PyTorch and TensorFlow find on this machine, and what to do
if they find none.

  speciesnet gpu-test
"""
_CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8")


def report() -> Iterator[str]:
    """The lines of the report."""
    yield f"speciesnet {speciesnet.__version__}, Python {platform.python_version()}"
    yield machine()
    yield ""
    torch_gpus = yield from _torch_report()
    yield ""
    tensorflow_gpus = yield from _tensorflow_report()
    yield ""
    yield from _advice(torch_gpus, tensorflow_gpus)


def machine() -> str:
    """System, cores and instruction sets, on one line."""
    return f"{platform.platform()}, {os.cpu_count()} cores{_instruction_sets()}"


def _instruction_sets() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 (no file on most systems)
            flags = next((line.split() for line in file if line.startswith("flags")), [])
    except OSError:
        return ""
    found = [flag for flag in _CPU_FLAGS if flag in flags]
    return f" with {', '.join(found)}" if found else ""


def _torch_report() -> Generator[str, None, int]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield f"PyTorch cannot be imported ({error}): pip install --force-reinstall torch torchvision"
        return 0
    yield f"PyTorch {torch.__version__} (CUDA {torch.version.cuda or 'not built in'})"
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    for index, name in enumerate(names):
        memory = torch.cuda.get_device_properties(index).total_memory / 2**30
        yield f"  cuda:{index}  {name}, {memory:.0f} GiB"
    if torch.backends.mps.is_available():
        names.append("mps")
        yield "  mps  Apple graphics processor"
    if not names:
        yield "No GPUs reported by PyTorch"
    return len(names)


def _tensorflow_report() -> Generator[str, None, int]:
    from speciesnet.engines.tensorflow import import_tensorflow

    try:
        tf, tf_keras = import_tensorflow()
    except ImportError as error:
        yield f"Only unusual classifiers need TensorFlow. If yours does: {error}."
        return 0
    yield f"TensorFlow {tf.__version__}, tf_keras {tf_keras.__version__}"
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        yield f"  {gpu.name}"
    if not gpus:
        yield "No GPUs reported by Tensorflow"
    return len(gpus)


def _advice(torch_gpus: int, tensorflow_gpus: int) -> Iterator[str]:
    if torch_gpus:
        yield "Both networks run on the GPU (engine torch)."
    elif prefers_openvino(EngineOptions()):
        yield (
            "Both networks run on the CPU (the classifier with the openvino engine, the detector with "
            "torch in fp32 and openvino in bf16)."
        )
    else:
        yield "Both networks run on the CPU (engine torch); pip install openvino makes them faster."
    if not torch_gpus:
        yield (
            "If this machine has an NVIDIA GPU, check that nvidia-smi lists it and that its driver is "
            "not older than PyTorch's CUDA, then reinstall speciesnet with plain pip, which installs "
            "PyTorch with CUDA on Linux; on Windows, use the command from pytorch.org."
        )
    elif not tensorflow_gpus:
        yield "TensorFlow needs no GPU here: it is used only for unusual classifiers."


def main(values: flags.Values) -> None:
    """Prints each line as soon as it is known, because importing both libraries takes a while."""
    for line in report():
        sys.stdout.write(f"{line}\n")


COMMAND = console.Command(main, USAGE)

if __name__ == "__main__":
    console.start(COMMAND)
