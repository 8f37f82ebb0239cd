"""Three Ray nodes on this machine, until standard input ends: ``add`` and ``remove`` there change them.

Not in the tests' own process: Ray keeps what it has found in the environment when it was imported.
"""

from __future__ import annotations

import sys
from typing import Any

from ray.cluster_utils import Cluster

NODE: dict[str, Any] = {"num_cpus": 2, "object_store_memory": 150 * 2**20}  # of each


def main() -> None:
    """Answers with the address, and with a line for each command that is done."""
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    nodes = [cluster.add_node(**NODE) for _ in range(2)]
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
