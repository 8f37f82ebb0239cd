"""The stage of a run with the precision "auto": one process does everything, as on one machine.

    list -> read, both networks in both precisions (pool) -> shards

A guard reads doubtful images again, and the errors of the networks depend on the processor. So each
process reads its own images, and uses the evidence from its own machine.
"""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from speciesnet.images.instances import Instance
from speciesnet.pipeline import Photo
from speciesnet.pipeline.films import with_frames
from speciesnet.pipeline.guard.guards import Guards
from speciesnet.pipeline.guard.stability import Place
from speciesnet.pipeline.guard.tally import Decided
from speciesnet.predictions.layout import encode_record
from speciesnet.run import decide_film, guards_of, photos_of, place_of
from speciesnet.run.distributed.progress import STAGES
from speciesnet.run.distributed.stages import NetworkStage, failures_of, unpack

if TYPE_CHECKING:
    from speciesnet.run.distributed.job import Job
    from speciesnet.run.distributed.progress import ProgressReporter


class DecidedByProcess:
    """How the processes of a run have processed their images so far; the counts arrive in any order."""

    def __init__(self) -> None:
        self._latest: dict[str, Decided] = {}

    def add(self, pickled: Iterable[bytes | None]) -> None:
        """Adds the counts in the column ``decided`` of the stage."""
        for one in filter(None, pickled):
            process, found = pickle.loads(one)  # noqa: S301 (of another process of this run)
            self.add_all({process: found})

    def add_all(self, others: Mapping[str, Decided]) -> None:
        """Adds the counts of some processes, by the name of each process."""
        for process, found in others.items():
            known = self._latest.get(process)
            if known is None or known.total <= found.total:
                self._latest[process] = found

    def counts(self) -> dict[str, Decided]:
        """Returns the latest counts of each process."""
        return dict(self._latest)

    def notes(self) -> list[str]:
        """Returns a note on the precisions of the run, unless it used float32 only."""
        total = sum(self._latest.values(), Decided({}))
        return [total.summary()] if total.phases else []


class Decide(NetworkStage):
    """Makes finished records from instances, in a lower precision where that changes no answer.

    A wider band reaches the images of the same call, but not those of earlier calls, whose records may
    already be in a shard.
    """

    needed = ("ensemble",)

    def __init__(self, job: Job, reporter: ProgressReporter) -> None:
        super().__init__(job, reporter)
        self._process = uuid.uuid4().hex
        self._instances: Mapping[str, Instance] = {}
        self._guards: Guards | None = None
        self._is_set_up = False

    def __call__(self, table: pa.Table) -> pa.Table:
        """Takes instances; returns rows like ``Classify``, the first one with counts of this process."""
        with self._lock:
            self._instances = {one.filepath: one for one in unpack(table, Instance)}
            found = self._rows()
            decided: list[bytes | None] = [None] * len(found)
            if self._guards is not None:
                counts = (self._process, self._guards.decided)
                decided[0] = pickle.dumps(counts, pickle.HIGHEST_PROTOCOL)
        lines, flaws = zip(*found.values(), strict=True)
        return pa.table(
            {
                "record": pa.array(lines, pa.binary()),
                "flaw": pa.array(flaws, pa.string()),
                "frame": pa.nulls(len(found), pa.large_binary()),
                "decided": pa.array(decided, pa.binary()),
            }
        )

    def _rows(self) -> dict[str, tuple[bytes, str | None]]:
        """The encoded record and the flaw of each image or film."""
        job, model, paths = self._job, self._model.result(), list(self._instances)
        if not self._is_set_up:
            self._guards = guards_of(job.run, model, self._places_of, paths=paths)
            self._is_set_up = True
        rows = {}
        for frames in with_frames(photos_of(job.run, model, self._guards, paths)):
            rows[frames[0].filepath] = self._row(frames)
            for stage in STAGES:
                is_last = stage == STAGES[-1]
                self._reporter.count(stage, 1, failures_of(frames[:1]) if is_last else ())
        if self._guards is not None:
            for frames in with_frames(self._guards.again(self._guards.reached(paths))):
                rows[frames[0].filepath] = self._row(frames)
            self._guards.keep_evidence()
            self._guards.forget_finished()
        return rows

    def _row(self, frames: Sequence[Photo]) -> tuple[bytes, str | None]:
        ensemble = self._model.result().ensemble
        instance = self._instances[frames[0].filepath]
        record = decide_film(frames, instance, self._job.run, ensemble)
        return encode_record(record), frames[0].flaw

    def _places_of(self, photo: Photo) -> set[Place]:
        return {place_of(photo, self._instances[photo.filepath], self._job.run)}
