"""Workers that serve one search after another: they take seconds to start, and the search of a test takes less."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from disk import at_once
from netwright.execution import notes, worker
from netwright.execution.base import Executor
from netwright.execution.executors import EXECUTORS, ExecutorKind
from netwright.execution.local import LocalExecutor

KEPT = 3
"""So many executors at most are kept; each of their workers holds some 400 MB."""


class SharedWorkers:
    """Makes executors, for `netwright.execution.executors.EXECUTORS`, whose workers outlive a search.

    Each call finds what it would find in a worker that has just been started: folder, environment, memory limit, and
    no modules of a user's. How workers are started and ended is tested with others.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], LocalExecutor] = {}

    def __call__(self, workers: int, threads: int, memory_limit_mb: float | None) -> Executor:
        kept = self._kept.pop((workers, threads), None) or LocalExecutor(workers, threads)
        self._kept[workers, threads] = kept
        if len(self._kept) > KEPT:
            self._kept.pop(next(iter(self._kept))).shutdown()
        return _Lent(kept, memory_limit_mb)

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Within it, whoever asks for an executor by name is lent these workers."""
        with pytest.MonkeyPatch.context() as patch:
            kind = ExecutorKind(lambda *given: self(*given[:-1]), lambda cluster: None)
            patch.setitem(EXECUTORS, "local", kind)
            yield

    def shutdown(self) -> None:
        """End all workers."""
        for executor in self._kept.values():
            executor.shutdown()


class _Lent:
    """An executor for one search, which ends its own work alone."""

    def __init__(self, executor: LocalExecutor, memory_limit_mb: float | None) -> None:
        self._executor = executor
        self._memory_limit_mb = memory_limit_mb
        self._submitted: list[Future[Any]] = []

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        environment = {name: value for name, value in os.environ.items() if _is_set_anew(name)}
        call = (os.getcwd(), environment, self._memory_limit_mb, function, *arguments)
        self._submitted.append(self._executor.submit(call_anew, *call))
        return self._submitted[-1]

    def shutdown(self) -> None:
        for future in self._submitted:
            future.cancel()


def call_anew(
    folder: str,
    environment: dict[str, str],
    memory_limit_mb: float | None,
    function: Callable[..., Any],
    *arguments: Any,
) -> Any:
    """Call a function in a worker as if it had just been started."""
    os.chdir(folder)
    for name in list(os.environ):
        if _is_set_anew(name) and name not in environment:
            del os.environ[name]
    os.environ.update(environment)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = hard if memory_limit_mb is None else int((memory_limit_mb + worker._OWN_MEMORY_MB) * 1e6)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    notes._SAID.clear()
    forget_users_code()
    os.fsync = at_once
    gc.collect()
    gc.freeze()  # what was imported is left out of the collections that follow every training
    return function(*arguments)


def forget_users_code() -> None:
    """Modules that lie in a test's folder are imported anew, from wherever they are found then."""
    sys.path[:] = [folder for folder in sys.path if not _is_tests(folder)]
    for name, module in list(sys.modules.items()):
        if _is_tests(getattr(module, "__file__", None)):
            del sys.modules[name]


def _is_tests(path: str | None) -> bool:
    """Whether a path is one of the folders that pytest makes for its tests: ``pytest-of-USER`` holds all of them.

    The whole folder of temporary files will not do: the repository itself, and its environment, may lie there. Each
    command asks this of thousands of modules.
    """
    return path is not None and f"{os.sep}pytest-of-" in path


def _is_set_anew(name: str) -> bool:
    return name.startswith("NETWRIGHT_") and name != worker.MARK
