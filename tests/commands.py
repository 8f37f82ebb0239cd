"""Runs commands, in this process or in one of their own, and returns how they end and what they write."""

from __future__ import annotations

import io
import json
import logging as standard_logging
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

from absl import logging

from speciesnet.scripts import console


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


def run_here(module: str, *arguments: str | Path, cwd: Path | None = None) -> Outcome:
    """Runs a command of ``speciesnet.scripts`` to its end in this process, which is much faster.

    Args:
        module: The module of the command.
        *arguments: What follows the name of the program.
        cwd: The working folder.
    """
    command = import_module(f"speciesnet.scripts.{module}").COMMAND
    argv = [module, *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with _unchanged_process(cwd), redirect_stdout(out), redirect_stderr(err):
        code = console.run(command, argv)
    return Outcome(code, out.getvalue(), err.getvalue())


@contextmanager
def _unchanged_process(cwd: Path | None) -> Iterator[None]:
    """Undoes what a command changes in its process: signal handlers, loggers, filters of warnings."""
    numbers = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if os.name != "nt" else []))
    handlers = {number: signal.getsignal(number) for number in numbers}
    loggers = [standard_logging.getLogger(name) for name in (None, "absl", "urllib3")]
    before = [(each, each.level, each.propagate, [*each.handlers]) for each in loggers]
    verbosity, handler = logging.get_verbosity(), logging.get_absl_handler()
    formatter, stream = handler.python_handler.formatter, handler.python_handler.stream
    folder = Path.cwd()
    os.chdir(cwd or folder)
    try:
        with warnings.catch_warnings(), patch("sys.stdin", io.StringIO()):
            yield
    finally:
        os.chdir(folder)
        for number, previous in handlers.items():
            signal.signal(number, previous)
        logging.set_verbosity(verbosity)
        handler.setFormatter(formatter)
        handler.python_handler.stream = stream
        for logger, level, propagate, handlers_before in before:
            logger.setLevel(level)
            logger.propagate, logger.handlers = propagate, handlers_before


def read_predictions(path: Path) -> list[dict[str, Any]]:
    """The records of a file that must be valid JSON."""
    return json.loads(path.read_text(encoding="utf-8"))["predictions"]
