"""Keeps the errors of fast networks for later runs of the same model on the same machine."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from absl import logging

from speciesnet import __version__
from speciesnet.engines.base import version_of
from speciesnet.files.atomic import write_atomically
from speciesnet.files.packages.downloads import cache_folder
from speciesnet.pipeline.guard.bands import Evidence


@dataclass(frozen=True)
class Verdict:
    """The results of earlier runs with fast networks.

    Attributes:
        evidence: The errors of the networks.
        cost: Their time as a share of that of float32, including the images that are processed again.
    """

    evidence: Evidence
    cost: float


class EvidenceCache:
    """The cached verdict for a model, a machine and the versions of the libraries.

    Args:
        parts: Other things that it depends on, such as the model and the precision.

    Attributes:
        key: A hash of everything that it depends on.
    """

    def __init__(self, *parts: object) -> None:
        versions = [__version__, *map(version_of, ("openvino", "torch"))]
        self._parts = [*parts, versions, _machine()]
        text = json.dumps(self._parts, sort_keys=True, default=str)
        self.key = hashlib.sha256(text.encode()).hexdigest()[:32]
        self._path = cache_folder() / "precision" / f"{self.key}.json"

    def read(self) -> Verdict | None:
        """The verdict, or None if there has been no trial yet."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            return Verdict(Evidence(**found["evidence"]), float(found["cost"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, verdict: Verdict) -> None:
        """Stores a verdict; if that fails, the next run makes another trial."""
        content = {**asdict(verdict), "for": self._parts}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with write_atomically(self._path, fsync=False) as part:
                part.write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")
        except OSError as error:
            logging.info("The result of the precision trial cannot be cached: %s.", error)


def _machine() -> str:
    """The processor, as described by the system."""
    try:
        lines: Iterable[str] = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    kept = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return " ".join(sorted(set(kept)))
