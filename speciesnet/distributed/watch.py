"""How far the stages of a run are, as they tell it while they run."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import ray
from ray.exceptions import RayError

from speciesnet.progress import ProgressBars

STAGES = ("Reading", "Detector", "Classifier")
POLL_SECONDS = 1.0


@ray.remote(num_cpus=0)
class _Board:
    """Counts by stage. Tasks that run again count again: this is for a person to look at."""

    def __init__(self) -> None:
        self._images: Counter[str] = Counter()
        self._failed = 0

    def count(self, stage: str, images: int, failed: int) -> None:
        self._images[stage] += images
        self._failed += failed

    def counts(self) -> tuple[dict[str, int], int]:
        return dict(self._images), self._failed


@dataclass(frozen=True)
class Watch:
    """What stages tell their counts to.

    Attributes:
        board: The actor that adds them up.
    """

    board: Any

    @classmethod
    def start(cls) -> Watch:
        """On the machine of this process."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        return cls(_Board.options(scheduling_strategy=here, max_restarts=-1).remote())

    def count(self, stage: str, images: int, failed: int = 0) -> None:
        """Adds to a stage; nobody waits for it."""
        self.board.count.remote(stage, images, failed)

    def counts(self) -> tuple[dict[str, int], int]:
        """Images by stage, and how many of them failed."""
        with suppress(RayError):
            return ray.get(self.board.counts.remote(), timeout=10)
        return {}, 0


class Display:
    """Shows what a watch has counted, now and then, while a run goes on.

    Args:
        watch: Where the stages count.
        total: Images of the run.
        enabled: False shows nothing.
    """

    def __init__(self, watch: Watch, total: int, enabled: bool) -> None:
        self._watch = watch
        self._total = total
        self._bars = ProgressBars(STAGES, total, enabled)
        self._shown: Counter[str] = Counter()
        self._failed = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> Display:
        self._thread.start()
        return self

    def _poll(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            self._show()

    def _show(self) -> None:
        images, failed = self._watch.counts()
        for stage, count in images.items():
            more = min(count, self._total) - self._shown[stage]
            if more > 0:
                worse = max(failed - self._failed, 0) if stage == STAGES[-1] else 0
                self._bars.update(stage, more, worse)
                self._shown[stage] += more
                self._failed += worse

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join()
        if kind is None:
            self._show()
        self._bars.__exit__(kind, error, trace)
