"""Makes the int8 networks of a model, calibrated on photographs, in a separate process.

The process frees its memory when it ends, and a run can continue in a different precision in the
meantime.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from speciesnet.classifier import fit
from speciesnet.detector import SpeciesNetDetector
from speciesnet.errors import ImageError, ModelError, SpeciesNetError, first_line
from speciesnet.files.packages.info import ModelInfo
from speciesnet.images.decoding import read_image, to_array
from speciesnet.records.boxes import BBox

# With 8, 16, 32 and 64 rendered scenes, the confidences of the demo model differed from float32 by 0.019,
# 0.014, 0.012 and 0.008 on average. At full size, a photograph takes 20 seconds on one core.
CALIBRATION_IMAGES = 64
NEEDED_IMAGES = 16  # readable ones
SECONDS = 2 * 3600.0  # after which the process is ended; it normally takes minutes
NICENESS = 5  # the process leaves most of the processor to a run
STOPPING = 10.0  # seconds in which it may remove what is unfinished
_BELOW_NORMAL = int(getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0))  # on Windows

State = Literal["running", "done", "failed"]


class Job(TypedDict):
    """The work of the process.

    Attributes:
        model: The name of the package, from any working directory.
        networks: The networks to quantize: ``detector``, ``classifier``.
        paths: Photographs, more than needed, because some may be unreadable.
        threads: CPU threads of the float32 detector, whose boxes are cropped; None uses all cores.
        replace: Whether to replace networks that were calibrated on other photographs.
    """

    model: str
    networks: list[str]
    paths: list[str]
    threads: int | None
    replace: bool


class Quantization:
    """A quantization that runs in another process.

    Args:
        job: The work to do.
        niceness: How far to lower the priority of the process: 0 to 19.
    """

    def __init__(self, job: Job, niceness: int = 0) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self._start = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603 (this program)
            [sys.executable, "-m", __name__, str(niceness)],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            creationflags=_BELOW_NORMAL if niceness else 0,
        )
        assert self._process.stdin is not None
        with suppress(OSError):  # it has failed already
            self._process.stdin.write(f"{json.dumps(job)}\n".encode())
            self._process.stdin.flush()  # and left open: the process ends when it is closed

    def poll(self) -> State:
        """Whether the networks are finished; ends a process that takes too long."""
        if self._process.poll() is None:
            if time.monotonic() - self._start < SECONDS:
                return "running"
            self.stop()
        return "failed" if self._process.returncode else "done"

    def wait(self) -> None:
        """Waits for the networks.

        Raises:
            ModelError: They cannot be made.
        """
        try:
            while self.poll() == "running":
                time.sleep(0.1)
        except BaseException:  # Ctrl-C
            self.stop()
            raise
        if self.poll() == "failed":
            raise ModelError(self.reason)

    def stop(self) -> None:
        """Ends the process; nothing remains of unfinished networks."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOPPING)
        self._process.kill()
        self._process.wait()

    @property
    def reason(self) -> str:
        """One sentence on why it failed."""
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").strip().splitlines()
        if time.monotonic() - self._start >= SECONDS:
            return f"The int8 networks were not finished after {SECONDS / 3600:.0f} hours."
        code = self._process.returncode
        return (
            lines[-1] if lines else f"The process that makes int8 networks exited with code {code}."
        )


