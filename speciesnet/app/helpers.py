"""Parts of the window that need a lot of memory: each runs in its own process while it is used."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from speciesnet.app.errors import PageError

IDLE_SECONDS = 300.0  # without a request; an open review sends one every few seconds
CHECK_SECONDS = 10.0  # between two checks for idle processes
END_SECONDS = 10.0  # for a process to end by itself
MAX_HELPERS = 3  # running at the same time
SECRET_HEADER = "X-SpeciesNet-Secret"  # noqa: S105 (its name)


@dataclass(frozen=True)
class Work:
    """What a process serves.

    Attributes:
        predictions: The predictions file of a review; "" to look up places.
        mount: The path of the review in the window, without the first slash.
        back: The address and the text of the link that leads back from the review.
    """

    predictions: str = ""
    mount: str = ""
    back: tuple[str, str] = ("", "")


class Helper:
    """A process that serves one part of the window on its own port.

    Other users of the computer can reach the port, so every request carries a secret.

    Args:
        work: What it serves.
        folder: Its working directory, so that no module in anyone else's folder can be imported.

    Attributes:
        port: Its port, once it accepts requests.

    Raises:
        OSError: The process cannot be started.
    """

    def __init__(self, work: Work, folder: Path) -> None:
        self._work = work
        self._secret = secrets.token_urlsafe()
        self.port = self._open = 0
        self._lock = threading.Lock()
        self._used = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "speciesnet.app.helper_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
            # Ctrl-C in the window's terminal must not reach it: it ends with the window.
            start_new_session=os.name != "nt",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )

    def wait(self) -> None:
        """Waits until it accepts requests; raises ``PageError`` if it cannot start."""
        process = self._process
        assert process.stdin and process.stdout
        with suppress(OSError):  # it has failed already
            process.stdin.write(
                f"{json.dumps({'secret': self._secret, **asdict(self._work)})}\n".encode()
            )
            process.stdin.flush()  # and left open: the process ends when it is closed
        with process.stdout:
            answer = process.stdout.readline()
        found: dict[str, object] = json.loads(answer or "{}")
        if isinstance(port := found.get("port"), int):
            self.port = port
            return
        self.close()
        if "error" in found:
            raise PageError(409, "no_review", str(found["error"]))
        raise _interrupted(f"it ended with exit code {process.returncode}")

    @property
    def pid(self) -> int:
        """The process ID."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    @property
    def idle(self) -> float:
        """The seconds since the last request; 0 while it answers one."""
        return 0.0 if self._open else time.monotonic() - self._used

    @contextmanager
    def ask(
        self, method: str, address: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Yields the response to a request; raises ``PageError`` if there is none."""
        with self._lock:
            self._open += 1
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            try:
                given = {**headers, SECRET_HEADER: self._secret}
                connection.request(method, address, body, given)
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise _interrupted(str(error) or type(error).__name__) from error
            yield response
        finally:
            connection.close()
            with self._lock:
                self._open -= 1
                self._used = time.monotonic()

    def close(self) -> None:
        """Ends the process after it has closed its files."""
        assert self._process.stdin
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Helpers:
    """The running processes, by key.

    Args:
        folder: See ``Helper``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Helper, object]] = {}  # the last one was used most recently
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def get(self, key: str, work: Work, state: object = None, *, renew: bool = False) -> Helper:
        """The process of a key; starts it if it is not running.

        Args:
            key: Identifies it.
            work: What it serves.
            state: The state of the files that the process reads.
            renew: Whether to replace a process that was started with another state.

        Raises:
            PageError: It cannot start.
        """
        with self._lock:
            if self._closing.is_set():
                raise _interrupted("the window is closing")
            helper, known = self._running.pop(key, (None, None))
            if helper and helper.is_running and (state == known or not renew):
                self._running[key] = (helper, known)
                return helper
            if helper:
                helper.close()
            while len(self._running) >= MAX_HELPERS:
                self._end(next(iter(self._running)))
            try:
                helper = Helper(work, self._folder)
            except OSError as error:
                raise _interrupted(error.strerror or str(error)) from error
            self._running[key] = (helper, state)
            try:
                helper.wait()
            except PageError:
                self._running.pop(key, None)
                raise
            return helper

    def end(self, key: str) -> None:
        """Ends the process of a key, if it is running."""
        with self._lock:
            self._end(key)

    def close(self) -> None:
        """Ends all processes, including one that is just starting."""
        self._closing.set()
        for key in [*self._running]:
            self._end(key)
        self._thread.join()

    def _end(self, key: str) -> None:
        helper, _ = self._running.pop(key, (None, None))
        if helper:
            helper.close()

    def _watch(self) -> None:
        """Ends processes that are no longer used."""
        while not self._closing.wait(CHECK_SECONDS):
            with self._lock:
                for key, (helper, _) in [*self._running.items()]:
                    if helper.idle > IDLE_SECONDS:
                        self._end(key)


def _interrupted(reason: str) -> PageError:
    sentence = f"The process behind this page was interrupted ({reason}); try again."
    return PageError(503, "interrupted", sentence, "wait")
