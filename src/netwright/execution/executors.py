"""The executors by name, and the one place that makes one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from netwright.execution.base import Executor
from netwright.execution.local import LocalExecutor

EXECUTORS: dict[str, Callable[[int, int, float | None], Executor]] = {"local": LocalExecutor}
"""Name -> maker: of the number of workers, the threads of each, and the memory of each in MB or None."""


@contextlib.contextmanager
def make_executor(
    workers: int, threads: int, memory_limit_mb: float | None = None, *, name: str = "local"
) -> Iterator[Executor]:
    """An executor for as long as a ``with`` block lasts; its workers end with the block.

    Args:
        workers: jobs at once.
        threads: of each.
        memory_limit_mb: of each, for a training step; None for no limit.
        name: which one, see `EXECUTORS`.

    Raises:
        UnguardedScript: workers would run the script that asks for them, and it would ask again.
    """
    executor = EXECUTORS[name](workers, threads, memory_limit_mb)
    try:
        yield executor
    finally:
        executor.shutdown()
