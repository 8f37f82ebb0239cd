"""Stands in for the web servers of Kaggle and Hugging Face, as their Python packages address them."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_KAGGLE = "/api/v1/models.ModelApiService/"
_COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves one package, under any name.

    Attributes:
        files: The contents of its files, by name.
        cuts: The maximum number of bytes of a file that are sent, for each of the next requests for it.
        ranges: The names of the files that were asked for, and the ranges.
        is_held: Whether a connection is kept a second longer before it is cut, with one byte more.
    """

    daemon_threads = True

    def __init__(self, package: Path) -> None:
        self.files = {one.name: one.read_bytes() for one in package.iterdir() if one.is_file()}
        self.cuts: dict[str, list[int]] = {}
        self.ranges: list[tuple[str, str | None]] = []
        self.is_held: Callable[[], bool] = lambda: False
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which the packages reach this server, and no other."""
        return {
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",  # http://localhost, through the proxy
            "HF_ENDPOINT": self.address,
            "HF_HUB_DISABLE_XET": "1",
            **dict.fromkeys(
                ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), self.address
            ),
            **dict.fromkeys(("no_proxy", "NO_PROXY"), ""),
        }

    def move_detector(self) -> None:
        """Lets the package name its detector by an address, as the published ones do."""
        info = json.loads(self.files["info.json"])
        self.files["md.pt"] = self.files.pop(info["detector"])
        info["detector"] = f"{self.address}/files/md.pt"
        self.files["info.json"] = json.dumps(info).encode()

    @property
    def names(self) -> list[str]:
        """The files of the package itself."""
        return [name for name in self.files if name != "md.pt"]


class _Handler(BaseHTTPRequestHandler):
    server: Hub  # type: ignore[assignment]
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        call = urlsplit(self.path).path.removeprefix(_KAGGLE)
        if call == "GetModelInstance":
            return self._send_json({"versionNumber": 1})
        if call == "ListModelInstanceVersionFiles":
            files = [
                {"name": name, "size": len(self.server.files[name])} for name in self.server.names
            ]
            return self._send_json({"files": files, "nextPageToken": ""})
        assert call == "DownloadModelInstanceVersion", self.path
        return self._send(302, Location=f"{self.server.address}/files/{given['path']}")

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if "/tree/" in path:
            files = self.server.files
            facts = [{"path": one, "size": len(files[one])} for one in self.server.names]
            return self._send_json([{"type": "file", "oid": _COMMIT, **one} for one in facts])
        if path.startswith("/api/models/"):
            return self._send_json({"id": "owner/small", "sha": _COMMIT})
        name = path.rpartition("/")[2]
        if name not in self.server.files:
            return self._send(404)
        return self._send_file(name, self.server.files[name])

    do_HEAD = do_GET  # noqa: N815 (as the server calls it)

    def _send_file(self, name: str, content: bytes) -> None:
        """Sends a file or its rest; with its digests, as both hubs do."""
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if self.command == "GET":
            self.server.ranges.append((name, wanted))
        md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
        headers = {
            "Accept_Ranges": "bytes",
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X_Goog_Hash": f"md5={md5}",
            "X_Repo_Commit": _COMMIT,
        }
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        rest, cuts = content[start:], self.server.cuts.get(name, [])
        if self.command == "HEAD" or not cuts:
            return self._send(206 if start else 200, rest, **headers)
        self._start(206 if start else 200, len(rest), headers)
        sent = cuts.pop(0)
        self.wfile.write(rest[:sent])
        while self.server.is_held():  # clients end connections that stay silent
            self.wfile.write(rest[sent : sent + 1])
            sent += 1
        self.close_connection = True
        return None

    def _send_json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), Content_Type="application/json")

    def _send(self, status: int, content: bytes = b"", **headers: str) -> None:
        self._start(status, len(content), headers)
        if self.command != "HEAD":
            self.wfile.write(content)

    def _start(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(length), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        pass


@contextmanager
def hub_of(package: Path) -> Iterator[Hub]:
    """A hub with a package; other processes reach it too."""
    with Hub(package) as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
