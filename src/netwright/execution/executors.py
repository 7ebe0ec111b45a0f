"""The executors by name, and the only function that makes one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from netwright.errors import SettingsError
from netwright.execution.base import Executor
from netwright.execution.local import LocalExecutor

EXECUTORS: dict[str, Callable[[int, int, float | None], Executor]] = {"local": LocalExecutor}
"""Name to maker. Its arguments are the number of workers, the threads of each, and the memory of each in MB or None."""


def require_executor(name: str) -> None:
    """Refuse a name that is not in `EXECUTORS`.

    Raises:
        SettingsError: it is not.
    """
    if name not in EXECUTORS:
        raise SettingsError(f"machine.executor is {name!r}: expected one of {', '.join(EXECUTORS)}.")


@contextlib.contextmanager
def make_executor(
    workers: int, threads: int, memory_limit_mb: float | None = None, *, name: str
) -> Iterator[Executor]:
    """An executor for the duration of a ``with`` block; its workers end with the block.

    Args:
        workers: number of worker processes.
        threads: per worker.
        memory_limit_mb: per worker, for a training step; None for no limit.
        name: a name from `EXECUTORS`; in a run the setting ``machine.executor``.

    Raises:
        SettingsError: there is no such executor.
        UnguardedScript: the workers would run the script that starts them, and start more workers.
    """
    require_executor(name)
    executor = EXECUTORS[name](workers, threads, memory_limit_mb)
    try:
        yield executor
    finally:
        executor.shutdown()
