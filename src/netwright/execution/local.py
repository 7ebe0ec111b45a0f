"""Worker processes on this machine. They outlive trials, and the death of one does not affect the others.

An executor has ``submit(function, *arguments) -> concurrent.futures.Future`` and ``shutdown()``. Arguments and
results are plain values or small dataclasses. Data is memory-mapped by the worker, never sent.

Each worker has its own pipe, and a thread in this process that gives it its tasks (`netwright.execution.slots`).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from netwright.execution.guard import require_guard
from netwright.execution.process import Worker
from netwright.execution.slots import Slots

THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
MEMORY_SETTINGS = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**32)}
"""A training allocates and frees the same large tensors at every step. These settings make glibc keep them instead of
returning them to the system, which would clear them again each time. Tensors of 32 MiB and more still get a mapping of
their own: in the heap they leave holes, with which VGG-16 and volumes of 128 voxels a side needed half as much memory
again."""


class LocalExecutor:
    """Worker processes on this machine, each with its own threads and memory limit. They are started when needed.

    Args:
        workers: number of processes.
        threads: per process.
        memory_limit_mb: per process, for a training step; None for no limit.

    Raises:
        UnguardedScript: the workers would run the script that starts them, and start more workers.
    """

    def __init__(self, workers: int, threads: int, memory_limit_mb: float | None = None) -> None:
        require_guard()
        settings = dict.fromkeys(THREAD_SETTINGS, str(threads)) | MEMORY_SETTINGS
        self._slots = Slots(workers, lambda: Worker(settings, memory_limit_mb))

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run ``function(*arguments)`` in a worker. Cancelling the future ends the worker.

        The future's exception is what the function raised, or `WorkerLost`, or `ExecutionError` if no worker can be
        started on this machine.
        """
        return self._slots.submit(function, *arguments)

    def submit_pickled(self, payload: bytes) -> Future[Any]:
        """As `submit`, for a pickled pair of the function and the tuple of its arguments."""
        return self._slots.submit_pickled(payload)

    def shutdown(self) -> None:
        """End all workers at once; unfinished tasks are cancelled."""
        self._slots.shutdown()
