"""Worker processes, and the batches that they are given from what waits."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, TypeVar

from absl import logging

from speciesnet.errors import WorkerError
from speciesnet.records import Record
from speciesnet.server.errors import busy
from speciesnet.server.metrics import Meters
from speciesnet.server.worker import Ready, Task, Unfit

_T = TypeVar("_T")

GATHERING_SECONDS = 0.005  # that a batch waits for more images
LOADING_SECONDS = 3600  # with the download of a model
ENDING_SECONDS = 5
_WEIGHT = 0.2  # of the last batch in what is known of their pace
MAX_PAUSE = 30  # seconds between two tries to replace a worker


class Worker:
    """A process that answers one message at a time.

    Args:
        target: What it runs, with its end of the connection and the arguments.
        *args: These.
    """

    def __init__(self, target: Callable[..., None], *args: Any) -> None:
        context = multiprocessing.get_context("spawn")  # the frameworks' threads survive no fork
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=target, args=(theirs, *args), daemon=True)
        self._process.start()
        theirs.close()  # so that its death is heard of here

    def receive(self) -> Any:
        """What it says next; raises ``WorkerError``."""
        try:
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerError("it died; perhaps memory ran out.") from error

    def ask(self, message: Any) -> Any:
        """What it says to a message; raises ``WorkerError``."""
        try:
            self._connection.send(message)
        except OSError as error:
            raise WorkerError("it died.") from error
        return self.receive()

    def join(self) -> None:
        """Waits for its death."""
        wait([self._process.sentinel])

    def end(self, seconds: float) -> None:
        """Ends it: it has some seconds to finish what it is at, and is killed after that."""
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
    task: Task
    answer: asyncio.Future[Record]


def _started(start: Callable[[], Worker]) -> Worker:
    try:
        return start()
    except OSError as error:
        raise WorkerError(f"No process can be started for it ({error}).") from error


class Pool:
    """Workers, one queue for all of them, and someone who replaces those that are lost.

    Args:
        workers: What starts each of them.
        batch_size: Images that a worker is given at once.
        timeout: Seconds after which a worker that does not answer is replaced.
        meters: What is counted.

    Attributes:
        ready: Workers that have loaded the model.
        failure: Why the model cannot be loaded at all, or None.
    """

    def __init__(
        self,
        workers: Sequence[Callable[[], Worker]],
        *,
        batch_size: int,
        timeout: float,
        meters: Meters,
    ) -> None:
        self.ready = 0
        self.failure: str | None = None
        self._workers = workers
        self._at_work = 0  # images that workers have
        self._pace = 0.0  # seconds of a worker for an image, of late
        self._batch_size = batch_size
        self._timeout = timeout
        self._meters = meters
        self._waiting: asyncio.Queue[_Job] = asyncio.Queue()
        self._slots: list[asyncio.Task[None]] = []
        self._loaded = asyncio.Event()  # by the first worker
        # Each worker has a thread that waits for its answer, and one that waits for its death.
        self._threads = ThreadPoolExecutor(3 * len(workers), thread_name_prefix="worker")

    @property
    def has_been_ready(self) -> bool:
        """Whether the model is known to be good."""
        return self._loaded.is_set()

    @property
    def waiting(self) -> int:
        """Images that no worker has taken yet."""
        return self._waiting.qsize()

    @property
    def expected_wait(self) -> float:
        """Seconds until all that is there now is answered, going by the last batches."""
        return (self.waiting + self._at_work) * self._pace / max(self.ready, 1)

    def start(self) -> None:
        """Starts the first worker, and the others when it has loaded the model."""
        for number, start in enumerate(self._workers):
            self._slots.append(asyncio.create_task(self._keep(start, is_first=number == 0)))

    async def close(self) -> None:
        """Ends all workers."""
        for slot in self._slots:
            slot.cancel()
        await asyncio.gather(*self._slots, return_exceptions=True)
        self._threads.shutdown(wait=False)

    async def predict(self, tasks: Sequence[Task]) -> list[Record]:
        """A record for each task, in order.

        Raises:
            RefusedError: Its worker was lost.
        """
        loop = asyncio.get_running_loop()
        jobs = [_Job(task, loop.create_future()) for task in tasks]
        for job in jobs:
            self._waiting.put_nowait(job)
        try:
            return await asyncio.gather(*(job.answer for job in jobs))
        finally:
            for job in jobs:  # nobody wants the others any more
                job.answer.cancel()

    async def _keep(self, start: Callable[[], Worker], *, is_first: bool) -> None:
        """Starts a worker, gives it work, and starts another one when it is lost."""
        if not is_first:  # what the first one downloads and converts, the others find
            await self._loaded.wait()
        pause = 0.0
        while True:
            worker, patience = None, ENDING_SECONDS
            try:
                worker = _started(start)
                await self._load(worker)
                pause = 0.0
                await self._serve(worker)
            except WorkerError as error:
                patience = 0
                if not self.has_been_ready:
                    self.failure = str(error)
                    return
                logging.warning("A worker is replaced: %s", error)
                self._meters.lost.inc()
            finally:
                if worker is not None:
                    await asyncio.shield(self._in_thread(worker.end, patience))
            await asyncio.sleep(pause)
            pause = min(2 * pause + 1, MAX_PAUSE)

    async def _load(self, worker: Worker) -> None:
        answer = await self._in_time(LOADING_SECONDS, worker.receive)
        if isinstance(answer, Unfit):
            raise WorkerError(answer.sentence)
        assert isinstance(answer, Ready)
        logging.info("A worker is ready (%s).", answer.engines)

    async def _serve(self, worker: Worker) -> None:
        """Gives it batches until it is lost; raises ``WorkerError``."""
        death = asyncio.ensure_future(self._in_thread(worker.join))
        self.ready += 1
        self._loaded.set()
        try:
            while True:
                await self._answer(await self._take(death), worker)
        finally:
            self.ready -= 1

    async def _take(self, death: asyncio.Future[None]) -> list[_Job]:
        """What waits, as far as one batch holds it; raises ``WorkerError``."""
        first = asyncio.ensure_future(self._waiting.get())
        try:
            await asyncio.wait({first, death}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not first.done():
                first.cancel()
        if death.done():
            if first.done() and not first.cancelled():
                self._waiting.put_nowait(first.result())
            raise WorkerError("it died.")
        jobs = [first.result()]
        if self._waiting.qsize() < self._batch_size - 1:
            await asyncio.sleep(GATHERING_SECONDS)
        while len(jobs) < self._batch_size and not self._waiting.empty():
            jobs.append(self._waiting.get_nowait())
        return [job for job in jobs if not job.answer.done()]

    async def _answer(self, jobs: Sequence[_Job], worker: Worker) -> None:
        if not jobs:
            return
        tasks = [job.task for job in jobs]
        started = time.perf_counter()
        self._at_work += len(jobs)
        try:
            records = await self._in_time(self._timeout, worker.ask, tasks)
        except WorkerError:
            for job in jobs:
                if not job.answer.done():
                    job.answer.set_exception(busy("A worker was lost; ask again."))
            raise
        finally:
            self._at_work -= len(jobs)
        seconds = time.perf_counter() - started
        self._meters.batches.observe(len(jobs))
        self._meters.batch_seconds.observe(seconds)
        pace = seconds / len(jobs)
        self._pace += (pace - self._pace) * (_WEIGHT if self._pace else 1)
        for job, record in zip(jobs, records, strict=True):
            if not job.answer.done():
                job.answer.set_result(record)

    async def _in_time(self, seconds: float, function: Callable[..., Any], *args: Any) -> Any:
        """What a worker says, unless it takes too long; raises ``WorkerError``."""
        try:
            return await asyncio.wait_for(self._in_thread(function, *args), seconds)
        except asyncio.TimeoutError as error:  # its thread is free again when it is killed
            raise WorkerError(
                "it does not answer; give it more time with --timeout, or less to do."
            ) from error

    async def _in_thread(self, function: Callable[..., _T], *args: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)
