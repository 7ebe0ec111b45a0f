"""Ctrl-C and its like, told from what a user's code raises."""

from __future__ import annotations

import multiprocessing
import signal


class Stopped(KeyboardInterrupt):
    """A signal ended it, not the code that was running."""


def passes(error: BaseException) -> bool:
    """Whether what came out of a user's code is to go on as it is, and not to be told as an error of that code.

    Ctrl-C goes on: it must end the program. A ``KeyboardInterrupt`` that is not `Stopped` was raised by the code
    itself, unless Python's own handler of Ctrl-C is at work, which raises the same. In a worker ``SystemExit`` and its
    like go on, too: they are the outcome of its candidate.
    """
    if isinstance(error, Exception):
        return False
    if isinstance(error, Stopped) or multiprocessing.parent_process() is not None:
        return True
    python_tells = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return isinstance(error, KeyboardInterrupt) and python_tells
