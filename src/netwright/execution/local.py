"""Worker processes on this machine. They outlive trials, and the death of one does not affect the others.

An executor has ``submit(function, *arguments) -> concurrent.futures.Future`` and ``shutdown()``. Arguments and
results are plain values or small dataclasses. Data is memory-mapped by the worker, never sent.

Each worker has its own pipe, and a thread in this process that gives it its tasks. Workers share nothing, no lock and
no queue, so one can be killed at any moment without harm to another.
"""

from __future__ import annotations

import contextlib
import math
import pickle
import queue
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from functools import partial
from typing import Any

from netwright.errors import ExecutionError
from netwright.execution.base import WorkerLost
from netwright.execution.guard import UNGUARDED, UnguardedScript, require_guard, unguarded_words
from netwright.execution.notes import say_once
from netwright.execution.process import POLL_SECONDS, START_SECONDS, UNKNOWN, Worker
from netwright.execution.worker import BEAT, NOTE, RAISED, RETURNED

THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
MEMORY_SETTINGS = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**32)}
"""A training allocates and frees the same large tensors at every step. These settings make glibc keep them instead of
returning them to the system, which would clear them again each time. Tensors of 32 MiB and more still get a mapping of
their own: in the heap they leave holes, with which VGG-16 and volumes of 128 voxels a side needed half as much memory
again."""
STARTS = 5
"""A worker that ends before it can take a task is started again at most this often, with longer and longer pauses."""
FIRST_PAUSE_SECONDS = 0.2


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
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._slots = [_Slot(self._tasks, settings, memory_limit_mb) for _ in range(workers)]

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run ``function(*arguments)`` in a worker. Cancelling the future ends the worker.

        The future's exception is what the function raised, or `WorkerLost`, or `ExecutionError` if no worker can be
        started on this machine.
        """
        future: Future[Any] = Future()
        self._tasks.put(_Task(pickle.dumps((function, arguments)), future))
        return future

    def shutdown(self) -> None:
        """End all workers at once; unfinished tasks are cancelled."""
        for slot in self._slots:
            slot.close()
        for _ in self._slots:
            self._tasks.put(None)
        for slot in self._slots:
            slot.thread.join()
        with contextlib.suppress(queue.Empty):
            while True:
                task = self._tasks.get_nowait()
                if task is not None:
                    task.close()


class _Task:
    """A pickled function with its arguments, and the future of its result."""

    def __init__(self, payload: bytes, future: Future[Any]) -> None:
        self.payload = payload
        self.future = future

    def finish(self, word: str, value: Any) -> None:
        with contextlib.suppress(InvalidStateError):  # cancelled at this moment
            if word == RETURNED:
                self.future.set_result(value)
                return
            error, trace = value
            error.__cause__ = _RemoteTrace(trace)
            self.future.set_exception(error)

    def fail(self, error: Exception) -> None:
        with contextlib.suppress(InvalidStateError):
            self.future.set_exception(error)

    def close(self) -> None:
        """Cancel it if it has no result, and wake up those who wait for it. To be called once, at the end."""
        if self.future.cancel():
            self.future.set_running_or_notify_cancel()


class _RemoteTrace(Exception):  # noqa: N818  a text beside an error
    """The traceback of an error in a worker, shown as its cause."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


class _Slot:
    """A slot for a worker, and the thread that starts the worker, gives it tasks and notices its end.

    The thread lasts as long as its workers, because on Linux the end of a thread is reported to the processes that it
    started.
    """

    def __init__(
        self,
        tasks: queue.SimpleQueue[_Task | None],
        settings: Mapping[str, str],
        memory_limit_mb: float | None,
    ) -> None:
        self._tasks = tasks
        self._settings = settings
        self._memory_limit_mb = memory_limit_mb
        self._closed = threading.Event()
        self._starting = threading.Lock()
        self._worker: Worker | None = None
        self.thread = threading.Thread(target=self._serve, name="netwright-executor", daemon=True)
        self.thread.start()

    def close(self) -> None:
        """End the worker now; no other is started."""
        self._closed.set()
        with self._starting:
            if self._worker is not None:
                self._worker.kill()

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                if self._needs(task):
                    self._do(task)
            except Exception as error:
                # For example, no process or pipe is available: the task must not wait for ever.
                task.fail(ExecutionError(f"Worker processes cannot be used here: {error!r}."))
            task.close()
        self._drop()

    def _needs(self, task: _Task) -> bool:
        return not (self._closed.is_set() or task.future.cancelled())

    def _do(self, task: _Task) -> None:
        """Run a task in the current worker, or in a new one if that is gone before it takes the task."""
        pause, code = FIRST_PAUSE_SECONDS, None
        for start in range(STARTS):
            worker = self._worker or self._start()
            if worker is None:
                return
            if worker.accepts(task.payload, partial(self._needs, task)):
                self._follow(worker, task)
                return
            code = worker.code
            self._drop()
            if code == UNGUARDED:
                task.fail(UnguardedScript(unguarded_words()))
                return
            if 0 < start < STARTS - 1:
                pause *= 2
                self._closed.wait(pause)
            if not self._needs(task):
                return
        task.fail(
            ExecutionError(
                f"Worker processes cannot be started here: {STARTS} in a row ended before they took any work, the last "
                f"{_how(code)}. Is there memory left, and does a script of yours that workers import end itself?"
            )
        )

    def _start(self) -> Worker | None:
        with self._starting:
            if self._closed.is_set():
                return None
            self._worker = Worker(self._settings, self._memory_limit_mb)
            return self._worker

    def _drop(self) -> None:
        with self._starting:
            if self._worker is not None:
                self._worker.end()
                self._worker = None

    def _follow(self, worker: Worker, task: _Task) -> None:
        """Wait until the task is finished, cancelled or overdue, or the worker has ended."""
        allowed, checked, begun = START_SECONDS, time.monotonic(), False
        due = checked + allowed
        while True:
            message = worker.message(POLL_SECONDS)
            now = time.monotonic()
            if (
                now - checked > 10 * POLL_SECONDS
            ):  # this process was suspended, and its workers may have been, too
                due += now - checked
            checked = now
            if not self._needs(task):
                self._drop()
                return
            if message is not None:
                word, value = message
                if word in (RETURNED, RAISED):
                    task.finish(word, value)
                    return
                if word == BEAT:
                    begun = True
                    allowed = math.inf if value is None else value
                    due = now + allowed
                if word == NOTE:
                    say_once(value)
            elif worker.code is not None:
                code = worker.code
                self._drop()
                task.fail(
                    WorkerLost(
                        -code if code < 0 else None, f"the worker process {_how(code)} in the middle of it"
                    )
                )
                return
            elif now > due:
                self._drop()
                missing = "no batch was finished" if begun else "the job could not be read"
                # What a worker reads does not depend on the job, so another attempt may succeed where none had begun.
                task.fail(WorkerLost(None, f"hanging: {missing} for {_duration(allowed)}", hanging=begun))
                return


def _how(code: int | None) -> str:
    """How a process ended, by its exit code; None: it was ended here, because it did not start up."""
    if code is None:
        return "had not come up in time"
    if code == UNKNOWN:
        return "ended, and something else in this process took its exit code"
    if code < 0:
        names = {int(known): known.name for known in signal.Signals}
        return f"was killed by signal {-code} ({names.get(-code, 'unnamed')})"
    return f"ended by itself with exit code {code}"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.1f} s"
