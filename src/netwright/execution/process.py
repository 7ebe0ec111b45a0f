"""One worker process, as the search sees it: its start, its messages, its end."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import multiprocessing.context
import os
import pickle
import signal
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from multiprocessing import connection, resource_tracker
from typing import Any

from netwright.execution.guard import WORKER
from netwright.execution.worker import ENDING, MARK, READY, TAKEN, end_processes, work

POLL_SECONDS = 0.1
START_SECONDS = 300.0
"""A worker that has not started up by then, has not taken a task for as long, or has not read it for as long, is
considered hanging: it is ended and replaced."""
UNKNOWN = 256
"""Used instead of an exit code that cannot be determined any more; no process has it."""
_REAPING_SECONDS = 0.05
_START_SECONDS_LEFT = 5.0


class Worker:
    """One worker process, as its slot sees it. Only the slot's thread uses it, except for `kill`."""

    def __init__(self, settings: Mapping[str, str], memory_limit_mb: float | None) -> None:
        self._mark = uuid.uuid4().hex
        self._pipe, theirs = multiprocessing.get_context("spawn").Pipe()
        self._process = _WorkerProcess(
            target=work, args=(theirs, os.getpid(), memory_limit_mb), name=f"{WORKER}-{self._mark}"
        )
        self._process.environment = {**settings, MARK: self._mark}
        self._ready, self._due = False, time.monotonic() + START_SECONDS
        try:
            self._process.start()
        finally:
            theirs.close()

    @property
    def code(self) -> int | None:
        """The exit code; None while the process runs.

        It is `UNKNOWN` if something else in this process has taken the code: a program that ignores SIGCHLD, or that
        waits for any child.
        """
        code = self._process.exitcode
        if code is None and not _exists(self._process.pid):
            time.sleep(_REAPING_SECONDS)  # another slot may be storing it right now
            code = self._process.exitcode
            return UNKNOWN if code is None else code
        return code

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        return _how(self.code)

    def accepts(self, payload: bytes, needed: Callable[[], bool]) -> bool:
        """Whether the worker takes a task; False if it ended or was silent too long before it said so, or the task is
        no longer ``needed``.

        A worker says that it has taken a task before it begins. A task that was not taken may be given to another.
        """
        if not self._ready:
            self._ready = self._says(READY, lambda: needed() and time.monotonic() < self._due)
        if not self._ready:
            return False
        try:
            self._pipe.send_bytes(payload)
        except OSError:
            return False
        due = time.monotonic() + START_SECONDS
        return self._says(TAKEN, lambda: needed() and time.monotonic() < due)

    def _says(self, word: str, needed: Callable[[], bool]) -> bool:
        while needed():
            message = self.message(POLL_SECONDS)
            if message is not None and message[0] == word:
                return True
            if message is None and self.code is not None:
                return False
        return False

    def message(self, seconds: float) -> tuple[str, Any] | None:
        """The next message; None if none comes in time, or the worker has ended without another."""
        try:
            connection.wait([self._pipe, self._process.sentinel], seconds)
            if not self._pipe.poll():
                return None
            message: tuple[str, Any] = pickle.loads(self._pipe.recv_bytes())
            return message
        except (EOFError, OSError):
            self._process.join(seconds)  # the pipe is closed as the process ends
            return None

    def kill(self) -> None:
        """End the process now. Any thread may call it."""
        with contextlib.suppress(OSError, ValueError):
            self._process.kill()

    def end(self) -> None:
        """End the process and everything that its tasks have started, and forget it."""
        self.kill()
        self._process.join()
        end_processes(self._mark)
        self._pipe.close()
        _LIVE.pop(self._mark, None)


class _WorkerProcess(multiprocessing.context.SpawnProcess):
    """A process with its own environment variables, which libraries read once, on loading."""

    environment: Mapping[str, str] = {}

    def start(self) -> None:
        """Start the process with its environment. Afterwards this process's own environment is as before.

        Raises:
            RuntimeError: this process is ending. Nobody would end the new one, and Python's exit would wait for it.
        """
        with _STARTING:
            if _OVER.is_set():
                raise RuntimeError("no worker is started any more, as this process ends")
            resource_tracker.ensure_running()  # before the change: it belongs to this process, not to the worker
            # Blocked until the worker can ignore them, because Ctrl-C reaches it even while it starts.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
            before = {name: os.environ.get(name) for name in self.environment}
            os.environ.update(self.environment)
            try:
                super().start()
                _LIVE[self.environment[MARK]] = self
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                for name, value in before.items():
                    if value is None:
                        del os.environ[name]
                    else:
                        os.environ[name] = value


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


def _exists(process: int | None) -> bool:
    if process is not None:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # a process of another user
            return True
    return True


_STARTING = threading.Lock()
"""Held while a worker is started, because this process then has the worker's environment."""
_OVER = threading.Event()
_LIVE: dict[str, _WorkerProcess] = {}


@atexit.register
def end_all_workers() -> None:
    """End every worker of this process, and what their tasks have started. This process itself is ending."""
    _OVER.set()
    with contextlib.ExitStack() as stack:
        if _STARTING.acquire(timeout=_START_SECONDS_LEFT):  # includes a worker that is being started
            stack.callback(_STARTING.release)
        live = list(_LIVE.items())
    for mark, process in live:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            process.kill()
        end_processes(mark)
