"""A Ray cluster on this machine for tests, whose nodes can be taken down."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

HERE = Path(__file__).parent
SOON = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 2,
}
"""A lost node is noticed within seconds."""
STORE_BYTES = 80 * 2**20
STARTS = 3
Begun = TypeVar("Begun")


class RayCluster:
    """A head without cores, and nodes with two cores each, beside whatever else a node is given.

    So there is room for others where each node has a worker that does nothing.
    """

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        path = [
            str(HERE.parent / "src"),
            str(HERE),
            str(HERE / "execution"),
            os.environ.get("PYTHONPATH", ""),
        ]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", os.pathsep.join(path))
            head = {"num_cpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False}
            self._cluster = Cluster(initialize_head=True, head_node_args={**head, "_system_config": SOON})
            self._path = os.environ["PYTHONPATH"]
        self._nodes: list[Any] = []

    @property
    def nodes(self) -> list[Any]:
        """Those that run, without the head."""
        return list(self._nodes)

    @property
    def address(self) -> str:
        """``HOST:PORT`` of the head."""
        return str(self._cluster.address)

    def add_node(self, cache: Path | None = None, **resources: float) -> Any:
        """Start a node with two cores, and wait until it can be used. ``cache``: its own NETWRIGHT_CACHE."""
        given = {"num_cpus": 2, "object_store_memory": STORE_BYTES, **resources}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", self._path)
            if cache is not None:
                patch.setenv("NETWRIGHT_CACHE", str(cache))
            node = begun(lambda: self._cluster.add_node(**given, wait=True))
        self._nodes.append(node)
        return node

    def kill(self, node: Any) -> None:
        """Take a node down without warning."""
        self._nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def notice(self) -> None:
        """Wait until the head knows of every node that was taken down."""
        self._cluster.wait_for_nodes()

    def kill_head(self) -> None:
        """Take the head down without warning. The nodes remain, until they notice it."""
        self._cluster.remove_node(self._cluster.head_node, allow_graceful=False)

    def node_of(self, process: int) -> Any:
        """The node that a worker process is on."""
        above = {parent.pid for parent in psutil.Process(process).parents()}
        return next(node for node in self._nodes if node.all_processes["raylet"][0].process.pid in above)

    def workers(self) -> list[int]:
        """The worker processes of searches on the nodes, by number: those below our actors."""
        raylets = [node.all_processes["raylet"][0].process.pid for node in self._nodes]
        below = [one for raylet in raylets for one in psutil.Process(raylet).children(recursive=True)]
        return [one.pid for one in below if _is_of_python(one)]

    def free(self, resource: str) -> float:
        """How much of a resource no worker has."""
        import ray

        return float(ray.available_resources().get(resource, 0.0))

    def close(self) -> None:
        """End the connection and all nodes."""
        import ray

        ray.shutdown()
        self._cluster.shutdown()


def _is_of_python(process: psutil.Process) -> bool:
    """Whether another process of Python has started it as one of its own."""
    with contextlib.suppress(psutil.Error):
        return "spawn_main" in " ".join(process.cmdline())
    return False


def begun(start: Callable[[], Begun]) -> Begun:
    """What a start gives; it is tried again where the machine is busy: processes of Ray wait 15 s for each other."""
    for _ in range(STARTS - 1):
        with contextlib.suppress(Exception):  # it raises no other class
            return start()
    return start()


@contextlib.contextmanager
def ray_cluster(nodes: int) -> Iterator[RayCluster]:
    """A cluster with so many nodes; skips where Ray is not installed."""
    pytest.importorskip("ray")
    cluster = begun(RayCluster)
    try:
        for _ in range(nodes):
            cluster.add_node()
        yield cluster
    finally:
        cluster.close()
