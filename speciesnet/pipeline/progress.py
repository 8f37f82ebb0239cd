"""Progress of a run: bars or log lines for its stages, and where the time goes."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from absl import logging
from tqdm import tqdm

from speciesnet.files.input_notes import counted

LOG_SECONDS = 60.0

Item = TypeVar("Item")


class ProgressBars:
    """Shows how many images have left each stage, how fast, and how long the rest will take.

    On a terminal there is one bar per stage; otherwise the log gets a line every minute.

    Args:
        stages: Names of the stages.
        total: Number of images; None if it is unknown, because frames of films are counted.
        enabled: False shows nothing.
    """

    def __init__(self, stages: Sequence[str], total: int | None, enabled: bool) -> None:
        self._total = total
        self._on_terminal = enabled and sys.stderr.isatty()
        self._in_log = enabled and not self._on_terminal
        self._last_stage = stages[-1]
        self._bars = {
            stage: tqdm(
                total=total,
                desc=f"{stage:<10}",
                unit=" images" if total is not None else " images and frames",
                position=position,
                disable=not self._on_terminal,
                dynamic_ncols=True,
            )
            for position, stage in enumerate(stages)
        }
        self._done = self._failed = 0
        self._started = self._logged = time.monotonic()

    def update(self, stage: str, images: int = 1, failed: int = 0) -> None:
        """Counts images that have left a stage, and how many of them failed."""
        bar = self._bars[stage]
        if failed:
            self._failed += failed
            bar.set_postfix_str(f"{self._failed} failed", refresh=False)
        bar.update(images)
        if self._in_log and stage == self._last_stage:
            self._done += images
            self._log_if_due()

    def _log_if_due(self) -> None:
        now = time.monotonic()
        is_complete = self._total is not None and self._done >= self._total
        if now - self._logged < LOG_SECONDS and not is_complete:
            return
        self._logged = now
        rate = self._done / max(now - self._started, 1e-9)
        if self._total is None:
            logging.info("%d images and frames done, %.2f per second.", self._done, rate)
            return
        left = (self._total - self._done) / rate
        logging.info(
            "%d of %s done%s, %.2f images/s, %s left.",
            self._done,
            counted(self._total, "image"),
            f" ({self._failed} failed)" if self._failed else "",
            rate,
            tqdm.format_interval(left),
        )

    def __enter__(self) -> ProgressBars:
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self._bars.values():
            bar.close()


class Profile:
    """The seconds spent in each part of a run. Parts overlap, so their sum may exceed the run's duration.

    Attributes:
        seconds: The seconds of each part, in the order of first use.

    Examples:
        >>> profile = Profile()
        >>> profile.add("reading", 1.5)
        >>> profile.add("reading", 0.5)
        >>> profile.seconds["reading"]
        2.0
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    def add(self, part: str, seconds: float) -> None:
        """Adds seconds to a part."""
        with self._lock:
            self.seconds[part] += seconds

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        """Adds the duration of the context to a part."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(part, time.perf_counter() - start)

    def waiting(self, part: str, items: Generator[Item, None, None]) -> Generator[Item, None, None]:
        """Passes items through and adds the time spent waiting for each of them."""
        try:
            while True:
                with self.timing(part):
                    item = next(items, None)
                if item is None:
                    return
                yield item
                del item  # it may be large
        finally:
            items.close()
