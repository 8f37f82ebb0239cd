"""Hours of use and abuse of a server: a steady load, and everything that can go wrong on a network.

PYTHONPATH=scripts python scripts/benchmark/soak.py --minutes 30 -- --engine openvino --threads 1

Well-behaved clients send valid photographs all the time. Meanwhile there are damaged images, oversized
bodies, decompression bombs, disappearing and slow clients, malformed JSON and forms, more requests than
the backlog allows, and killed workers. A line per minute shows the state, and the last lines show any
wrong answers: then the exit code is 1.
"""

from __future__ import annotations

import argparse
import base64
import collections
import io
import json
import os
import random
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.server_client import FORM, JSON, Answer, Client, Server, form_of, served
from speciesnet.images.instances import SAMPLE_IMAGES

BACKLOG, LARGEST_REQUEST = 24, 16  # images
LIMITS = (
    *("--backlog", str(BACKLOG), "--max_instances", str(LARGEST_REQUEST)),
    *("--max_image_mb", "4", "--max_body_mb", "16", "--timeout", "120"),
)
FROM_MINUTE = 5  # memory is measured from then on; before, caches fill
GROWTH = 1.10  # the most that the web process may grow
SCORE = 1e-3  # between the scores of one photograph: batches add numbers in a different order
KILL_SECONDS = 75  # between two workers that are killed, on average
FAULT_SECONDS = 1.5  # between two other faults
LOST_SECONDS = 10  # after a worker is killed, during which its requests may be asked to retry
STUCK_SECONDS = 120  # for the server to become idle at the end
PATIENCE = 900  # seconds that a client waits: the server should end what takes too long


@dataclass
class Tally:
    """Counts of what happened.

    Attributes:
        answers: Statuses of all requests.
        took: Response times for good photographs in seconds, since the last line.
        good: Good photographs that got the right answer.
        wrong: Events that should not happen, by kind.
        faults: Faults, by kind.
        killed: When workers were killed, by ``time.monotonic``.
    """

    answers: collections.Counter[Any] = field(default_factory=collections.Counter)
    took: list[float] = field(default_factory=list)
    good: int = 0
    wrong: collections.Counter[str] = field(default_factory=collections.Counter)
    faults: collections.Counter[str] = field(default_factory=collections.Counter)
    killed: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, answer: Answer) -> None:
        """Counts a response; of all statuses from 500, only 503 is right."""
        with self.lock:
            self.answers[answer.status or answer.error] += 1
        if (answer.status or 0) >= 500 and answer.status != 503:
            self.blame(f"status {answer.status}", str(answer.json))

    def blame(self, what: str, more: str = "") -> None:
        """Counts something that should not happen, and prints the first of its kind."""
        with self.lock:
            self.wrong[what] += 1
            if self.wrong[what] <= 5:
                print(f"WRONG: {what} {more}".rstrip(), flush=True)

    def was_killed(self, since: float) -> bool:
        """Whether a worker was killed during a request that started at this time."""
        return any(since - LOST_SECONDS < moment < time.monotonic() for moment in self.killed)


