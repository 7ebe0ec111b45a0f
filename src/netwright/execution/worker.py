"""The inside of a worker process: it runs one task after another, and reports its state.

Messages to the search are pickled pairs of one of the words below and a value. They contain only plain values and
exceptions of netwright, torch and Python, because reading one must not import what a user's network has imported.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import resource
import signal
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

import psutil

from netwright.execution import heartbeat
from netwright.execution.base import RaisedInWorker
from netwright.execution.notes import send_notes

READY, TAKEN, BEAT, NOTE, RETURNED, RAISED = "ready", "taken", "beat", "note", "returned", "raised"
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that end a search."""
MARK = "NETWRIGHT_WORKER"
"""The environment variable that marks a worker's processes, even if they have another parent now."""
_OWN_MEMORY_MB = 1500.0
"""A generous estimate of what the interpreter and its libraries map, besides the network."""
_PARENT_DEATH_SIGNAL = 1
_ROUNDS = 10
_PORTABLE = ("netwright", "torch", "builtins", "numpy")


def work(connection: Connection, parent: int, memory_limit_mb: float | None) -> None:
    """Run tasks until the other end of the connection is closed.

    Args:
        connection: tasks come from it (a pickled function and its arguments), messages go to it.
        parent: the process with which this one ends.
        memory_limit_mb: for a training step, besides what the interpreter needs; None for no limit.
    """
    _settle(parent, memory_limit_mb)
    own = os.getpid()
    os.register_at_fork(after_in_child=lambda: _leave(connection, own))
    sending = threading.Lock()

    def send(word: str, value: Any = None) -> None:
        with sending:
            connection.send_bytes(pickle.dumps((word, value)))

    heartbeat.connect(lambda seconds: send(BEAT, seconds))
    send_notes(lambda text: send(NOTE, text))
    send(READY)
    while True:
        try:
            task = connection.recv_bytes()
        except (EOFError, OSError):
            return
        send(TAKEN)
        word, value = _done(task)
        if os.getpid() != own:  # a process that the candidate forked, and that continued here
            os._exit(0)
        end_processes(os.environ[MARK], but=own)
        send(word, value)


def _done(task: bytes) -> tuple[str, Any]:
    """The outcome of a task.

    Any exception is the task's own, even ``SystemExit`` and ``KeyboardInterrupt``, because the user's Ctrl-C is ignored
    here.
    """
    try:
        function, arguments = pickle.loads(task)  # from the search that started this process
        heartbeat.begun()
        result = function(*arguments)
        pickle.dumps(result)
    except BaseException as error:
        return RAISED, (_portable(error), traceback.format_exc())
    return RETURNED, result


def _portable(error: BaseException) -> Exception:
    """The exception. If the search could not read it, or would be ended by it, one that says the same."""
    if isinstance(error, Exception) and type(error).__module__.partition(".")[0] in _PORTABLE:
        with contextlib.suppress(Exception):
            if type(pickle.loads(pickle.dumps(error))) is type(error):
                return error
    return RaisedInWorker(": ".join(filter(None, (type(error).__name__, str(error)))))


def _settle(parent: int, memory_limit_mb: float | None) -> None:
    """Leave signals that end a search to the search, and make this process end with it in any case."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    die_with_parent()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if memory_limit_mb is not None:
        # An allocation past the limit then fails in this worker; otherwise the system would kill any process.
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = int((memory_limit_mb + _OWN_MEMORY_MB) * 1e6)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _leave(connection: Connection, worker: int) -> None:
    """In a process that a candidate forked: end with the worker, and send no messages for it.

    The worker is the parent of those that it forked itself. Theirs may have a parent that ends long before the worker,
    as where a program puts itself in the background.
    """
    if os.getppid() == worker:
        die_with_parent()
    else:
        threading.Thread(target=_end_after, args=(worker,), daemon=True).start()
    heartbeat.connect(lambda seconds: None)
    send_notes(lambda text: None)
    with contextlib.suppress(OSError):
        connection.close()


def die_with_parent() -> None:
    """On Linux the system ends this process as soon as its parent dies, before a resumed search can collide with it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _end_with(parent: int) -> None:
    """End this worker when the search that started it is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _end_after(worker: int) -> None:
    """End this process when the worker, which is not its parent, is gone."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(worker)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.5)
    os._exit(1)


def end_processes(mark: str, *, but: int | None = None) -> None:
    """End all processes of a worker by its mark, except ``but``: those that a candidate started, and their children.

    They have the mark in their environment even if their parent is gone. The search is repeated while there are any,
    because one may just be starting another.
    """
    for _ in range(_ROUNDS):
        processes = [process for process in psutil.process_iter() if _is_marked(process, mark, but)]
        if not processes:
            return
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(processes, timeout=1)


def _is_marked(process: psutil.Process, mark: str, but: int | None) -> bool:
    with contextlib.suppress(psutil.Error, OSError, ValueError):
        marked = process.pid != but and process.environ().get(MARK) == mark
        return marked and process.status() != psutil.STATUS_ZOMBIE
    return False
