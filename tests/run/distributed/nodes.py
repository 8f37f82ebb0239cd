"""Two Ray nodes on this machine, until standard input ends; its lines are ``add`` or ``remove``.

They run outside the process of the tests, because Ray reads the environment only once, on import.
"""

from __future__ import annotations

import sys
from typing import Any

from ray.cluster_utils import Cluster

NODE: dict[str, Any] = {"num_cpus": 2, "object_store_memory": 150 * 2**20}  # each


def main() -> None:
    """Prints the address, and then each command once it is done."""
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    nodes = [cluster.add_node(**NODE)]
    print(cluster.address, flush=True)  # noqa: T201
    try:
        for line in sys.stdin:
            if line == "add\n":
                nodes.append(cluster.add_node(**NODE))
            else:
                cluster.remove_node(nodes.pop(), allow_graceful=False)
            print(line, end="", flush=True)  # noqa: T201
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
