"""How a search is ended from outside: Ctrl-C, SIGTERM (a batch system, a shutdown) and SIGHUP (a closed terminal)."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from netwright.execution.interrupts import Stopped, hold_back
from netwright.execution.process import end_all_workers
from netwright.execution.worker import ENDING

AT_ONCE_SECONDS = 5.0
"""A second signal within this many seconds of the first ends the program without waiting for anything."""
INTERRUPTED = 130
"""The exit code of a program that is ended outside a search, or at once. typer uses it for Ctrl-C, too."""

_LAST = -AT_ONCE_SECONDS


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within it, each of the signals raises `Stopped`, a KeyboardInterrupt, in the main thread, as Ctrl-C does; where
    it is `netwright.execution.interrupts.held_back`, a moment later.

    A second signal within `AT_ONCE_SECONDS` ends the process and its workers at once.

    Signals that already have a handler, or that are ignored (``nohup``), are left alone. So are all signals outside the
    main thread, where Python allows no handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING}
    taken = [number for number in ENDING if before[number] in (signal.SIG_DFL, signal.default_int_handler)]
    for number in taken:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _LAST
    now = time.monotonic()
    if now - _LAST < AT_ONCE_SECONDS:
        end_all_workers()
        os._exit(INTERRUPTED)
    _LAST = now
    if number == signal.SIGHUP:
        _forget_terminal()
    if not hold_back():
        raise Stopped


def _forget_terminal() -> None:
    """Stop writing to a terminal that is gone: the writing would fail, and with it the remaining work."""
    for stream in (1, 2):
        try:
            os.write(stream, b"")
        except OSError:
            with contextlib.suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream)
                os.close(nowhere)
