"""Commands that run in their own processes and write their output to a file."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from speciesnet.app import logs
from speciesnet.app.commands import Line
from speciesnet.app.errors import Action
from speciesnet.app.surveys import now

STOP_SECONDS = 60.0  # for a command to finish writing


def start(line: Line, log: Path) -> subprocess.Popen[bytes]:
    """Starts a command without a shell. Its output goes to a file, so that it can outlive the window.

    Args:
        line: The command.
        log: The file for its output; its folder becomes the working directory, so that no module in
            anyone else's folder can be imported.

    Raises:
        OSError: The log cannot be written, or the process cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 (its words were checked one by one)
            [sys.executable, "-m", "speciesnet", *line.arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env=environment,
            # Ctrl-C in the window's terminal must not reach the command: the window stops it properly.
            start_new_session=os.name != "nt",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


def interrupt(pid: int) -> None:
    """Asks a command to finish writing and exit."""
    with suppress(OSError):
        # Not SIGINT, which programs started in the background ignore.
        os.kill(pid, getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))


@dataclass
class Job:
    """One command that was started for a page.

    Attributes:
        kind: What it does.
        survey: The identifier of its survey, or None.
        line: The command.
        log: The file of its output.
        process: The process.
        values: Other values for the page.
        watched: Folders whose growth shows the progress.
        id: Its identifier.
        started: When it was started, ISO 8601.
        is_stopped: Whether ``stop`` has interrupted it.
    """

    kind: str
    survey: str | None
    line: Line
    log: Path
    process: subprocess.Popen[bytes]
    values: dict[str, object] = field(default_factory=dict)
    watched: tuple[Path, ...] = ()
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    started: str = field(default_factory=now)
    is_stopped: bool = False
    _started_at: float = field(default_factory=time.monotonic)
    _ended: float | None = None

    @property
    def state(self) -> str:
        """``running``, ``done``, ``failed`` or ``stopped``."""
        code = self.process.poll()
        if code is None:
            return "running"
        self._ended = self._ended or time.monotonic()
        if code == 0:
            return "done"
        return "stopped" if self.is_stopped else "failed"

    def stop(self) -> None:
        """Interrupts the command."""
        if self.process.poll() is None:
            self.is_stopped = True
            interrupt(self.process.pid)

    def as_json(self) -> dict[str, object]:
        """The job as sent to pages."""
        state = self.state
        error = logs.reason_of_end(self.process.returncode, self.log) if state == "failed" else None
        action: Action | None = None
        if error and (name := logs.action_for(error)):
            action = {"name": name, **({"survey": self.survey} if self.survey else {})}
        values = {**self.values, **(logs.estimate_in(self.log) if self.kind == "estimate" else {})}
        if self.watched:
            values["done_bytes"] = sum(size_of(path)[0] for path in self.watched)
        return {
            "id": self.id,
            "kind": self.kind,
            "survey": self.survey,
            "state": state,
            "command": str(self.line),
            "log": logs.tail(self.log),
            "said": logs.said(self.kind, self.log) if state == "done" else None,
            "error": error,
            "action": action,
            "written": [_facts(p) for p in self.line.written if p.exists()]
            if state != "running"
            else [],
            "started": self.started,
            "seconds": (self._ended or time.monotonic()) - self._started_at,
            "values": values,
        }


def _facts(path: Path) -> dict[str, object]:
    size, files = size_of(path)
    return {"path": str(path), "bytes": size, "files": files}


def size_of(path: Path) -> tuple[int, int]:
    """The size in bytes of a file, or of all files in a folder, and the number of files."""
    if not path.is_dir():
        return (path.stat().st_size, 1) if path.exists() else (0, 0)
    total = count = 0
    for parent, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += Path(parent, name).lstat().st_size
                count += 1
    return total, count
