"""Progress of a run's stages, collected from all machines while they work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import ray
from absl import logging
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from speciesnet.pipeline.progress import ProgressBars

STAGES = ("Reading", "Detector", "Classifier")
POLL_SECONDS = 1.0
ANSWER_SECONDS = 2.0
MAX_WARNINGS = 1_000  # logged one by one; the records contain all failures

_T = TypeVar("_T")


@ray.remote(num_cpus=0)
class ProgressActor:
    """Adds up the stages' reports. The sums are approximate: tasks that Ray repeats count again."""

    def __init__(self) -> None:
        self._images: Counter[str] = Counter()
        self._failed = 0
        self._warnings: list[str] = []

    def count(self, stage: str, images: int, failures: list[str]) -> None:
        """Adds images to a stage, with a sentence for each that failed."""
        self._images[stage] += images
        self._failed += len(failures)
        self._warnings += failures[: MAX_WARNINGS - len(self._warnings)]

    def counts(self, fetched: int) -> tuple[dict[str, int], int, list[str]]:
        """Returns the images by stage, the number of failed ones, and warnings not yet fetched."""
        return dict(self._images), self._failed, self._warnings[fetched:]


@dataclass(frozen=True)
class ProgressReporter:
    """A handle through which stages in any process report their progress.

    Attributes:
        actor: The ``ProgressActor``; Ray makes its methods at run time, so they have no types.
    """

    actor: Any

    @classmethod
    def start(cls) -> ProgressReporter:
        """Starts the actor on the machine of this process."""
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        return cls(ProgressActor.options(scheduling_strategy=here, max_restarts=-1).remote())

    def count(self, stage: str, images: int, failures: Sequence[str] = ()) -> None:
        """Adds images to a stage, with a sentence for each that failed; does not wait for the actor."""
        self.actor.count.remote(stage, images, list(failures))


class ProgressDisplay:
    """Shows the progress of a run, and logs its warnings.

    Args:
        reporter: The handle that the stages report with.
        total: Number of images of the run.
        bars: Where to show the progress.
    """

    def __init__(self, reporter: ProgressReporter, total: int, bars: ProgressBars) -> None:
        self._reporter = reporter
        self._total = total
        self._bars = bars
        self._shown: Counter[str] = Counter()
        self._failed = self._fetched = 0

    def result_of(self, task: ray.ObjectRef[_T]) -> _T:
        """Waits for a task and shows the progress until then."""
        while not ray.wait([task], timeout=POLL_SECONDS)[0]:
            self._show()
        result = ray.get(task)
        self._show()
        return result

    def _show(self) -> None:
        try:
            reply = self._reporter.actor.counts.remote(self._fetched)
            images, failed, warnings = ray.get(reply, timeout=ANSWER_SECONDS)
        except RayError:  # its machine may have died; Ray restarts it elsewhere
            return
        for warning in warnings:
            logging.warning("%s", warning)
        self._fetched += len(warnings)
        for stage, count in images.items():
            new = min(count, self._total) - self._shown[stage]
            if new > 0:
                new_failed = max(failed - self._failed, 0) if stage == STAGES[-1] else 0
                self._bars.update(stage, new, new_failed)
                self._shown[stage] += new
                self._failed += new_failed
