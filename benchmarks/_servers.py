"""Ports of local servers, and the nodes of a local Ray cluster."""

import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

STORE = 80 << 20  # bytes of a Ray node's object store: the least there is


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def ray_head() -> Generator[Any]:
    """Run the head of a Ray cluster, which does no work; yield the cluster."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster
    finally:
        cluster.shutdown()


def add_node(cluster: Any, **more: Any) -> Any:
    """Add a node of one core to a cluster."""
    return cluster.add_node(num_cpus=1, object_store_memory=STORE, **more)
