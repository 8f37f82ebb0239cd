"""What each stage takes of the machines of a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from speciesnet.distributed.resources import Pool, Resources, resources_for, shortage
from speciesnet.errors import InputError


def node(alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"Alive": alive, "Resources": resources}


def test_processors_alone() -> None:
    found = resources_for([node(CPU=8), node(CPU=4), node(alive=False, CPU=2), node(memory=1.0)])
    assert found.detectors == found.classifiers == Pool(least=1, most=2, cpus=1.0, gpus=0.0)
    assert found.threads == 4


def test_tasks_find_room_beside_the_networks_of_the_smallest_machine() -> None:
    found = resources_for([node(CPU=2)])
    assert 2 - found.detectors.cpus - found.classifiers.cpus >= 1


def test_graphics_cards_are_shared_by_both_networks() -> None:
    found = resources_for([node(CPU=8, GPU=1), node(CPU=64)])
    assert found.detectors.gpus + found.classifiers.gpus == 1
    assert found.detectors.most is None


def test_machines_with_graphics_cards_may_come_later() -> None:
    assert resources_for([node(CPU=0)], with_gpus=True).detectors.gpus > 0


def test_machines_that_are_too_small() -> None:
    for nodes in ([], [node(CPU=1)], [node(alive=False, CPU=8)]):
        with pytest.raises(InputError, match="2 CPUs"):
            resources_for(nodes)


def test_bounds_of_a_pool() -> None:
    pool = Pool(cpus=0.5)
    assert pool.between(None, "detectors") == pool
    assert pool.between("4", "detectors") == Pool(4, 4, 0.5)
    assert pool.between("1-4", "detectors") == Pool(1, 4, 0.5)


@pytest.mark.parametrize("bounds", ["", "0", "-1", "4-1", "1-", "two", "1-2-3", "1.5", "0-2"])
def test_bounds_that_are_none(bounds: str) -> None:
    with pytest.raises(InputError, match="--detectors is"):
        Pool().between(bounds, "detectors")


def test_reservations() -> None:
    assert Pool(cpus=1, gpus=0.5).reserving(None, 1) == Pool(cpus=1, gpus=1)
    assert Pool(cpus=1, gpus=0.5).reserving(0, None) == Pool(cpus=0, gpus=0.5)


def test_more_is_asked_for_than_there_is() -> None:
    nodes = [node(CPU=4, GPU=1), node(CPU=4), node(alive=False, CPU=64, GPU=8)]
    assert shortage(nodes, Resources(Pool(6, cpus=1), Pool(cpus=1), 1)) is None
    many = shortage(nodes, Resources(Pool(7, cpus=1), Pool(cpus=1), 1))
    assert many == "The cluster has 8 CPUs, and 9 are asked for"
    cards = shortage(nodes, Resources(Pool(2, gpus=0.5), Pool(gpus=0.5), 1))
    assert cards == "The cluster has 1 GPUs, and 1.5 are asked for"


def test_what_suits_a_cluster_is_no_more_than_it_has() -> None:
    for nodes in ([node(CPU=2)], [node(CPU=8), node(CPU=3)], [node(CPU=4, GPU=1)]):
        assert shortage(nodes, resources_for(nodes)) is None
