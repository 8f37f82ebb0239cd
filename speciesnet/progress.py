"""Progress bars, one a stage; lines in the log where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType

from absl import logging
from tqdm import tqdm

LOG_SECONDS = 60.0


class ProgressBars:
    """Shows how many images each stage has done, how fast, and how long it will take.

    Args:
        stages: Names of the stages.
        total: Images.
        enabled: False shows nothing.
    """

    def __init__(self, stages: Sequence[str], total: int, enabled: bool) -> None:
        self._total = total
        self._on_terminal = enabled and sys.stderr.isatty()
        self._in_log = enabled and not self._on_terminal
        self._last_stage = stages[-1]
        self._bars = {
            stage: tqdm(
                total=total,
                desc=f"{stage:<10}",
                unit=" images",
                position=position,
                disable=not self._on_terminal,
                dynamic_ncols=True,
            )
            for position, stage in enumerate(stages)
        }
        self._done = self._failed = 0
        self._started = self._logged = time.monotonic()

    def update(self, stage: str, images: int = 1, failed: int = 0) -> None:
        """More images have left a stage, some of them without an answer."""
        bar = self._bars[stage]
        if failed:
            self._failed += failed
            bar.set_postfix_str(f"{self._failed} failed", refresh=False)
        bar.update(images)
        if self._in_log and stage == self._last_stage:
            self._done += images
            self._log_now_and_then()

    def _log_now_and_then(self) -> None:
        now = time.monotonic()
        if now - self._logged < LOG_SECONDS and self._done < self._total:
            return
        self._logged = now
        rate = self._done / max(now - self._started, 1e-9)
        left = (self._total - self._done) / rate
        logging.info(
            "%d of %d images done%s, %.2f images/s, %s left.",
            self._done,
            self._total,
            f" ({self._failed} failed)" if self._failed else "",
            rate,
            tqdm.format_interval(left),
        )

    def __enter__(self) -> ProgressBars:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for bar in self._bars.values():
            bar.close()
