"""A pool of worker processes that take images from one queue in batches."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from typing import TypeVar

from absl import logging

from speciesnet.errors import WorkerError
from speciesnet.records import Record
from speciesnet.server.errors import RejectedError
from speciesnet.server.metrics import Metrics
from speciesnet.server.worker import ImageTask, LoadFailed, Ready, Refused

_T = TypeVar("_T")

GATHERING_SECONDS = 0.005  # for which an incomplete batch waits for more images
LOADING_SECONDS = 3600  # includes downloading the model
STOPPING_SECONDS = 5
MAX_RESTART_SECONDS = 30  # between two attempts to replace a worker
_SMOOTHING = 0.2  # weight of the last batch in the moving average of the seconds per image


class Worker:
    """A process that answers one message at a time.

    Args:
        target: The main function of the process; it receives one end of a pipe, then ``args``.
        *args: Further arguments of ``target``.

    Raises:
        OSError: The process cannot be started.
    """

    def __init__(self, target: Callable[..., None], *args: object) -> None:
        context = multiprocessing.get_context("spawn")  # forking breaks the frameworks' threads
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=target, args=(theirs, *args), daemon=True)
        self._process.start()
        theirs.close()  # so that the end of the process closes the pipe

    def receive(self) -> object:
        """The next message from the process; raises ``WorkerError``."""
        try:
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerError("The process died. Perhaps memory ran out.") from error

    def call(self, message: object) -> object:
        """Sends a message and returns the answer; raises ``WorkerError``."""
        try:
            self._connection.send(message)
        except OSError as error:
            raise WorkerError("The process died.") from error
        return self.receive()

    def join(self) -> None:
        """Waits until the process ends."""
        wait([self._process.sentinel])

    def stop(self, seconds: float) -> None:
        """Stops the process, which may finish its batch first; kills it after ``seconds``."""
        if seconds:
            with suppress(OSError):
                self._connection.send(None)
            self._process.join(seconds)
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._connection.close()


@dataclass(eq=False)
class _Job:
    task: ImageTask
    record: asyncio.Future[Record]


class WorkerPool:
    """Workers that share one queue; lost workers are replaced.

    Args:
        starters: Functions that each start a worker.
        batch_size: The maximum number of images per batch.
        timeout: Seconds after which a worker that does not answer is replaced.
        metrics: Where batches are counted.

    Attributes:
        ready: The number of workers that have loaded the model.
        load_error: Why the model cannot be loaded, or None.
    """

    def __init__(
        self,
        starters: Sequence[Callable[[], Worker]],
        *,
        batch_size: int,
        timeout: float,
        metrics: Metrics,
    ) -> None:
        self.ready = 0
        self.load_error: str | None = None
        self._starters = starters
        self._in_progress = 0  # images
        self._seconds_per_image = 0.0  # of one worker, a moving average
        self._batch_size = batch_size
        self._timeout = timeout
        self._metrics = metrics
        self._queue: asyncio.Queue[_Job] = asyncio.Queue()
        self._supervisors: list[asyncio.Task[None]] = []
        self._model_loaded = asyncio.Event()  # by the first worker
        # Each worker has one thread that waits for its answer and one that waits for its end.
        self._threads = ThreadPoolExecutor(3 * len(starters), thread_name_prefix="worker")

    @property
    def has_loaded(self) -> bool:
        """Whether a worker has ever loaded the model."""
        return self._model_loaded.is_set()

    @property
    def queued(self) -> int:
        """The number of images that no worker has taken yet."""
        return self._queue.qsize()

    @property
    def expected_wait(self) -> float:
        """Seconds until all images are answered, estimated from the last batches."""
        return (self.queued + self._in_progress) * self._seconds_per_image / max(self.ready, 1)

    def start(self) -> None:
        """Starts the first worker, and then the others once it has loaded the model."""
        for number, start in enumerate(self._starters):
            supervisor = self._supervise(start, is_first=number == 0)
            self._supervisors.append(asyncio.create_task(supervisor))

    async def close(self) -> None:
        """Stops all workers."""
        for supervisor in self._supervisors:
            supervisor.cancel()
        await asyncio.gather(*self._supervisors, return_exceptions=True)
        self._threads.shutdown(wait=False)

    async def submit(self, tasks: Sequence[ImageTask]) -> list[Record]:
        """One record per task, in order.

        Raises:
            RejectedError: The worker was lost.
        """
        loop = asyncio.get_running_loop()
        jobs = [_Job(task, loop.create_future()) for task in tasks]
        for job in jobs:
            self._queue.put_nowait(job)
        try:
            return await asyncio.gather(*(job.record for job in jobs))
        finally:
            for job in jobs:  # if one failed or the client left, the others are not needed
                job.record.cancel()

    async def _supervise(self, start: Callable[[], Worker], *, is_first: bool) -> None:
        """Starts a worker, sends it batches, and replaces it when it is lost."""
        if not is_first:  # they use what the first one downloads and converts
            await self._model_loaded.wait()
        pause = 0.0
        while True:
            worker, stop_seconds = None, STOPPING_SECONDS
            try:
                try:
                    worker = start()
                except OSError as error:
                    raise WorkerError(f"No process can be started ({error}).") from error
                await self._wait_until_loaded(worker)
                pause = 0.0
                await self._run_batches(worker)
            except WorkerError as error:
                stop_seconds = 0
                if not self.has_loaded:
                    self.load_error = str(error)
                    return
                logging.warning("A worker is being replaced: %s", error)
                self._metrics.workers_lost.inc()
            finally:
                if worker is not None:
                    await asyncio.shield(self._in_thread(partial(worker.stop, stop_seconds)))
            await asyncio.sleep(pause)
            pause = min(2 * pause + 1, MAX_RESTART_SECONDS)

    async def _wait_until_loaded(self, worker: Worker) -> None:
        message = await self._with_timeout(LOADING_SECONDS, worker.receive)
        if isinstance(message, LoadFailed):
            raise WorkerError(message.reason)
        assert isinstance(message, Ready)
        logging.info("A worker is ready (%s).", message.engines)

    async def _run_batches(self, worker: Worker) -> None:
        """Sends batches to a worker until it is lost; raises ``WorkerError``."""
        end = asyncio.ensure_future(self._in_thread(worker.join))
        self.ready += 1
        self._model_loaded.set()
        try:
            while True:
                if batch := await self._next_batch(end):
                    await self._run_batch(batch, worker)
        finally:
            self.ready -= 1

    async def _next_batch(self, end: asyncio.Future[None]) -> list[_Job]:
        """Takes a batch from the queue; raises ``WorkerError`` if the worker ends first."""
        first = asyncio.ensure_future(self._queue.get())
        try:
            await asyncio.wait({first, end}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not first.done():
                first.cancel()
        if end.done():
            if first.done() and not first.cancelled():
                self._queue.put_nowait(first.result())
            raise WorkerError("The process died.")
        jobs = [first.result()]
        if self._queue.qsize() < self._batch_size - 1:
            await asyncio.sleep(GATHERING_SECONDS)
        while len(jobs) < self._batch_size and not self._queue.empty():
            jobs.append(self._queue.get_nowait())
        return [job for job in jobs if not job.record.done()]

    async def _run_batch(self, jobs: Sequence[_Job], worker: Worker) -> None:
        tasks = [job.task for job in jobs]
        started = time.perf_counter()
        self._in_progress += len(jobs)
        try:
            records = await self._with_timeout(self._timeout, partial(worker.call, tasks))
        except WorkerError:
            for job in jobs:
                if not job.record.done():
                    job.record.set_exception(RejectedError(503, "A worker was lost. Try again."))
            raise
        finally:
            self._in_progress -= len(jobs)
        assert isinstance(records, list)
        seconds = time.perf_counter() - started
        self._metrics.batch_images.observe(len(jobs))
        self._metrics.batch_seconds.observe(seconds)
        change = seconds / len(jobs) - self._seconds_per_image
        self._seconds_per_image += change * (_SMOOTHING if self._seconds_per_image else 1)
        for job, record in zip(jobs, records, strict=True):
            if job.record.done():
                continue
            if isinstance(record, Refused):
                job.record.set_exception(RejectedError(413, record.reason))
            else:
                job.record.set_result(record)

    async def _with_timeout(self, seconds: float, call: Callable[[], _T]) -> _T:
        """Calls a method of a worker in a thread; raises ``WorkerError`` after ``seconds``."""
        try:
            return await asyncio.wait_for(self._in_thread(call), seconds)
        except asyncio.TimeoutError as error:  # the thread ends when the worker is killed
            raise WorkerError(
                f"The process did not answer within {seconds:g} s. Increase --timeout or decrease "
                "--batch_size."
            ) from error

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
