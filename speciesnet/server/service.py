"""What a server does with requests: reads them, finds their images, has them predicted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request

from speciesnet.errors import ImageError
from speciesnet.records import Record
from speciesnet.server.allowlist import Folders, Hosts, names_address
from speciesnet.server.errors import RefusedError, busy
from speciesnet.server.fetch import Fetcher
from speciesnet.server.limits import Limits
from speciesnet.server.metrics import Meters
from speciesnet.server.pool import Pool
from speciesnet.server.requests import Asked, Intake
from speciesnet.server.spool import RequestFiles, Spool
from speciesnet.server.worker import Task

SPOOL_BYTES = 2**30  # of all requests together
FETCHES = 16  # at once


class Service:
    """All of a server but the web.

    Args:
        pool: Who predicts.
        meters: What is counted.
        limits: What a request may hold.
        backlog: Images that are accepted and not answered yet; more are refused.
        timeout: Seconds that a request may take once it has arrived.
        folders: What may be read from the disk.
        hosts: What may be read from elsewhere.
        fetcher: How that is done.
        extra_fields: Fields of an instance that are carried over into its record.

    Attributes:
        draining: Whether it only finishes what it has.
        extra_fields: As given.
        limits: As given.
    """

    def __init__(
        self,
        pool: Pool,
        meters: Meters,
        *,
        limits: Limits,
        backlog: int,
        timeout: float,
        folders: Folders | None = None,
        hosts: Hosts | None = None,
        fetcher: Fetcher | None = None,
        extra_fields: Sequence[str] = (),
    ) -> None:
        self.draining = False
        self.pool = pool
        self.meters = meters
        self.timeout = timeout
        self.limits = limits
        self._backlog = backlog
        self._folders = folders or Folders()
        self._hosts = hosts or Hosts()
        self._fetcher = fetcher or Fetcher(self._hosts)
        self.extra_fields = tuple(extra_fields)
        self._intake = Intake(limits, extra_fields)
        self._spool = Spool(max(SPOOL_BYTES, 2 * limits.body_bytes))
        self._fetching = ThreadPoolExecutor(FETCHES, thread_name_prefix="fetch")
        self._accepted = 0
        meters.watch("images_waiting", "Images that no worker has taken yet.", lambda: pool.waiting)
        meters.watch("images_accepted", "Images not answered yet.", lambda: self._accepted)
        meters.watch("workers_ready", "Workers that can answer.", lambda: pool.ready)
        meters.watch("spool_bytes", "Bytes of requests on the disk.", lambda: self._spool.used)

    def start(self) -> None:
        """Starts the workers."""
        self.pool.start()

    async def close(self) -> None:
        """Ends the workers, and takes all files away."""
        await self.pool.close()
        self._fetcher.close()
        self._fetching.shutdown(wait=False, cancel_futures=True)
        self._spool.close()

    def check_ready(self) -> None:
        """Raises ``RefusedError`` unless requests are taken."""
        if self.draining:
            raise busy("This server is being stopped.")
        if not self.pool.has_been_ready:
            raise busy("The model is being loaded; come back later.")

    async def predict(self, request: Request) -> list[Record]:
        """The records that a request asks for.

        Raises:
            RefusedError: It is not answered.
            ClientDisconnect: Nobody waits for the answer.
        """
        self.check_ready()
        self._check_room(1)
        started = time.monotonic()
        with self._spool.request() as files:
            asked = await self._intake.read(request, files)
            with self._accept(len(asked)):
                records = await self._in_time(request, self._records(asked, files))
        self.meters.seconds.observe(time.monotonic() - started)
        for record in records:
            self.meters.images.labels("failed" if "failures" in record else "answered").inc()
        return records

    def _check_room(self, count: int) -> None:
        too_long = (
            self.pool.expected_wait > self.timeout / 2
        )  # rather now than without an answer then
        if too_long or self._accepted + count > self._backlog:
            raise busy("Too many images wait for an answer; come back later.")

    @contextmanager
    def _accept(self, count: int) -> Iterator[None]:
        self._check_room(count)
        self._accepted += count
        try:
            yield
        finally:
            self._accepted -= count

    async def _in_time(self, request: Request, answer: Any) -> list[Record]:
        """An answer, unless it takes too long or nobody wants it any more."""
        answering = asyncio.ensure_future(answer)
        leaving = asyncio.ensure_future(request.receive())  # after the body, this says only that
        try:
            done, _ = await asyncio.wait(
                {answering, leaving}, timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED
            )
        except asyncio.CancelledError:  # by a server that waits no longer
            raise busy("This server is being stopped.") from None
        finally:
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
        if answering in done:
            return answering.result()
        if leaving in done:
            raise ClientDisconnect
        raise RefusedError(
            504, f"There was no answer within {self.timeout:g} s; send fewer images."
        )

    async def _records(self, asked: Sequence[Asked], files: RequestFiles) -> list[Record]:
        deadline = time.monotonic() + self.timeout
        paths = await asyncio.gather(*(self._find(one, files, deadline) for one in asked))
        tasks = [Task(one.instance, path) for one, path in zip(asked, paths, strict=True)]
        records = await self.pool.predict(tasks)
        return [record | one.extras for one, record in zip(asked, records, strict=True)]

    async def _find(self, asked: Asked, files: RequestFiles, deadline: float) -> str | None:
        """Where a worker can read an image, or None; raises ``RefusedError`` for what it may not."""
        if asked.upload is not None:
            return str(asked.upload)
        path = asked.instance.filepath
        loop = asyncio.get_running_loop()
        if not names_address(path):
            return await loop.run_in_executor(self._fetching, self._local, path)
        if self._hosts.is_cloud(path):
            return path
        to, limit = files.new(), self.limits.image_bytes
        try:
            await loop.run_in_executor(
                self._fetching, self._fetcher.fetch, path, to, limit, deadline
            )
        except ImageError:
            return None
        return str(to)

    def _local(self, path: str) -> str | None:
        found: Path = self._folders.find(path)
        try:
            small = found.is_file() and found.stat().st_size <= self.limits.image_bytes
        except OSError:
            return None
        return str(found) if small else None
