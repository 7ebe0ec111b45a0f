"""Distinguishes Ctrl-C and similar signals from errors in a user's code."""

from __future__ import annotations

import multiprocessing
import signal


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
