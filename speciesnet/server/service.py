"""Prediction requests: parses them, fetches their images, and has the workers predict them in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from speciesnet.engines.memory import return_large_blocks
from speciesnet.errors import ImageError
from speciesnet.server.allowlist import Folders, Hosts, is_url
from speciesnet.server.errors import RejectedError
from speciesnet.server.fetch import Fetcher
from speciesnet.server.metrics import Metrics
from speciesnet.server.pool import WorkerPool
from speciesnet.server.requests import ParsedImage, RequestParser
from speciesnet.server.spool import RequestFiles, Spool
from speciesnet.server.worker import ImageTask

SPOOL_BYTES = 2**30  # of all requests together
FETCHES = 16  # in parallel
_STOPPING = "The server is being stopped."
_T = TypeVar("_T")


class Service:
    """Answers prediction requests.

    Args:
        pool: The workers.
        metrics: Where requests are counted.
        parser: Parses the requests and checks their limits.
        backlog: The maximum number of accepted images without a response.
        timeout: The time limit for a response, in seconds from the arrival of the request.
        folders: Folders that images may be read from.
        hosts: Hosts and buckets that images may be fetched from.

    Attributes:
        draining: Whether the server finishes its requests and accepts no more.
    """

    def __init__(
        self,
        pool: WorkerPool,
        metrics: Metrics,
        parser: RequestParser,
        *,
        backlog: int,
        timeout: float,
        folders: Folders,
        hosts: Hosts,
    ) -> None:
        self.draining = False
        self.pool = pool
        self.metrics = metrics
        self.parser = parser
        self.timeout = timeout
        self._backlog = backlog
        self._folders = folders
        self._hosts = hosts
        self._fetcher = Fetcher(hosts)
        self._spool = Spool(max(SPOOL_BYTES, 2 * parser.limits.body_bytes))
        self._threads = ThreadPoolExecutor(FETCHES, thread_name_prefix="fetch")
        self._accepted = 0  # images
        metrics.add_gauge("images_waiting", "Images in the queue.", lambda: pool.queued)
        metrics.add_gauge(
            "images_accepted", "Accepted images without an answer.", lambda: self._accepted
        )
        metrics.add_gauge("workers_ready", "Workers that are ready.", lambda: pool.ready)
        metrics.add_gauge("spool_bytes", "Bytes of requests on the disk.", lambda: self._spool.used)

    def start(self) -> None:
        """Starts the workers."""
        return_large_blocks()
        self.pool.start()

    async def close(self) -> None:
        """Stops the workers and downloads, and deletes all files."""
        await self.pool.close()
        self._fetcher.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._spool.close()

    def check_ready(self) -> None:
        """Raises ``RejectedError`` unless requests are accepted."""
        if self.draining:
            raise RejectedError(503, _STOPPING)
        if not self.pool.has_loaded:
            raise RejectedError(503, "The model is being loaded. Try again later.")

    async def predict(self, request: Request) -> list[Mapping[str, object]]:
        """The records for a request, with their extra fields.

        Raises:
            RejectedError: The request is invalid, or cannot be answered now or in time.
            ClientDisconnect: The client closed the connection.
        """
        self.check_ready()
        self._check_backlog(1)
        started = time.monotonic()
        with self._spool.request() as files:
            images = await self.parser.parse(request, files)
            with self._accept(len(images)):
                records = await self._before_timeout(request, self._records(images, files))
        self.metrics.request_seconds.observe(time.monotonic() - started)
        for record in records:
            self.metrics.images.labels("failed" if "failures" in record else "answered").inc()
        return records

    def _check_backlog(self, count: int) -> None:
        # A rejection now is better than a timeout later.
        is_too_long = self.pool.expected_wait > self.timeout / 2
        if is_too_long or self._accepted + count > self._backlog:
            raise RejectedError(503, "Too many images are waiting. Try again later.")

    @contextmanager
    def _accept(self, count: int) -> Iterator[None]:
        self._check_backlog(count)
        self._accepted += count
        try:
            yield
        finally:
            self._accepted -= count

    async def _before_timeout(self, request: Request, answer: Awaitable[_T]) -> _T:
        """Waits for an answer, unless it takes too long or the client leaves."""
        answering = asyncio.ensure_future(answer)
        leaving = asyncio.ensure_future(request.receive())  # after the body: the disconnection
        try:
            done, _ = await asyncio.wait(
                {answering, leaving}, timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED
            )
        except asyncio.CancelledError:  # the server stops without waiting
            raise RejectedError(503, _STOPPING) from None
        finally:
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
        if answering in done:
            return answering.result()
        if leaving in done:
            raise ClientDisconnect
        raise RejectedError(
            504, f"There was no answer within {self.timeout:g} s. Send fewer images per request."
        )

    async def _records(
        self, images: Sequence[ParsedImage], files: RequestFiles
    ) -> list[Mapping[str, object]]:
        deadline = time.monotonic() + self.timeout
        paths = await asyncio.gather(*(self._path_of(image, files, deadline) for image in images))
        tasks = [ImageTask(image.instance, path) for image, path in zip(images, paths, strict=True)]
        records = await self.pool.submit(tasks)
        return [{**r, **image.extras} for r, image in zip(records, images, strict=True)]

    async def _path_of(
        self, image: ParsedImage, files: RequestFiles, deadline: float
    ) -> str | None:
        """The path or URL for a worker, or None if the image is missing or too large.

        Raises:
            RejectedError: The server may not read the image.
        """
        if image.upload is not None:
            return str(image.upload)
        path = image.instance.filepath
        loop = asyncio.get_running_loop()
        if not is_url(path):
            return await loop.run_in_executor(self._threads, self._local_path, path)
        if self._hosts.allows_bucket(path):
            return path
        to, limit = files.new_path(), self.parser.limits.image_bytes
        try:
            await loop.run_in_executor(
                self._threads, self._fetcher.fetch, path, to, limit, deadline
            )
        except ImageError:
            return None
        return str(to)

    def _local_path(self, path: str) -> str | None:
        found = self._folders.resolve(path)
        try:
            is_valid = found.is_file() and found.stat().st_size <= self.parser.limits.image_bytes
        except OSError:
            return None
        return str(found) if is_valid else None
