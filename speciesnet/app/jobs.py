"""Commands that run in their own processes and write their output to a file."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from speciesnet.app.commands import Line
from speciesnet.app.errors import Action
from speciesnet.app.surveys import now

TAIL_BYTES = 2**16  # of a log that pages show or search
LOG_LINES = 20
MAX_LINES = 2000
STOP_SECONDS = 60.0  # for a command to finish writing
_ERROR_PREFIX = "speciesnet: "  # precedes the sentence with which a command ends
# The action that fixes an error, by words in its sentence.
_ACTIONS = (
    ("No space left|disk is full|not enough space", "free_space"),
    ("being written by", "wait"),
    ("cannot be downloaded", "download_model"),
    ("model package|no model", "choose_model"),
    (
        r"no position|time ?zone|[Dd]eployments? |deploymentID| as (latitude|longitude|deployment\w+);",
        "choose_positions",
    ),
    ("The folder .* (does not exist|cannot be)|was moved or deleted", "choose_folder"),
)

# The line that says what a command did, if notes may follow it; otherwise it is the last line.
_RESULT_LINES = {
    "camtrap-dp": r"[\d,]+ photographs? in [\d,]+ events? of ",
    "cameras": r"[\d,]+ cameras?, [\d,]+ with findings;",
    "ecology": r"[\d,]+ detections? of ",
    "evaluate": r"[\d,]+ labeled photographs? in ",
    "report": r"Report of ",
    "sort": r"[\d,]+ photographs? .*sorted ",
}


def action_for(sentence: str) -> str | None:
    """The name of the action that fixes the error in a sentence, if there is one."""
    return next((name for words, name in _ACTIONS if re.search(words, sentence)), None)


def tail(log: Path, lines: int = LOG_LINES) -> list[str]:
    """The last lines of a log; empty if it no longer exists."""
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - TAIL_BYTES, 0))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line for line in re.split(r"[\r\n]+", text) if line.strip()][-lines:]


def last_sentence(log: Path) -> str | None:
    """The sentence that ended a command, otherwise its last line."""
    lines = tail(log)
    own = [line for line in lines if line.startswith(_ERROR_PREFIX)]
    return own[-1].removeprefix(_ERROR_PREFIX) if own else (lines[-1] if lines else None)


def said(kind: str, log: Path) -> str | None:
    """The line in which a command of a given kind says what it did."""
    lines = tail(log, MAX_LINES)
    if pattern := _RESULT_LINES.get(kind):
        lines = [line for line in lines if re.match(pattern, line)] or lines
    return lines[-1] if lines else None


def sentence_on_failures(log: Path) -> str | None:
    """The sentence of a complete run that says how many images failed."""
    return next((one for one in tail(log, 100) if re.match(r"\d+ images?, ", one)), None)


def reason_of_end(code: int, log: Path) -> str:
    """One sentence on why a command failed."""
    if code < 0:
        return (
            f"The command was killed (signal {-code}), perhaps because memory ran out; what it has "
            "written is kept."
        )
    return last_sentence(log) or f"The command ended without a message (exit code {code})."


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
        error = reason_of_end(self.process.returncode, self.log) if state == "failed" else None
        action: Action | None = None
        if error and (name := action_for(error)):
            action = {"name": name, **({"survey": self.survey} if self.survey else {})}
        values = {**self.values, **(_estimate_of(self.log) if self.kind == "estimate" else {})}
        if self.watched:
            values["done_bytes"] = sum(size_of(path)[0] for path in self.watched)
        return {
            "id": self.id,
            "kind": self.kind,
            "survey": self.survey,
            "state": state,
            "command": str(self.line),
            "log": tail(self.log),
            "said": said(self.kind, self.log) if state == "done" else None,
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


def _estimate_of(log: Path) -> dict[str, object]:
    """The numbers that ``--dry_run`` prints."""
    text = "\n".join(tail(log))
    found: dict[str, object] = {}
    if match := re.search(r"^([\d,]+) images?, ([\d,]+) of them already done", text, re.MULTILINE):
        images, before = (int(one.replace(",", "")) for one in match.groups())
        found |= {"images": images, "done_before": before}
        if match := re.search(r"^(\S+) images/s", text, re.MULTILINE):
            rate = float(match[1])
            found |= {"images_per_second": rate, "seconds": (images - before) / rate}
    elif match := re.search(
        r"^([\d,]+) images?, (?:all of them )?already done", text, re.MULTILINE
    ):
        images = int(match[1].replace(",", ""))
        found |= {"images": images, "done_before": images, "seconds": 0.0}
    if match := re.search(r"leaves out (\d+) films?", text):
        found["films_left_out"] = int(match[1])
    return found
