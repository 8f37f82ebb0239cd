"""A real server and its clients, for the server benchmarks."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BOUNDARY = "----load"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
JSON = {"Content-Type": "application/json"}


def form_of(*files: tuple[str, bytes]) -> bytes:
    """The body of a form with photographs."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{name}"'.encode()
        + b"\r\n\r\n"
        + content
        for name, content in files
    ]
    return b"\r\n".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


@dataclass(frozen=True)
class Answer:
    """A server's response, or the name of the error that occurred instead.

    Attributes:
        status: HTTP status, or None.
        body: The bytes received.
        retry: Seconds to wait before a retry.
        error: Name of the exception, or "".
    """

    status: int | None
    body: bytes = b""
    retry: float = 0.0
    error: str = ""

    @property
    def json(self) -> Any:
        """The parsed body; None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def records(self) -> list[dict[str, Any]]:
        """The predictions; empty if the status is not 200."""
        return self.json["predictions"] if self.status == 200 else []


class Client:
    """A connection that is kept open, and replaced if it breaks."""

    def __init__(self, port: int, timeout: float = 300) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The response to one request, which may be missing."""
        try:
            self._connection.request(method, path, body, dict(headers or {}))
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return Answer(None, error=type(error).__name__)
        return Answer(answer.status, content, float(answer.getheader("Retry-After", "0")))

    def upload(self, body: bytes) -> Answer:
        """The response to a form."""
        return self.ask("POST", "/predict", body, FORM)

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


@dataclass
class Server:
    """A running server.

    Attributes:
        process: Its main process, which handles HTTP.
        port: A port of the loopback interface.
    """

    process: subprocess.Popen[str]
    port: int
    _client: Client = field(init=False)

    def __post_init__(self) -> None:
        self._client = Client(self.port)

    def get(self, path: str) -> Answer:
        """The response for a path."""
        return self._client.ask("GET", path)

    def metric(self, name: str) -> float:
        """The value of a Prometheus metric; NaN if there is none."""
        for line in self.get("/metrics").body.decode().splitlines():
            if line.startswith(f"speciesnet_{name} "):
                return float(line.split()[-1])
        return float("nan")

    @property
    def memory(self) -> dict[int, float]:
        """The memory of the server and its workers in MiB, by process; the server comes first."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                status = (folder / "status").read_text()
            except (OSError, ValueError):
                continue
            pid = int(folder.name)
            if self.process.pid in (pid, parent) and "VmRSS" in status:
                found[pid] = int(status.split("VmRSS:")[1].split()[0]) / 1024
        return dict(sorted(found.items(), key=lambda item: item[0] != self.process.pid))

    @property
    def workers(self) -> list[int]:
        """The worker processes."""
        commands = {pid: Path(f"/proc/{pid}/cmdline") for pid in self.memory}
        return [pid for pid, path in commands.items() if b"spawn_main" in _bytes(path)]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # that process has just ended
        return b""


@contextmanager
def served(
    model: str, flags: Sequence[str], folder: Path | None = None, log: Path | None = None
) -> Iterator[Server]:
    """Starts a server on a free port, and stops it with the signal TERM.

    Args:
        model: Its package.
        flags: Further flags of run_server.
        folder: The folder for its temporary files, instead of the usual one.
        log: The file for its log, instead of the terminal.
    """
    command = [sys.executable, "-m", "speciesnet.scripts.run_server", "--port", "0"]
    command += ["--model", model, *flags]
    environment = os.environ | ({"TMPDIR": str(folder)} if folder else {})
    with (
        (log or Path(os.devnull)).open("w") as errors,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors if log else None,
            encoding="utf-8",
            env=environment,
        ) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit("The server did not start.")
        server = Server(process, int(line.split("/, ")[0].rpartition(":")[2]))
        try:
            while server.get("/ready").status != 200:
                if process.poll() is not None:
                    said = log.read_text() if log else ""
                    raise SystemExit(f"The server ended before it was ready.\n{said}")
                time.sleep(0.5)
            yield server
        finally:
            process.terminate()
            process.wait()
