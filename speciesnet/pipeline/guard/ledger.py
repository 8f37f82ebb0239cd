"""The finished images of a run that were processed in a lower precision, and their margins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from absl import logging

from speciesnet.pipeline.guard.bands import Evidence

ENDING = ".precision.jsonl"  # of the file next to the predictions


class Ledger:
    """The margins of images that a wider band could reach, stored on disk for later runs.

    The file is deleted once the run is complete. Without it, for example after a disk failure, the images
    keep the answers that the band allowed at the time.

    Args:
        predictions: The predictions file; None keeps the margins in memory.
        key: What the units of the margins depend on; margins with a different key are dropped.

    Attributes:
        margins: The margins by path, in the units of the evidence.
        evidence: The evidence of the earlier run, or None.
    """

    def __init__(self, predictions: Path | None, key: str) -> None:
        self._path = None if predictions is None else Path(f"{predictions}{ENDING}")
        self._key = key
        self.margins: dict[str, float] = {}
        self.evidence: Evidence | None = None
        if self._path is not None:
            self._read(self._path)

    def _read(self, path: Path) -> None:
        with (
            suppress(OSError, ValueError, KeyError, TypeError),
            path.open(encoding="utf-8") as file,
        ):
            header = json.loads(next(file, ""))
            if header["key"] != self._key:
                return
            self.evidence = Evidence(**header["evidence"])
            for line in file:
                with suppress(ValueError):  # cut off
                    filepath, margin = json.loads(line)
                    self.margins[filepath] = float(margin)

    def start(self, evidence: Evidence) -> None:
        """Writes the evidence and the known margins."""
        header = {"key": self._key, "evidence": asdict(evidence)}
        lines: list[object] = [header, *self.margins.items()]
        self._write("w", lines)

    def note(self, margins: Mapping[str, float]) -> None:
        """Adds the margins of images, before their records are written."""
        self.margins |= margins
        self._write("a", list(margins.items()))

    def _write(self, mode: str, lines: list[object]) -> None:
        if self._path is None or not lines:
            return
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        try:
            with self._path.open(mode, encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            logging.warning(
                "%s cannot be written (%s). If this run is interrupted, a later one cannot decide its "
                "images again.",
                self._path,
                error.strerror or error,
            )
            self._path = None

    def reached_by(self, band: float) -> list[str]:
        """The finished images that are doubtful in a band of this width."""
        return [path for path, margin in self.margins.items() if margin < band]

    def forget(self, filepath: str) -> None:
        """Removes an image that has been processed in float32."""
        self.margins.pop(filepath, None)

    def finish(self) -> None:
        """Deletes the file."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()
