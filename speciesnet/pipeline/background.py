"""Runs a stage in its own thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from typing import TypeVar

from speciesnet.constants import RunMode

_T = TypeVar("_T")


class Background:
    """The threads of a run's stages.

    Args:
        run_mode: ``single_thread`` runs all stages in the consumer's thread.

    Attributes:
        stop: Set when the run is closed or something goes wrong.
    """

    def __init__(self, run_mode: RunMode) -> None:
        self._has_threads = run_mode != "single_thread"
        self.stop = threading.Event()

    def run(self, items: Generator[_T, None, None], ahead: int) -> Generator[_T, None, None]:
        """Runs a stage in its own thread, at most ``ahead`` items before its consumer."""
        return in_background(items, ahead, self.stop) if self._has_threads else items


def put_until(waiting: queue.Queue[_T], item: _T, stopped: threading.Event) -> None:
    """Puts an item into a queue as soon as there is room, unless the event is set first."""
    while not stopped.is_set():
        try:
            waiting.put(item, timeout=0.2)
        except queue.Full:
            continue
        return


def started(
    items: Generator[_T, None, None], ahead: int, stopped: threading.Event
) -> tuple[queue.Queue[_T | BaseException | None], threading.Thread]:
    """Starts a generator in its own thread, which runs until ``stopped`` is set; see ``taken_from``."""
    waiting: queue.Queue[_T | BaseException | None] = queue.Queue(max(ahead, 1))

    def work() -> None:
        try:
            for item in items:
                put_until(waiting, item, stopped)
                if stopped.is_set():
                    break
            put_until(waiting, None, stopped)
        except BaseException as error:  # or the consumer would wait forever
            put_until(waiting, error, stopped)
        finally:
            items.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return waiting, thread


def taken_from(
    waiting: queue.Queue[_T | BaseException | None], stop: threading.Event | None = None
) -> Generator[_T, None, None]:
    """Yields what the thread of ``started`` puts into its queue, until ``stop`` is set."""
    while stop is None or not stop.is_set():
        try:
            item = waiting.get(timeout=0.2)  # with a time-out, or Windows delays Ctrl-C
        except queue.Empty:
            continue
        if item is None:
            return
        if isinstance(item, BaseException):
            raise item
        yield item
        del item  # or this frame holds it until the next one is asked for


def in_background(
    items: Generator[_T, None, None], ahead: int, stop: threading.Event
) -> Generator[_T, None, None]:
    """Runs a generator in its own thread, at most ``ahead`` items before its consumer.

    ``stop`` is set when the consumer closes the generator or something goes wrong.
    """
    stopped = threading.Event()
    waiting, thread = started(items, ahead, stopped)
    try:
        yield from taken_from(waiting)
    except BaseException:  # including GeneratorExit
        stop.set()
        raise
    finally:
        stopped.set()
        thread.join()
