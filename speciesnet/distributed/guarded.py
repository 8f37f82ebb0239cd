"""The stage of a run in the precision "auto": whole decisions in one process, as on one machine.

    list -> read, both networks in both precisions (pool) -> shards

A guard needs an image again if it is doubtful, and the errors of the networks depend on the processor.
So each process reads its images itself, and has the evidence of its own machine.
"""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from speciesnet.distributed.progress import STAGES
from speciesnet.distributed.stages import NetworkStage, failures_of, unpack
from speciesnet.instances import Instance
from speciesnet.pipeline import Photo
from speciesnet.pipeline.films import with_frames
from speciesnet.pipeline.guard.guards import Guards
from speciesnet.pipeline.guard.stability import Place
from speciesnet.pipeline.guard.tally import Tally, summary
from speciesnet.predictions.layout import encode_record
from speciesnet.run import decide_film, guards_of, photos_of, place_of

if TYPE_CHECKING:
    from speciesnet.distributed.job import Job
    from speciesnet.distributed.progress import ProgressReporter

TASK_IMAGES = 500  # of one call: enough for a trial, and no more than a shard by default


class Decided(NamedTuple):
    """How a process has decided its images so far.

    Attributes:
        process: The name of the process.
        phases: The precisions of each pair of fast networks, and how its images were decided.
        in_float32: Number of images that went through the networks in float32 only.
        replaced: Number of finished images that a wider band made doubtful.
    """

    process: str
    phases: Sequence[tuple[tuple[str, ...], Tally]]
    in_float32: int = 0
    replaced: int = 0

    @property
    def images(self) -> int:
        """The number of images."""
        return self.in_float32 + sum(tally.images for _, tally in self.phases)


class DecidedByProcess:
    """The latest counts of each process, which may arrive in any order."""

    def __init__(self) -> None:
        self._latest: dict[str, Decided] = {}

    def add(self, pickled: Iterable[bytes | None]) -> None:
        """Takes the column ``decided`` of the stage."""
        for one in filter(None, pickled):
            found: Decided = pickle.loads(one)  # noqa: S301 (of another process of this run)
            self.add_all([found])

    def add_all(self, others: Iterable[Decided]) -> None:
        """Takes the counts of processes."""
        for found in others:
            known = self._latest.get(found.process)
            if known is None or known.images <= found.images:
                self._latest[found.process] = found

    def counts(self) -> list[Decided]:
        """Returns the counts of all processes."""
        return list(self._latest.values())

    def notes(self) -> list[str]:
        """Returns a note on the precisions of the run, unless all of it was in float32."""
        phases: dict[tuple[str, ...], Tally] = {}
        for found in self._latest.values():
            for names, tally in found.phases:
                phases[names] = phases.get(names, Tally()) + tally
        if not phases:
            return []
        in_float32 = sum(found.in_float32 for found in self._latest.values())
        replaced = sum(found.replaced for found in self._latest.values())
        return [summary(list(phases.items()), in_float32, replaced)]


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
                decided[0] = pickle.dumps(self._decided(self._guards), pickle.HIGHEST_PROTOCOL)
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
            for photo in self._guards.again(self._guards.reached(paths)):
                rows[photo.filepath] = self._row([photo])
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

    def _decided(self, guards: Guards) -> Decided:
        phases = [(tuple(one.networks.precisions.values()), one.tally) for one in guards.used]
        return Decided(self._process, phases, guards.in_float32, guards.replaced)
