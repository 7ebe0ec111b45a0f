"""Where candidates run: worker processes that outlive trials and survive each other's death.

An executor has ``submit(function, *arguments) -> concurrent.futures.Future`` and ``shutdown()``. Arguments and
results are plain values or small dataclasses; data is memory-mapped by the worker, never sent.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import multiprocessing.context
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

from pebble import ProcessExpired, ProcessPool

THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
MEMORY_SETTINGS = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**32)}
"""A training allocates and frees the same large tensors at every step: glibc is to keep them, not to hand them back
to the system, which would clear them anew each time. Those of 32 MiB and more have a mapping of their own all the same:
in the heap they leave holes, for which VGG-16 and volumes of 128 voxels a side took half as much memory again."""


class Executor(Protocol):
    """Runs functions elsewhere. A lost worker fails its own future with `WorkerLost` and no other."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run ``function(*arguments)`` as soon as a worker is free."""

    def shutdown(self) -> None:
        """End all workers at once, with whatever they are doing."""


class WorkerLost(Exception):  # noqa: N818  what happened, not whose fault
    """A worker process died. ``signal_number``: what killed it, or None."""

    def __init__(self, signal_number: int | None, text: str) -> None:
        super().__init__(text)
        self.signal_number = signal_number


class LocalExecutor:
    """Worker processes on this machine, each with its own threads and memory limit."""

    def __init__(self, workers: int, threads: int, memory_limit_mb: float | None = None) -> None:
        settings = dict.fromkeys(THREAD_SETTINGS, str(threads)) | MEMORY_SETTINGS
        self._pool = ProcessPool(
            max_workers=workers,
            initializer=_start_worker,
            initargs=(os.getpid(), memory_limit_mb),
            context=_WorkerContext(settings),
        )

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run ``function(*arguments)`` in a worker; cancelling the future ends the worker."""
        future: Future[Any] = self._pool.schedule(function, args=list(arguments))
        return future

    def shutdown(self) -> None:
        """End all workers at once."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()


class _WorkerProcess(multiprocessing.context.SpawnProcess):
    """A process that starts with its own environment: libraries read these settings once, on loading."""

    environment: Mapping[str, str] = {}

    def start(self) -> None:
        """Start with the environment; this process's own is as before when it returns."""
        with _ENVIRONMENT:
            before = {name: os.environ.get(name) for name in self.environment}
            os.environ.update(self.environment)
            try:
                super().start()
            finally:
                for name, value in before.items():
                    if value is None:
                        del os.environ[name]
                    else:
                        os.environ[name] = value


_ENVIRONMENT = threading.Lock()


class _WorkerContext(multiprocessing.context.SpawnContext):
    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__()
        self._environment = dict(environment)

    def Process(self, *arguments: Any, **named: Any) -> _WorkerProcess:  # type: ignore[override]  # noqa: N802
        process = _WorkerProcess(*arguments, **named)
        process.environment = self._environment
        return process


def lost_worker(error: BaseException) -> WorkerLost | None:
    """What a future's exception says of a dead worker; None where it was an ordinary exception."""
    if not isinstance(error, ProcessExpired):
        return None
    code = getattr(error, "exitcode", None)
    if isinstance(code, int) and code < 0:
        return WorkerLost(
            -code, f"the worker process was killed by signal {-code} ({signal.Signals(-code).name})"
        )
    return WorkerLost(None, f"the worker process ended by itself with exit code {code}")


def kills_for_memory() -> int | None:
    """How many processes the system has killed for want of memory since it started; None where it keeps no count."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def _start_worker(parent: int, memory_limit_mb: float | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if memory_limit_mb is not None:
        # An allocation past the limit then fails in this worker, where the system would kill whom it likes.
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = int((memory_limit_mb + _OWN_MEMORY_MB) * 1e6)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


_OWN_MEMORY_MB = 1500.0
"""What the interpreter and its libraries map beside the network, generously."""


def _die_with_parent() -> None:
    """On Linux the system ends this worker at once when its search dies, before a resumed one can meet it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


_SET_PARENT_DEATH_SIGNAL = 1


def _end_with(parent: int) -> None:
    """End this worker when the search that started it is gone, however it went."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
