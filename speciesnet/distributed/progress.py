"""How far the stages of a run are, as they tell it while they run."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple

import ray
from absl import logging
from ray.exceptions import RayError

from speciesnet.progress import ProgressBars

STAGES = ("Reading", "Detector", "Classifier")
POLL_SECONDS = 1.0
ANSWER_SECONDS = 2.0
WARNINGS_AT_MOST = 1_000  # that are told one by one; the records have all failures


class Counted(NamedTuple):
    """Images by stage, how many of them failed, and what is new to say of these."""

    images: dict[str, int]
    failed: int
    warnings: list[str]


@ray.remote(num_cpus=0)
class _Board:
    """Counts by stage. Tasks that run again count again: this is for a person to look at."""

    def __init__(self) -> None:
        self._images: Counter[str] = Counter()
        self._failed = 0
        self._warnings: list[str] = []

    def count(self, stage: str, images: int, failures: list[str]) -> None:
        self._images[stage] += images
        self._failed += len(failures)
        self._warnings += failures[: WARNINGS_AT_MOST - len(self._warnings)]

    def counts(self, told: int) -> Counted:
        return Counted(dict(self._images), self._failed, self._warnings[told:])


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

    def count(self, stage: str, images: int, failures: Sequence[str] = ()) -> None:
        """Adds to a stage, some of them with a sentence of why they failed; nobody waits for it."""
        self.board.count.remote(stage, images, list(failures))

    def counts(self, told: int) -> Counted:
        """What there is, with the warnings after so many."""
        with suppress(RayError):
            return ray.get(self.board.counts.remote(told), timeout=ANSWER_SECONDS)
        return Counted({}, 0, [])


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
        self._failed = self._told = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> Display:
        self._thread.start()
        return self

    def _poll(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            self._show()

    def _show(self) -> None:
        images, failed, warnings = self._watch.counts(self._told)
        for warning in warnings:
            logging.warning("%s", warning)
        self._told += len(warnings)
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
