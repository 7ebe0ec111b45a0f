"""Distinguishes Ctrl-C and similar signals from errors in a user's code."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Iterator


class Stopped(KeyboardInterrupt):
    """A signal ended the program, not the code that was running."""


def passes(error: BaseException) -> bool:
    """Whether an exception from a user's code must go on unchanged, rather than be reported as an error of that code.

    Ctrl-C goes on, because it must end the program. A ``KeyboardInterrupt`` that is not `Stopped` was raised by the
    code itself, unless Python's own handler of Ctrl-C is active, which raises the same. In a worker ``SystemExit`` and
    similar exceptions go on, too, as the outcome of its candidate.
    """
    if isinstance(error, Exception):
        return False
    if isinstance(error, Stopped) or multiprocessing.parent_process() is not None:
        return True
    python_tells = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return isinstance(error, KeyboardInterrupt) and python_tells


class _HeldBack:
    depth = 0
    stopped = False


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Within it, a signal that ends the program (`netwright.execution.signals`) waits for the end of the block.

    So what belongs together is stored together. Only the main thread is interrupted by signals, so elsewhere this does
    nothing.

    Raises:
        Stopped: at the end, if there was a signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _HeldBack.depth += 1
    try:
        yield
    finally:
        _HeldBack.depth -= 1
        if not _HeldBack.depth:
            stopped, _HeldBack.stopped = _HeldBack.stopped, False
            if stopped:
                raise Stopped


def hold_back() -> bool:
    """Whether a signal that has just come is to wait. Then `held_back` raises `Stopped` in its end."""
    _HeldBack.stopped = _HeldBack.depth > 0
    return _HeldBack.stopped


def raise_if_stopped() -> None:
    """For a long wait within `held_back`, in which nothing is half done.

    Raises:
        Stopped: a signal waits.
    """
    if _HeldBack.stopped and threading.current_thread() is threading.main_thread():
        raise Stopped
