"""Where the time of a run goes."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


class Profile:
    """Seconds by what they were spent on; stages run beside one another, so they add up to more.

    Attributes:
        seconds: By what, in the order in which it was first met.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    def add(self, what: str, seconds: float) -> None:
        """Adds seconds."""
        with self._lock:
            self.seconds[what] += seconds

    @contextmanager
    def timing(self, what: str) -> Iterator[None]:
        """Adds the seconds that the context takes."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(what, time.perf_counter() - start)

    def waiting(self, what: str, items: Generator[Item, None, None]) -> Generator[Item, None, None]:
        """The same items; adds the seconds that are waited for each."""
        try:
            while True:
                with self.timing(what):
                    item = next(items, None)
                if item is None:
                    return
                yield item
                del item  # it may be large
        finally:
            items.close()
