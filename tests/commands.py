"""Runs commands and reads what they write."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one-line error message; fails if there is a stack trace or more than one line."""
        assert "Traceback" not in self.err, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("speciesnet: ")]
        assert len(lines) == 1, self.err
        return lines[0]


def run_module(module: str, *arguments: str | Path) -> Outcome:
    """Runs ``python -m speciesnet.scripts.MODULE`` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", f"speciesnet.scripts.{module}", *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def read_predictions(path: Path) -> list[dict[str, Any]]:
    """The records of a file that must be valid JSON."""
    return json.loads(path.read_text(encoding="utf-8"))["predictions"]
