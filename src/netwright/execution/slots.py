"""Slots for workers. They give tasks to worker processes, start these again, and notice when one is lost or hangs.

Each worker has a thread in this process that gives it its tasks. Workers share nothing, no lock and no queue, so one
can be killed at any moment without harm to another. What a worker is, and where, is the executor's matter
(`SlotWorker`).
"""

from __future__ import annotations

import contextlib
import math
import pickle
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from functools import partial
from typing import Any, Protocol

from netwright.errors import ExecutionError
from netwright.execution.base import WorkerLost
from netwright.execution.guard import UNGUARDED, UnguardedScript, unguarded_words
from netwright.execution.notes import say_once
from netwright.execution.process import POLL_SECONDS, START_SECONDS
from netwright.execution.worker import BEAT, NOTE, RAISED, RETURNED

STARTS = 5
"""A worker that ends before it can take a task is started again at most this often, with longer and longer pauses."""
FIRST_PAUSE_SECONDS = 0.2


class NoRoom(Exception):  # noqa: N818  nothing is wrong
    """A worker that waits for room, which it may never get, leaves its task to another one that has nothing to do."""


class SlotWorker(Protocol):
    """One worker, as its slot sees it. Only the slot's thread uses it, except for `kill`."""

    @property
    def code(self) -> int | None:
        """The exit code of its process; None while it runs."""

    @property
    def ending(self) -> str:
        """How it ended, in words that go on "the worker process ..."."""

    def accepts(self, payload: bytes, needed: Callable[[], bool]) -> bool:
        """Whether the worker takes a task; False if it ended or was silent too long before it said so, or the task is
        no longer ``needed``.

        Raises:
            ExecutionError: no worker can take any task.
            NoRoom: it waits for room, while another worker has nothing to do.
        """

    def message(self, seconds: float) -> tuple[str, Any] | None:
        """The next message; None if none comes in time, or the worker has ended without another."""

    def kill(self) -> None:
        """End it now. Any thread may call it."""

    def end(self) -> None:
        """End it and everything that its tasks have started, and forget it."""


class Slots:
    """Some slots for workers, which are started when needed.

    Args:
        count: of slots.
        start: starts a worker.
    """

    def __init__(self, count: int, start: Callable[[], SlotWorker]) -> None:
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._slots = [_Slot(self._tasks, start) for _ in range(count)]

    @property
    def idle(self) -> bool:
        """Whether a worker has nothing to do."""
        return any(slot.idle for slot in self._slots)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run ``function(*arguments)`` in a worker. Cancelling the future ends the worker.

        The future's exception is what the function raised, or `WorkerLost`, or `ExecutionError` if no worker can be
        started.
        """
        return self.submit_pickled(pickle.dumps((function, arguments)))

    def submit_pickled(self, payload: bytes) -> Future[Any]:
        """As `submit`, for a pickled pair of the function and the tuple of its arguments."""
        future: Future[Any] = Future()
        self._tasks.put(_Task(payload, future))
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
        start: Callable[[], SlotWorker],
    ) -> None:
        self._tasks = tasks
        self._start_worker = start
        self._closed = threading.Event()
        self._starting = threading.Lock()
        self._worker: SlotWorker | None = None
        self.idle = False
        self.thread = threading.Thread(target=self._serve, name="netwright-executor", daemon=True)
        self.thread.start()

    def close(self) -> None:
        """End the worker now; no other is started."""
        self._closed.set()
        with self._starting:
            if self._worker is not None:
                self._worker.kill()

    def _serve(self) -> None:
        while (task := self._next()) is not None:
            try:
                if self._needs(task):
                    self._do(task)
            except NoRoom:
                self._drop()
                self._tasks.put(task)
                self._closed.wait(POLL_SECONDS)  # not to be the one that takes it
                continue
            except ExecutionError as error:
                task.fail(error)
            except Exception as error:
                # For example, no process or pipe is available: the task must not wait for ever.
                task.fail(ExecutionError(f"Worker processes cannot be used here: {error!r}."))
            task.close()
        self._drop()

    def _next(self) -> _Task | None:
        """The next task, when there is one; None: there will be none."""
        self.idle = self._worker is not None
        task = self._tasks.get()
        self.idle = False
        return task

    def _needs(self, task: _Task) -> bool:
        return not (self._closed.is_set() or task.future.cancelled())

    def _do(self, task: _Task) -> None:
        """Run a task in the current worker, or in a new one if that is gone before it takes the task."""
        pause, ending = FIRST_PAUSE_SECONDS, ""
        for start in range(STARTS):
            worker = self._worker or self._start()
            if worker is None:
                return
            if worker.accepts(task.payload, partial(self._needs, task)):
                self._follow(worker, task)
                return
            code, ending = worker.code, worker.ending
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
                f"{ending}. Is there memory left, and does a script of yours that workers import end itself?"
            )
        )

    def _start(self) -> SlotWorker | None:
        with self._starting:
            if self._closed.is_set():
                return None
            self._worker = self._start_worker()
            return self._worker

    def _drop(self) -> None:
        with self._starting:
            if self._worker is not None:
                self._worker.end()
                self._worker = None

    def _follow(self, worker: SlotWorker, task: _Task) -> None:
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
                code, ending = worker.code, worker.ending
                self._drop()
                number = -code if code < 0 else None
                task.fail(WorkerLost(number, f"the worker process {ending} in the middle of it"))
                return
            elif now > due:
                self._drop()
                missing = "no batch was finished" if begun else "the job could not be read"
                # What a worker reads does not depend on the job, so another attempt may succeed where none had begun.
                task.fail(WorkerLost(None, f"hanging: {missing} for {_duration(allowed)}", hanging=begun))
                return


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.1f} s"
