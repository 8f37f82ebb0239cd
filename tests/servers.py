"""Real servers for tests, and a client for them."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from speciesnet.images.instances import SAMPLE_IMAGES

SAMPLES = sorted(SAMPLE_IMAGES.rglob("*.jpg"))
# Starts in half the time, for tests that do not depend on the answers of networks.
STAND_IN = Path(__file__).with_name("server") / "with_stand_in_networks.py"
BOUNDARY = "----boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def records(self) -> list[dict[str, Any]]:
        assert self.status == 200, self.body
        return self.json["predictions"]

    @property
    def error(self) -> str:
        """The error message, which must not reveal anything about this computer."""
        assert self.status >= 400, self.body
        assert self.headers["content-type"] == "application/json"
        assert list(self.json) == ["error"]
        sentence = self.json["error"]
        assert sentence
        for secret in (
            "Traceback",
            "/root",
            "/home",
            "/tmp",
            "site-packages",
            str(SAMPLES[0].parent),
        ):
            assert secret not in sentence
        return sentence


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def ask(
        self,
        path: str = "/predict",
        body: Any = None,
        kind: str | None = "application/json",
        method: str | None = None,
        timeout: float = 120,
        **headers: str,
    ) -> Answer:
        """Sends a request, a POST if it has a body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if kind and body is not None:
            given["Content-Type"] = kind
        connection.request(method or ("GET" if body is None else "POST"), path, body, given)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        result = Answer(answer.status, found, answer.read())
        connection.close()
        return result

    def predict(self, *instances: Any, **options: Any) -> Answer:
        """Requests predictions for instances."""
        return self.ask(body=json.dumps({"instances": instances}), **options)

    def upload(self, *files: tuple[str, bytes], fields: Mapping[str, str] | None = None) -> Answer:
        """Requests predictions for a form with files."""
        return self.ask(body=form_of(files, fields or {}), kind=FORM)

    def metric(self, name: str) -> float:
        """The value of a metric."""
        lines = self.ask("/metrics").body.decode().splitlines()
        return float(next(line.split()[-1] for line in lines if line.startswith(f"{name} ")))

    @property
    def workers(self) -> list[int]:
        """The process ids of its workers, from /proc."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                command = (folder / "cmdline").read_bytes()
            except (OSError, ValueError):
                continue
            if parent == self.process.pid and b"spawn_main" in command:
                found.append(int(folder.name))
        return found

    def stop(self) -> int:
        """Stops the server and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def served(
    folder: Path, *arguments: str | Path, model: str | Path = "demo", program: Path | None = None
) -> Iterator[Server]:
    """Starts a server, or a program that starts one, on a free port and waits until it is ready."""
    log = folder / "server.log"
    named = [str(program)] if program else ["-m", "speciesnet.scripts.run_server"]
    command = [sys.executable, *named]
    command += ["--port", "0", "--model", str(model), *map(str, arguments)]
    environment = os.environ | {"TMPDIR": str(folder)}
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, encoding="utf-8", env=environment
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("Serving at "), log.read_text()
        server = Server(process, int(line.split("/, ")[0].rpartition(":")[2]), log)
        wait_until(lambda: process.poll() is not None or server.ask("/ready").status == 200)
        assert process.poll() is None, log.read_text()
        yield server
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def wait_until(holds: Any) -> None:
    """Waits until a condition holds, for at most two minutes."""
    for _ in range(1200):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("The condition did not become true.")


def form_of(files: Sequence[tuple[str, bytes]], fields: Mapping[str, str]) -> bytes:
    """The body of a form."""
    parts = b""
    for name, value in fields.items():
        parts += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        parts += value.encode() + b"\r\n"
    for name, content in files:
        parts += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; '.encode()
        parts += f'filename="{name}"\r\nContent-Type: image/jpeg\r\n\r\n'.encode()
        parts += content + b"\r\n"
    return parts + f"--{BOUNDARY}--\r\n".encode()


def in_base64(content: bytes | Path) -> str:
    """A file in base64."""
    data = content.read_bytes() if isinstance(content, Path) else content
    return base64.b64encode(data).decode()


def picture(number: int = 0, size: tuple[int, int] = (64, 48)) -> bytes:
    """A small JPEG that depends on ``number``."""
    random = np.random.default_rng(number)
    buffer = io.BytesIO()
    noise = random.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()
