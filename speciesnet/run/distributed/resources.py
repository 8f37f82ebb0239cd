"""How many processes each stage of a cluster run gets, and what share of a machine each takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from speciesnet.errors import InputError

NETWORK_CORES = 0.25  # share of a machine without a GPU; tasks that read use the rest
MIN_CORES = 2  # of a machine without a GPU, or no task finds room next to the networks
NETWORK_GPUS = 0.5
READING_CPUS = 1  # for a task that reads images


class Node(TypedDict):
    """The keys of a machine in ``ray.nodes()`` that are used; resources are amounts by name ("CPU")."""

    Alive: bool
    Resources: dict[str, float]


@dataclass(frozen=True)
class Pool:
    """The processes of one stage, in Ray's terms.

    Attributes:
        min_size: Number of processes that always run.
        max_size: Maximum number of processes, or None for as many as fit.
        cpus: CPUs that Ray reserves for a process; it may use more threads.
        gpus: GPUs that Ray reserves for a process; several processes share one if it is a fraction.
    """

    min_size: int = 1
    max_size: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0

    def with_size(self, size: str | None, flag: str) -> Pool:
        """Returns a pool of a different size, ``4`` or ``1-4``; None keeps the size.

        Raises:
            InputError: The size is not a number or a range; the message names the flag.
        """
        if size is None:
            return self
        low, dash, high = size.partition("-")
        try:
            pool = replace(self, min_size=int(low), max_size=int(high if dash else low))
        except ValueError:
            pool = replace(self, min_size=0)
        if not 1 <= pool.min_size <= (pool.max_size or 0):
            raise InputError(
                f"--{flag} is {size!r}. It must be a number such as 4 or a range such as 1-4."
            )
        return pool

    def with_reservations(self, cpus: float | None, gpus: float | None) -> Pool:
        """Returns a pool with different reservations; None keeps a value."""
        given = {"cpus": cpus, "gpus": gpus}
        return replace(self, **{name: n for name, n in given.items() if n is not None})


@dataclass(frozen=True)
class Resources:
    """The processes of each stage on a cluster, and their threads.

    Attributes:
        detectors: The processes that run the detector.
        classifiers: The processes that run the classifier.
        threads: CPU threads of each network.
    """

    detectors: Pool
    classifiers: Pool
    threads: int

    @property
    def deciders(self) -> Pool:
        """The processes that read images and run both networks, one on each of the smallest machines."""
        both = (self.detectors, self.classifiers)
        cpus = READING_CPUS + sum(pool.cpus for pool in both)
        return replace(self.detectors, cpus=cpus, gpus=sum(pool.gpus for pool in both))


def resources_for(nodes: Sequence[Node], *, with_gpus: bool = False) -> Resources:
    """Chooses resources that suit the machines of a cluster.

    Each GPU gets a detector and a classifier. Without GPUs, each machine gets one of each, and both may
    use all of its cores, because most of the time one waits for the other. ``with_gpus`` prepares for
    machines with GPUs that will join later.

    Raises:
        InputError: No machine has enough cores.
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    if with_gpus or any(node.get("GPU") for node in alive):
        pool = Pool(cpus=1, gpus=NETWORK_GPUS)
        return Resources(pool, pool, threads=1)
    cores = [node["CPU"] for node in alive if node.get("CPU", 0) >= MIN_CORES]
    if not cores:
        raise InputError(
            f"Ray counts fewer than {MIN_CORES} CPUs on every machine of the cluster. Start ray with "
            f"--num-cpus {MIN_CORES} or more."
        )
    pool = Pool(max_size=len(cores), cpus=min(cores) * NETWORK_CORES)
    return Resources(pool, pool, threads=math.ceil(min(cores)))


def shortage(nodes: Sequence[Node], resources: Resources) -> str | None:
    """Describes what the machines lack for the smallest pools and a reading task, if anything."""
    pools = (resources.detectors, resources.classifiers)
    needed = {
        "CPU": sum(pool.min_size * pool.cpus for pool in pools) + READING_CPUS,
        "GPU": sum(pool.min_size * pool.gpus for pool in pools),
    }
    for name, amount in needed.items():
        available = sum(node["Resources"].get(name, 0) for node in nodes if node["Alive"])
        if available < amount:
            return f"The cluster has {available:g} {name}s, and the run needs {amount:g}"
    return None
