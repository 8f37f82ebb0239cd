"""How the stages share the machines of a cluster."""

from __future__ import annotations

import pytest

from speciesnet.errors import InputError
from speciesnet.run.distributed.resources import Node, Pool, Resources, resources_for, shortage


def node(alive: bool = True, **resources: float) -> Node:
    return {"Alive": alive, "Resources": resources}


def test_machines_without_gpus() -> None:
    found = resources_for([node(CPU=8), node(CPU=4), node(alive=False, CPU=2), node(memory=1.0)])
    assert found.detectors == found.classifiers == Pool(min_size=1, max_size=2, cpus=1.0, gpus=0.0)
    assert found.threads == 4


def test_tasks_find_room_next_to_the_networks_of_the_smallest_machine() -> None:
    found = resources_for([node(CPU=2)])
    assert 2 - found.detectors.cpus - found.classifiers.cpus >= 1


def test_both_networks_share_a_gpu() -> None:
    found = resources_for([node(CPU=8, GPU=1), node(CPU=64)])
    assert found.detectors.gpus + found.classifiers.gpus == 1
    assert found.detectors.max_size is None


def test_machines_with_gpus_may_join_later() -> None:
    assert resources_for([node(CPU=0)], with_gpus=True).detectors.gpus > 0


def test_machines_that_are_too_small() -> None:
    for nodes in ([], [node(CPU=1)], [node(alive=False, CPU=8)]):
        with pytest.raises(InputError, match="2 CPUs"):
            resources_for(nodes)


def test_a_process_with_both_networks_has_a_small_machine_to_itself() -> None:
    assert resources_for([node(CPU=2), node(CPU=2)]).deciders == Pool(max_size=2, cpus=2)
    assert resources_for([node(CPU=8)]).deciders.cpus > 8 / 2
    assert resources_for([node(CPU=8, GPU=1)]).deciders.gpus == 1


def test_size_of_a_pool() -> None:
    pool = Pool(cpus=0.5)
    assert pool.with_size(None, "detectors") == pool
    assert pool.with_size("4", "detectors") == Pool(4, 4, 0.5)
    assert pool.with_size("1-4", "detectors") == Pool(1, 4, 0.5)


@pytest.mark.parametrize("size", ["", "0", "-1", "4-1", "1-", "two", "1-2-3", "1.5", "0-2"])
def test_invalid_sizes(size: str) -> None:
    with pytest.raises(InputError, match="--detectors is"):
        Pool().with_size(size, "detectors")


def test_reservations() -> None:
    assert Pool(cpus=1, gpus=0.5).with_reservations(None, 1) == Pool(cpus=1, gpus=1)
    assert Pool(cpus=1, gpus=0.5).with_reservations(0, None) == Pool(cpus=0, gpus=0.5)


def test_shortage_of_a_cluster() -> None:
    nodes = [node(CPU=4, GPU=1), node(CPU=4), node(alive=False, CPU=64, GPU=8)]
    assert shortage(nodes, Resources(Pool(6, cpus=1), Pool(cpus=1), 1)) is None
    many = shortage(nodes, Resources(Pool(7, cpus=1), Pool(cpus=1), 1))
    assert many == "The cluster has 8 CPUs, and the run needs 9"
    cards = shortage(nodes, Resources(Pool(2, gpus=0.5), Pool(gpus=0.5), 1))
    assert cards == "The cluster has 1 GPUs, and the run needs 1.5"


def test_chosen_resources_never_exceed_the_cluster() -> None:
    for nodes in ([node(CPU=2)], [node(CPU=8), node(CPU=3)], [node(CPU=4, GPU=1)]):
        assert shortage(nodes, resources_for(nodes)) is None
