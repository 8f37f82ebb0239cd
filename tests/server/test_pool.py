from __future__ import annotations

import asyncio
import functools
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import stand_in_workers

from speciesnet.images.instances import Instance
from speciesnet.server.errors import RejectedError
from speciesnet.server.metrics import Metrics
from speciesnet.server.pool import Worker, WorkerPool
from speciesnet.server.worker import ImageTask

Test = Callable[[], Coroutine[Any, Any, None]]


@asynccontextmanager
async def pool_of(
    *workers: Callable[..., None], timeout: float = 60, seconds: float = 0.0
) -> AsyncIterator[WorkerPool]:
    arguments = [seconds] if seconds else []
    starts = [functools.partial(Worker, worker, *arguments) for worker in workers]
    pool = WorkerPool(starts, batch_size=4, timeout=timeout, metrics=Metrics())
    pool.start()
    try:
        await until(lambda: pool.load_error is not None or pool.ready == len(workers))
        yield pool
    finally:
        await pool.close()


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(600):
        if holds():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("The condition did not become true.")


def tasks(*names: str) -> list[ImageTask]:
    return [ImageTask(Instance(name), None) for name in names]


async def ask(pool: WorkerPool, *names: str) -> list[dict[str, Any]]:
    records: Sequence[Mapping[str, Any]] = await pool.submit(tasks(*names))
    return [dict(record) for record in records]  # the stand-ins add keys of their own


def test_queued_images_are_batched_and_answered_in_order() -> None:
    async def run() -> None:
        async with pool_of(stand_in_workers.echo, seconds=0.2) as pool:
            names = [str(number) for number in range(9)]
            records = await ask(pool, *names)
            assert [record["filepath"] for record in records] == names
            assert [record["batch"] for record in records] == [4] * 8 + [1]
            answers = await asyncio.gather(*(ask(pool, name) for name in names))
            assert [answer[0]["filepath"] for answer in answers] == names
            assert max(answer[0]["batch"] for answer in answers) == 4

    asyncio.run(run())


def test_batches_are_spread_over_all_workers() -> None:
    async def run() -> None:
        async with pool_of(stand_in_workers.echo, stand_in_workers.echo, seconds=0.2) as pool:
            records = await ask(pool, *"abcdefgh")
            assert len({record["pid"] for record in records}) == 2

    asyncio.run(run())


def test_process_that_cannot_be_started_is_reported() -> None:
    async def run() -> None:
        def start() -> Worker:
            raise OSError(11, "Resource temporarily unavailable")

        pool = WorkerPool([start], batch_size=4, timeout=60, metrics=Metrics())
        pool.start()
        try:
            await until(lambda: pool.load_error is not None)
            assert "Resource temporarily unavailable" in (pool.load_error or "")
        finally:
            await pool.close()

    asyncio.run(run())


@pytest.mark.parametrize("fault", ["die", "hang"])
def test_lost_worker_is_replaced_and_only_its_batch_is_rejected(fault: str) -> None:
    async def run() -> None:
        async with pool_of(stand_in_workers.echo, timeout=2) as pool:
            (before,) = await ask(pool, "a")
            bad, good = await asyncio.gather(
                ask(pool, "a", "b", fault, "c"), ask(pool, "d", "e"), return_exceptions=True
            )
            assert isinstance(bad, RejectedError)
            assert (bad.status, bad.headers) == (503, {"Retry-After": "5"})
            assert isinstance(good, list)
            assert good[0]["pid"] != before["pid"]
            assert pool.ready == 1

    asyncio.run(run())


def test_death_of_an_idle_worker_loses_no_request() -> None:
    async def run() -> None:
        async with pool_of(stand_in_workers.echo) as pool:
            (before,) = await ask(pool, "a")
            os.kill(before["pid"], getattr(signal, "SIGKILL", signal.SIGTERM))
            await until(lambda: pool.ready == 0)
            (after,) = await ask(pool, "b")
            assert after["pid"] != before["pid"]

    asyncio.run(run())


def test_images_of_cancelled_requests_are_skipped() -> None:
    async def run() -> None:
        async with pool_of(stand_in_workers.echo, seconds=0.3) as pool:
            first = asyncio.ensure_future(ask(pool, "a"))
            await asyncio.sleep(0.1)
            second = asyncio.ensure_future(ask(pool, "hang"))
            await asyncio.sleep(0.05)
            second.cancel()
            assert (await first)[0]["batch"] == 1
            assert (await ask(pool, "b"))[0]["batch"] == 1
            assert pool.queued == 0

    asyncio.run(run())


def test_expected_wait_is_estimated_from_the_last_batches() -> None:
    async def run() -> None:
        async with pool_of(stand_in_workers.echo, seconds=0.4) as pool:
            assert pool.expected_wait == 0
            await ask(pool, "a")
            asking = [asyncio.ensure_future(ask(pool, str(number))) for number in range(24)]
            await asyncio.sleep(0.2)
            assert pool.expected_wait > 4
            await asyncio.gather(*asking)
            assert pool.expected_wait == 0

    asyncio.run(run())


def test_model_that_cannot_be_loaded_is_reported() -> None:
    async def run() -> None:
        async with pool_of(stand_in_workers.load_failed) as pool:
            assert pool.load_error == "The model is broken."
            assert not pool.has_loaded
        async with pool_of(stand_in_workers.dies_at_start, stand_in_workers.echo) as pool:
            assert pool.load_error is not None
            assert "died" in pool.load_error

    asyncio.run(run())
