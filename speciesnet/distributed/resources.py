"""What each stage of a run on a cluster takes of its machines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from speciesnet.errors import InputError

CORES_TO_DETECT = CORES_TO_CLASSIFY = 0.25  # of a machine without a GPU; the rest is for tasks
LEAST_CORES = 2  # of such a machine, or no task finds room beside them
GPUS_TO_DETECT = GPUS_TO_CLASSIFY = 0.5


@dataclass(frozen=True)
class Pool:
    """The processes of one stage, as Ray counts them.

    Attributes:
        least: How many there are at all times.
        most: How many there may be, or None for as many as find room.
        cpus: Of each: what Ray reserves, which is not how many threads it uses.
        gpus: Of each; a part of one lets several share it.
    """

    least: int = 1
    most: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0

    def between(self, bounds: str | None, flag: str) -> Pool:
        """With a size as a flag gives it: ``4``, or ``1-4``.

        Raises:
            InputError: It is neither.
        """
        if bounds is None:
            return self
        least, dash, most = bounds.partition("-")
        try:
            pool = replace(self, least=int(least), most=int(most if dash else least))
        except ValueError:
            pool = replace(self, least=0)
        if not 1 <= pool.least <= (pool.most or 0):
            raise InputError(
                f"--{flag} is {bounds!r}; it must be a number such as 4, or two with a dash, such as 1-4."
            )
        return pool

    def reserving(self, cpus: float | None, gpus: float | None) -> Pool:
        """With other reservations, where they are given."""
        return replace(
            self,
            cpus=self.cpus if cpus is None else cpus,
            gpus=self.gpus if gpus is None else gpus,
        )


@dataclass(frozen=True)
class Resources:
    """What the stages take.

    Attributes:
        detectors: Processes with a detector.
        classifiers: Processes with a classifier.
        threads: Of a network on a processor.
    """

    detectors: Pool
    classifiers: Pool
    threads: int


def resources_for(nodes: Sequence[Mapping[str, Any]], *, with_gpus: bool = False) -> Resources:
    """What suits the machines of a cluster.

    With GPUs, each has a detector and a classifier. Without, each machine has one of each, which may
    use all of its cores: the one waits for the other, and not for a core of its own.

    Args:
        nodes: As ``ray.nodes()`` has them.
        with_gpus: Whether machines with GPUs will come, also where none is there yet.

    Raises:
        InputError: No machine has cores enough.
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    if with_gpus or any(node.get("GPU") for node in alive):
        return Resources(Pool(cpus=1, gpus=GPUS_TO_DETECT), Pool(cpus=1, gpus=GPUS_TO_CLASSIFY), 1)
    cores = [node["CPU"] for node in alive if node.get("CPU", 0) >= LEAST_CORES]
    if not cores:
        raise InputError(
            f"No machine of the cluster has {LEAST_CORES} CPUs, as Ray counts them; start ray with "
            f"--num-cpus {LEAST_CORES} or more."
        )
    return Resources(
        Pool(most=len(cores), cpus=min(cores) * CORES_TO_DETECT),
        Pool(most=len(cores), cpus=min(cores) * CORES_TO_CLASSIFY),
        math.ceil(min(cores)),
    )


def shortage(nodes: Sequence[Mapping[str, Any]], resources: Resources) -> str | None:
    """What a cluster lacks for the least that its stages take; None where it is enough.

    Args:
        nodes: As ``ray.nodes()`` has them.
        resources: What the stages take; tasks need a CPU beside that.
    """
    pools = (resources.detectors, resources.classifiers)
    needed = {
        "CPU": sum(pool.least * pool.cpus for pool in pools) + 1,
        "GPU": sum(pool.least * pool.gpus for pool in pools),
    }
    for name, amount in needed.items():
        there = sum(node["Resources"].get(name, 0) for node in nodes if node["Alive"])
        if there < amount:
            return f"The cluster has {there:g} {name}s, and {amount:g} are asked for"
    return None