def quantize_in_background(
    model_info: ModelInfo,
    networks: Collection[str],
    paths: Sequence[str],
    *,
    threads: int | None = None,
    replace: bool = False,
    niceness: int = NICENESS,
) -> Quantization:
    """Starts making the int8 networks of a model; see ``Quantization.poll``.

    Args:
        model_info: The package.
        networks: ``detector``, ``classifier`` or both.
        paths: Paths or URLs of photographs, of which an evenly spread subset is used.
        threads: CPU threads; None uses all cores.
        replace: Whether to replace networks that were calibrated on other photographs.
        niceness: How far to lower the priority of the process: 0 to 19.

    Raises:
        ModelError: There are too few photographs.
    """
    check_number(len(paths))
    count = min(len(paths), 2 * CALIBRATION_IMAGES)
    spread = [paths[i * len(paths) // count] for i in range(count)]
    # The second half replaces unreadable ones, so that the first half is also spread over all.
    job = Job(
        model=model_info.lasting_name,
        networks=[*networks],
        paths=spread[::2] + spread[1::2],
        threads=threads,
        replace=replace,
    )
    return Quantization(job, niceness)


def check_number(count: int) -> None:
    """Raises ``ModelError`` if a calibration has too few photographs."""
    if count < NEEDED_IMAGES:
        raise ModelError(
            f"Calibrating int8 networks requires at least {NEEDED_IMAGES} readable photographs, "
            f"but there are {count}. Pass more with speciesnet prepare --precision int8 "
            "--calibration_folder PHOTOGRAPHS, or use --precision fp32."
        )


def quantize_networks(job: Job) -> None:
    """Makes the int8 networks in this process.

    Raises:
        ModelError: There are too few photographs, or a network cannot be quantized.
    """
    from speciesnet.engines import openvino, quantized

    model_info = ModelInfo(job["model"])
    images, digest = _readable(job["paths"])
    calibration = quantized.Calibration(images=images, digest=digest)
    sources = {
        "detector": (lambda: model_info.detector, openvino.convert_detector),
        "classifier": (lambda: model_info.classifier, openvino.convert_classifier),
    }
    lacking = []
    for name in job["networks"]:
        earlier = quantized.calibration_of(sources[name][0]())
        if earlier is None or (job["replace"] and earlier["digest"] != digest):
            lacking.append(name)
    for name, inputs in _inputs(model_info, images, lacking, job["threads"]).items():
        path, convert = sources[name]
        quantized.quantize(path(), convert, inputs, calibration, replace=job["replace"])


def _readable(paths: Sequence[str]) -> tuple[list[str], str]:
    """As many readable photographs as needed, and a hash of their pixels."""
    found: list[str] = []
    digest = hashlib.sha256()
    for path in paths:
        if len(found) == CALIBRATION_IMAGES:
            break
        with suppress(ImageError):  # a run reports it
            image = to_array(read_image(path))
            digest.update(repr(image.shape).encode())
            digest.update(np.ascontiguousarray(image).data)
            found.append(path)
    check_number(len(found))
    return found, digest.hexdigest()


def _inputs(
    model_info: ModelInfo, images: Sequence[str], networks: Collection[str], threads: int | None
) -> Mapping[str, list[NDArray[np.uint8]]]:
    """The inputs of each network: letterboxed photographs, and crops to the most confident box."""
    inputs: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in networks}
    crops = "classifier" in networks and model_info.always_crops
    detector = _detector(model_info, threads) if crops or "detector" in networks else None
    for path in images:
        array = to_array(read_image(path))
        fitted = detector.preprocess(array) if detector else None
        if "detector" in networks and fitted:
            inputs["detector"].append(fitted.arr)
        if "classifier" in networks:
            boxes = detector.detect([fitted])[0][:1] if crops and detector and fitted else []
            bboxes = [BBox(*box["bbox"]) for box in boxes]
            cropped = fit(array, bboxes, always_crop=model_info.always_crops)
            assert cropped is not None
            inputs["classifier"].append(cropped.arr)
    return inputs


def _detector(model_info: ModelInfo, threads: int | None) -> SpeciesNetDetector:
    """The detector in float32, on OpenVINO if it can run it."""
    try:
        return SpeciesNetDetector(model_info, engine="openvino", threads=threads)
    except ModelError:
        return SpeciesNetDetector(model_info, threads=threads)


def _end_with_parent() -> None:
    """Ends this process when the other end of its standard input is closed, even by a kill."""
    sys.stdin.read()
    if "speciesnet.engines.openvino_cache" in sys.modules:
        from speciesnet.engines.openvino_cache import remove_unfinished

        remove_unfinished()
    os._exit(1)


def main() -> None:
    """Performs the job from standard input; if it fails, the last line of the output is the error."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is for the other process, which stops this one
    if (niceness := int(sys.argv[1])) and hasattr(os, "nice"):
        os.nice(niceness)
    job: Job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        quantize_networks(job)
    except Exception as error:  # the other process reports it
        traceback.print_exc()
        sys.stdout.write(f"\n{error if isinstance(error, SpeciesNetError) else _sentence(error)}\n")
        sys.stdout.flush()
        os._exit(1)  # without waiting for the thread
    os._exit(0)


def _sentence(error: Exception) -> str:
    name = type(error).__name__
    return f"The int8 networks cannot be made ({name}: {first_line(error)}). Use --precision fp32."


if __name__ == "__main__":
    main()