class Soak:
    """One server, its clients and its faults.

    Args:
        server: The server under test.
        seed: The seed of the faults and their times.
    """

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.tally = Tally()
        self.over = threading.Event()
        self._random = random.Random(seed)
        paths = sorted(SAMPLE_IMAGES.rglob("*.jpg"))
        self.photographs = [
            (f"{path.parent.name}/{path.name}", path.read_bytes()) for path in paths
        ]
        self._right: dict[str, dict[str, Any]] = {}
        self._faults: dict[str, Callable[[], None]] = {
            "bad image": self._bad_image,
            "bad beside good": self._bad_beside_good,
            "bomb": self._bomb,
            "oversized": self._oversized,
            "oversized, no length": self._oversized_without_length,
            "too many images": self._too_many,
            "malformed JSON": self._malformed_json,
            "malformed form": self._malformed_form,
            "no HTTP": self._no_http,
            "forbidden": self._forbidden,
            "vanishes before the answer": lambda: self._vanish(1.0),
            "vanishes in the body": lambda: self._vanish(0.6),
            "slow head": lambda: self._slow(40),
            "slow body": lambda: self._slow(300),
            "slow reader": self._slow_reader,
            "burst": self._burst,
        }

    def learn(self) -> None:
        """Learns the right answers, before any faults."""
        client = Client(self.server.port, PATIENCE)
        for name, content in self.photographs:
            (record,) = client.upload(form_of((name, content))).records
            assert "failures" not in record, record
            self._right[name] = record
        client.close()

    def behave(self, number: int) -> None:
        """A client that sends one good photograph after another, until the end."""
        client = Client(self.server.port, PATIENCE)
        while not self.over.is_set():
            since = time.monotonic()
            answer = self._good(client, self.photographs[number % len(self.photographs)])
            if answer.status == 200:
                with self.tally.lock:
                    self.tally.took.append(time.monotonic() - since)
            elif answer.status == 503:
                self.over.wait(min(answer.retry, 1.0))
            number += 1
        client.close()

    def ask_all(self) -> None:
        """Sends each good photograph once."""
        client = Client(self.server.port, PATIENCE)
        for photograph in self.photographs:
            self._good(client, photograph)
        client.close()

    def misbehave(self) -> None:
        """Causes one random fault after another, some at the same time, until the end."""
        with ThreadPoolExecutor(16) as executor:
            running: list[Future[None]] = []
            kinds = list(self._faults)
            while not self.over.wait(self._random.expovariate(1 / FAULT_SECONDS)):
                running = [future for future in running if not self._is_done(future)]
                if len(running) < 16:
                    running.append(executor.submit(self._fault, self._random.choice(kinds)))
            for future in running:
                future.result()

    def kill(self) -> None:
        """Kills a worker now and then."""
        while not self.over.wait(self._random.uniform(0.5, 1.5) * KILL_SECONDS):
            for worker in self.server.workers[:1]:
                self.tally.killed.append(time.monotonic())
                self.tally.faults["worker killed"] += 1
                os.kill(worker, signal.SIGKILL)

    @staticmethod
    def _is_done(future: Future[None]) -> bool:
        if future.done():
            future.result()  # raises its error
        return future.done()

    def _fault(self, kind: str) -> None:
        with self.tally.lock:
            self.tally.faults[kind] += 1
        self._faults[kind]()

    def _good(self, client: Client, *files: tuple[str, bytes]) -> Answer:
        """Sends files of which the last one is good, and checks its answer."""
        since = time.monotonic()
        answer = client.upload(form_of(*files))
        self.tally.note(answer)
        name = files[-1][0]
        if answer.status == 200:
            if (problem := self._difference(name, answer)) is not None:
                self.tally.blame("wrong answer", f"({name}: {problem})")
            else:
                with self.tally.lock:
                    self.tally.good += 1
        elif answer.status != 503 and not self.tally.was_killed(since):
            self.tally.blame(
                "good image failed", f"({answer.status or answer.error} {answer.json})"
            )
        elif b"lost" in answer.body and not self.tally.was_killed(since):
            self.tally.blame("a worker was lost that nobody killed")
        return answer

    def _difference(self, name: str, answer: Answer) -> str | None:
        right, record = self._right[name], answer.records[-1]
        if record.get("failures"):
            return f"failures {record['failures']}"
        for key in ("filepath", "prediction", "prediction_source"):
            if record.get(key) != right[key]:
                return f"{key} is {record.get(key)!r}, not {right[key]!r}"
        if abs(record["prediction_score"] - right["prediction_score"]) > SCORE:
            return f"score {record['prediction_score']}, not {right['prediction_score']}"
        return None

    def _expect(self, kind: str, answer: Answer, *statuses: int | None) -> None:
        """Counts the response to a fault: 503 is always right, and None means no response."""
        self.tally.note(answer)
        if answer.status not in (*statuses, 503):
            self.tally.blame(f"code for {kind}", f"({answer.status or answer.error} {answer.json})")

    def _ask(self, body: Any, headers: Any = FORM) -> Answer:
        client = Client(self.server.port, PATIENCE)
        answer = client.ask("POST", "/predict", body, headers)
        client.close()
        return answer

    def _sample(self) -> tuple[str, bytes]:
        return self._random.choice(self.photographs)

    def _bad_image(self) -> None:
        name, content = self._sample()
        bad = self._random.choice([b"", b"text", content[: len(content) // 2], content[500:]])
        answer = self._ask(form_of((name, bad)))
        self._expect("bad image", answer, 200)
        if answer.status == 200 and answer.records[0]["filepath"] != name:
            self.tally.blame("bad image has another name")

    def _bad_beside_good(self) -> None:
        client = Client(self.server.port, PATIENCE)
        self._good(client, ("bad.jpg", self._random.randbytes(5000)), self._sample())
        client.close()

    def _bomb(self) -> None:
        side = self._random.choice([9_000, 20_000])
        answer = self._ask(form_of(("bomb.png", _bomb(side))))
        self._expect("bomb", answer, 200)
        if answer.status == 200 and "failures" not in answer.records[0]:
            self.tally.blame("bomb was predicted")

    def _oversized(self) -> None:
        if self._random.random() < 0.5:
            self._expect("oversized", self._ask(form_of(("large.jpg", b"x" * (5 * 2**20)))), 413)
        else:  # it may be cut off before it is read
            self._expect("oversized", self._ask(b"x" * (17 * 2**20)), 413, None)

    def _oversized_without_length(self) -> None:
        pieces: Iterator[bytes] = iter([b"x" * 2**16] * 300)
        self._expect("oversized, no length", self._ask(pieces, JSON), 413, None)

    def _too_many(self) -> None:
        count = self._random.choice([LARGEST_REQUEST + 1, 10_000])
        body = json.dumps({"instances": [{"filepath": "a"}] * count})
        self._expect("too many images", self._ask(body, JSON), 413)

    def _malformed_json(self) -> None:
        good = json.dumps({"instances": [{"filepath": "a", "image": "AAAA"}]}).encode()
        bodies = [good[:-5], b"[" * 50_000, b"\xff\xfe", b"null", good.replace(b'"AAAA"', b"1")]
        self._expect("malformed JSON", self._ask(self._random.choice(bodies), JSON), 400)

    def _malformed_form(self) -> None:
        good = form_of(self._sample())
        bodies = [good[:-9], good[20:], b"", good.replace(b"\r\n\r\n", b"\r\n", 1)]
        self._expect("malformed form", self._ask(self._random.choice(bodies)), 400)

    def _no_http(self) -> None:
        with self._raw(self._random.randbytes(300) + b"\r\n\r\n") as connection:
            answer = _all_of(connection)
            if answer and not answer.startswith(b"HTTP/1.1 400 "):
                self.tally.blame("no HTTP", f"(was answered {answer[:50]!r})")

    def _forbidden(self) -> None:
        path = self._random.choice(
            ["/etc/passwd", "http://127.0.0.1/a", "http://169.254.169.254/", "s3://b/a"]
        )
        self._expect(
            "forbidden", self._ask(json.dumps({"instances": [{"filepath": path}]}), JSON), 403
        )

    def _raw(self, *pieces: bytes) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.server.port), timeout=PATIENCE)
        for piece in pieces:
            connection.sendall(piece)
        return connection

    def _request(self, *files: tuple[str, bytes]) -> bytes:
        body = form_of(*files)
        head = "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in FORM.items()
        )
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def _vanish(self, part: float) -> None:
        whole = self._request(*[self._sample()] * 3)
        with self._raw(whole[: int(part * len(whole))]):
            time.sleep(self._random.uniform(0, 0.5))

    def _slow(self, sent: int) -> None:
        """A client that stops sending after some bytes, or sends one byte now and then."""
        whole = self._request(self._sample())
        with self._raw(whole[:sent]) as connection:
            try:
                for number in range(20):
                    connection.sendall(whole[sent + number : sent + number + 1])
                    time.sleep(1)
                answer = _all_of(connection)
            except OSError:  # it was closed in between
                return
            if not answer.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 503 ")) and answer:
                self.tally.blame("slow client", f"(was answered {answer[:50]!r})")

    def _slow_reader(self) -> None:
        with self._raw(self._request(self._sample())) as connection:
            time.sleep(20)
            answer = _all_of(connection)
            if not answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 503 ")):
                self.tally.blame("slow reader", f"(was answered {answer[:50]!r})")

    def _burst(self) -> None:
        """Sends more requests than may wait: some are answered, and the others are asked to retry."""
        image = base64.b64encode(self._sample()[1]).decode()
        body = json.dumps({"instances": [{"filepath": "a", "image": image}] * 8})
        with ThreadPoolExecutor(2 * BACKLOG // 8) as executor:
            for answer in executor.map(lambda _: self._ask(body, JSON), range(2 * BACKLOG // 8)):
                self._expect("burst", answer, 200)


def _bomb(side: int) -> bytes:
    """A huge picture of a single color, in a few kilobytes."""
    buffer = io.BytesIO()
    Image.new("1", (side, side)).save(buffer, "PNG", compress_level=9)
    return buffer.getvalue()


def _all_of(connection: socket.socket) -> bytes:
    """All data received; empty if the connection was cut."""
    try:
        return connection.recv(2**16)
    except OSError:
        return b""


def _line(minute: int, seconds: float, soak: Soak, memory: list[dict[int, float]]) -> float:
    """Prints a line about the last minute; returns the memory of the web process in MiB."""
    tally, web = soak.tally, soak.server.process.pid
    with tally.lock:
        took, tally.took = tally.took, []
        answers, tally.answers = tally.answers, collections.Counter()
    p50, p99 = np.percentile(took, (50, 99)) if took else (0.0, 0.0)
    own = statistics.median(found.get(web, 0.0) for found in memory)
    workers = max(sum(found.values()) - found.get(web, 0.0) for found in memory)
    codes = ", ".join(f"{code} {count}" for code, count in sorted(answers.items(), key=str))
    print(
        f"minute {minute}: {len(took) / seconds:.1f} images/s, p50 {p50:.2f} s, p99 {p99:.2f} s; "
        f"{codes}; web {own:.1f} MiB, workers {workers:.0f} MiB; wrong {sum(tally.wrong.values())}",
        flush=True,
    )
    return own


def _rest(soak: Soak, spool: Path) -> None:
    """Checks that the server becomes idle again, and answers as before."""
    server, tally = soak.server, soak.tally
    names = ("images_accepted", "images_waiting", "spool_bytes")
    end = time.monotonic() + STUCK_SECONDS
    while time.monotonic() < end:
        if server.get("/ready").status == 200 and not any(map(server.metric, names)):
            break
        time.sleep(1)
    else:
        tally.blame("it does not come to rest", f"({ ({n: server.metric(n) for n in names}) })")
    left = [path.name for path in spool.glob("speciesnet-server-*/*") if path.is_dir()]
    if left:
        tally.blame(f"files of {len(left)} requests are left over")
    before = tally.good
    soak.ask_all()
    if tally.good != before + len(soak.photographs):
        tally.blame("it does not answer all photographs in the end")


def _grown(memory: list[float]) -> str | None:
    """Describes a problem with the memory of the web process, given in MiB by minute."""
    if len(memory) <= FROM_MINUTE + 1:
        print(f"memory: too short to judge; it is from minute {FROM_MINUTE} on")
        return None
    first, last = memory[FROM_MINUTE - 1], max(memory[FROM_MINUTE:])
    print(f"memory: {first:.1f} MiB in minute {FROM_MINUTE}, at most {last:.1f} MiB after it")
    return f"memory grew to {last / first:.2f} of it" if last > GROWTH * first else None


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--clients", type=int, default=4, help="that behave")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("flags", nargs="*", help="of run_server, after --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder, log = Path(name), Path(name) / "server.log"
        with served(options.model, [*LIMITS, *options.flags], folder, log) as server:
            soak = Soak(server, options.seed)
            soak.learn()
            threads = [
                *(threading.Thread(target=soak.behave, args=(n,)) for n in range(options.clients)),
                threading.Thread(target=soak.misbehave),
                threading.Thread(target=soak.kill),
            ]
            for thread in threads:
                thread.start()
            memory: list[float] = []
            for minute in range(1, options.minutes + 1):
                started, seen = time.monotonic(), []
                while time.monotonic() < started + 60:
                    seen.append(server.memory)
                    time.sleep(5)
                memory.append(_line(minute, time.monotonic() - started, soak, seen))
            soak.over.set()
            for thread in threads:
                thread.join(STUCK_SECONDS)
                if thread.is_alive():
                    soak.tally.blame("a client still waits")
            _rest(soak, folder)
        tally = soak.tally
        if server.process.returncode:
            tally.blame(f"exit code {server.process.returncode}")
        if left := list(folder.glob("speciesnet-server-*")):
            tally.blame(f"{len(left)} folders are left over")
        if "Traceback" in log.read_text():
            tally.blame("there is a stack trace in the log")
            print(log.read_text()[-5000:])
    if (grown := _grown(memory)) is not None:
        tally.blame(grown)
    print(f"good photographs answered rightly: {tally.good}; faults: {dict(tally.faults)}")
    print(f"verdict: {'BAD: ' + str(dict(tally.wrong)) if tally.wrong else 'good'}")
    sys.stdout.flush()
    os._exit(bool(tally.wrong))  # clients that still wait must not keep it


if __name__ == "__main__":
    main()
