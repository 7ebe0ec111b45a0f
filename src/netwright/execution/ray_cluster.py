"""A Ray cluster, as a search sees it: the connection, and what its nodes have."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from netwright.errors import SettingsError
from netwright.execution.base import Cluster, Room
from netwright.execution.interrupts import Stopped
from netwright.execution.ray_head import host_and_port
from netwright.execution.resources import available_cores

ADDRESS = "RAY_ADDRESS"
"""Ray's own environment variable. It comes before a setting, so that a search can go on in another cluster."""
AUTO = "auto"
ANSWER_SECONDS = 10.0
"""A head node takes a connection within this time. Ray itself would try for minutes, and then end the program."""
USAGE = "RAY_USAGE_STATS_ENABLED"
"""Ray's own environment variable: whether it tells its makers of its use. It does not, unless the user has set this."""
SKIPPED = "RAY_DEDUP_LOGS_SKIP_REGEX"
"""Ray's own environment variable: which messages of a cluster it does not print in our output. It is read once."""
_DUMP = "Raylet is terminated"
"""So begin twenty lines of a node's inner state (``[state-dump]``). Another message says that it was lost."""
_STORE_BYTES = 80 * 2**20
"""The smallest object store that Ray allows. Data is read from files, so nothing large is ever put there."""
_MB = 1e6


def require_ray() -> Any:
    """The package ray.

    Raises:
        SettingsError: it is not installed.
    """
    os.environ.setdefault(SKIPPED, _DUMP)
    try:
        import ray
    except ImportError as error:
        raise SettingsError(
            f"machine.executor is 'ray', but the package ray cannot be imported ({error}). Install it with "
            "pip install 'netwright[ray]', or use --executor local."
        ) from None
    return ray


def connect(address: str | None) -> Any:
    """Connect this process with a cluster, unless it is already connected. Returns the package ray.

    Args:
        address: ``HOST:PORT`` of the head node, or "auto" for the cluster that runs on this machine; `ADDRESS` is used
            in its place where it is set. None: Ray is started on this machine, and ends with this process.

    Raises:
        SettingsError: ray is not installed, or there is no such cluster.
        Stopped: SIGTERM came meanwhile.
    """
    ray = require_ray()
    if ray.is_initialized():
        there = ray.get_runtime_context().gcs_address
        _require_answer(there, there)
        return ray
    address = os.environ.get(ADDRESS) or address
    if address is None:
        os.environ.setdefault(USAGE, "0")
    else:
        _require_answer(address, _latest() if address == AUTO else address)
    quiet = {"log_to_driver": False, "configure_logging": False, "logging_level": "ERROR"}
    try:
        with _signals_kept(), contextlib.redirect_stderr(io.StringIO()):
            if address is None:
                ray.init(
                    address="local",
                    num_cpus=available_cores(),
                    include_dashboard=False,
                    object_store_memory=_STORE_BYTES,
                    **quiet,
                )
            else:
                ray.init(address=address, **quiet)
    except (Exception, SystemExit) as error:  # it leaves the program where the other side is no Ray
        if isinstance(error, SystemExit) and error.code == signal.SIGTERM:
            raise Stopped from None
        raise SettingsError(_no_cluster(address, error)) from None
    return ray


def room(cluster: Cluster) -> Room:
    """How many workers fit into a cluster, when nobody else uses it.

    Raises:
        SettingsError: there is no such cluster, or none of its nodes is large enough for a worker.
    """
    connect(cluster.address)
    counts = [(node, _fit(node, cluster)) for node in nodes().values()]
    workers = sum(count for _, count in counts)
    if not workers:
        raise SettingsError(too_small(cluster))
    memory = min(node.get("memory", 0.0) / count for node, count in counts if count)
    return Room(workers, None if cluster.gpus or not memory else round(memory / _MB, 0))


def nodes() -> dict[str, Mapping[str, float]]:
    """The resources of each node that is alive, by its name. Memory is in bytes."""
    return {
        f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})": node["Resources"]
        for node in require_ray().nodes()
        if node["Alive"]
    }


def fits(cluster: Cluster) -> bool:
    """Whether some node is large enough for a worker, when nobody else uses it."""
    return any(_fit(node, cluster) for node in nodes().values())


def too_small(cluster: Cluster) -> str:
    """An error text: no node is large enough for a worker, and what there is."""
    has = [f"{name} has {_words(node.get('CPU', 0), node.get('GPU', 0))}" for name, node in nodes().items()]
    return (
        f"A candidate asks for {_words(cluster.cpus, cluster.gpus)} on one node, and no node of the Ray cluster has "
        f"that: {', '.join(has) or 'it has no node'}. Give other --gpus-per-trial or --cpus-per-trial, or add a node."
    )


def _fit(node: Mapping[str, float], cluster: Cluster) -> int:
    """How many workers fit into a node."""
    counts = [int(node.get("CPU", 0.0) / cluster.cpus)]
    if 0 < cluster.gpus < 1:  # a share is always of one GPU
        counts.append(int(node.get("GPU", 0.0)) * int(1 / cluster.gpus))
    elif cluster.gpus:
        counts.append(int(node.get("GPU", 0.0) / cluster.gpus))
    return min(counts)


def _words(cpus: float, gpus: float) -> str:
    parts = [
        f"{count:g} {name}{'' if count == 1 else 's'}" for count, name in ((cpus, "core"), (gpus, "GPU"))
    ]
    return " and ".join(parts) if gpus else parts[0]


def _latest() -> str | None:
    """The head node of the cluster that Ray started last on this machine, which is "auto" for Ray even if it is gone.

    None: Ray looks for one among the processes.
    """
    from ray._private.services import find_bootstrap_address

    address: str | None = find_bootstrap_address(None)
    return address or None


def _require_answer(given: str, address: str | None) -> None:
    """Refuse an address at which nobody listens.

    Args:
        given: what the user named.
        address: of the head node; None: it is not known.

    Raises:
        SettingsError: it is none, or nobody does.
    """
    if address is None:
        return
    listens_at = host_and_port(address)
    if listens_at is None:
        raise SettingsError(
            f"The address of the Ray cluster is {address!r}: expected 'auto' or HOST:PORT of its head node, for "
            "example 10.0.0.5:6379 or [fd00::5]:6379. A search runs on a node of the cluster; Ray Client (ray://) is "
            "not used."
        )
    try:
        socket.create_connection(listens_at, ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        where = error if given == address else f"{address}, where it was last: {error}"
        raise SettingsError(_no_cluster(given, where)) from None


def _no_cluster(address: str | None, error: object) -> str:
    reason = " ".join(str(error).split()).rstrip(".")[:300] or type(error).__name__
    if address is None:
        return f"Ray cannot be started on this machine: {reason}."
    return (
        f"There is no Ray cluster to use at {address!r}: {reason}. Start Ray on each machine (ray start), this one "
        f"among them, and give the head node's address with --ray-address or in {ADDRESS}."
    )


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Within it Ray may take over SIGTERM, as it does while it connects; afterwards it is as before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
