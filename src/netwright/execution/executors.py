"""The executors by name, and the only function that makes one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from netwright.errors import SettingsError
from netwright.execution import ray_cluster
from netwright.execution.base import Cluster, Executor, Room
from netwright.execution.local import LocalExecutor
from netwright.execution.ray import RayExecutor


@dataclass(frozen=True)
class ExecutorKind:
    """How executors of a name are made.

    Args:
        make: makes one of the number of workers, the threads and the memory in MB (or None) of each, and the cluster.
        room: what the cluster has for workers, or a `SettingsError` that says why it cannot be used; None: the executor
            uses this machine.
    """

    make: Callable[[int, int, float | None, Cluster], Executor]
    room: Callable[[Cluster], Room | None]


EXECUTORS: dict[str, ExecutorKind] = {
    "local": ExecutorKind(
        lambda workers, threads, memory_mb, cluster: LocalExecutor(workers, threads, memory_mb),
        lambda cluster: None,
    ),
    "ray": ExecutorKind(RayExecutor, ray_cluster.room),
}


def room_of(name: str, cluster: Cluster) -> Room | None:
    """What an executor has for workers; None: what this machine has.

    Args:
        name: a name from `EXECUTORS`; in a run the setting ``machine.executor``.
        cluster: where it runs workers, and what each asks for.

    Raises:
        SettingsError: there is no such executor or no such cluster, or no machine of it is large enough for a worker.
    """
    if name not in EXECUTORS:
        raise SettingsError(f"machine.executor is {name!r}: expected one of {', '.join(EXECUTORS)}.")
    return EXECUTORS[name].room(cluster)


@contextlib.contextmanager
def make_executor(
    workers: int,
    threads: int,
    memory_limit_mb: float | None = None,
    *,
    name: str,
    cluster: Cluster | None = None,
) -> Iterator[Executor]:
    """An executor for the duration of a ``with`` block; its workers end with the block.

    Args:
        workers: number of worker processes.
        threads: per worker.
        memory_limit_mb: per worker, for a training step; None for no limit.
        name: a name from `EXECUTORS`; in a run the setting ``machine.executor``.
        cluster: where the workers run, and what each asks for.

    Raises:
        SettingsError: there is no such executor, or no machine that is large enough for a worker.
        UnguardedScript: the workers would run the script that starts them, and start more workers.
    """
    cluster = cluster or Cluster()
    room_of(name, cluster)
    executor = EXECUTORS[name].make(workers, threads, memory_limit_mb, cluster)
    try:
        yield executor
    finally:
        executor.shutdown()
