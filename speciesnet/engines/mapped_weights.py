"""The weights of OpenVINO networks, mapped into memory from their file."""

from __future__ import annotations

import mmap
import re
import sys
from pathlib import Path

import numpy as np

from speciesnet.engines.openvino_cache import WEIGHTS, openvino


class MappedWeights:
    """The weights of a network on disk, which leave memory once OpenVINO has arranged its own copy.

    When OpenVINO maps the file itself, everything that it has read stays in memory in addition to that
    copy: 0.5 GiB for a full-size detector.
    """

    _mapping: mmap.mmap | None = None
    _address = 0

    def read(self, network: Path | openvino.Model) -> openvino.Model:
        """The network, ready to be compiled; a network that could not be stored is returned unchanged."""
        if not isinstance(network, Path):
            return network
        if not hasattr(mmap.mmap, "madvise"):  # Windows
            return openvino.Core().read_model(network)
        weights = self.map(network.with_name(WEIGHTS))
        tensor = openvino.Tensor(weights, shared_memory=True)
        return openvino.Core().read_model(network.read_bytes(), tensor)

    def map(self, path: Path) -> np.ndarray:
        """The bytes of a file; changes to them do not reach the file."""
        with path.open("rb") as file:
            # OpenVINO accepts only writable memory.
            self._mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        weights = np.frombuffer(self._mapping, np.uint8)
        self._address = weights.ctypes.data
        return weights

    def leave_memory(self) -> None:
        """Removes the weights from memory until they are read again, unless they differ from the file.

        On Linux, changed weights would be lost. OpenVINO 2026.4 does not change any.
        """
        if self._mapping is not None and (sys.platform != "linux" or self._is_as_in_file()):
            self._mapping.madvise(mmap.MADV_DONTNEED)

    def _is_as_in_file(self) -> bool:
        try:
            mappings = Path("/proc/self/smaps").read_text(encoding="ascii", errors="replace")
        except OSError:
            return False
        of_file = re.search(rf"^{self._address:x}-.*?^Anonymous: +(\d+) kB", mappings, re.M | re.S)
        return of_file is not None and of_file[1] == "0"
