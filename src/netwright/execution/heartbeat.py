"""How a worker tells that its candidate still makes progress, so that one that hangs can be ended.

A training, a validation or a search step calls `beat` whenever a batch is finished. What is between two beats may take
`PATIENCE` times as long as the longest so far, or as was predicted, and never less than the time that `watched` is
given. Whoever watches (`netwright.execution.local`) ends the worker when that is over. In a process that nobody watches
all of this does nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 20.0
"""A batch may take so many times as long as the longest before it."""
TOLD_SECONDS = 1.0
CPU_SPEED, GPU_SPEED = 1e9, 1e11
"""FLOPs a second of one thread, and of a GPU, that a slow network reaches at least."""
PASSES = 3.0
"""A training step computes about as much as three forward passes: one forward, and two backward."""

Tell = Callable[[float | None], None]
"""Told within how many seconds from now the next word comes; None: nothing is expected."""


class _Watch:
    def __init__(self) -> None:
        self.tell: Tell | None = None
        self.least: float | None = None
        self.longest = 0.0
        self.watching = False
        self.last = 0.0
        self.told = 0.0

    def say(self) -> None:
        """Tell by when the next beat comes; the pause until the next telling is added, as beats go untold in it."""
        if self.tell is not None and self.least is not None:
            allowed = max(self.least, PATIENCE * self.longest)
            self.told = time.monotonic()
            self.tell(allowed + min(TOLD_SECONDS, allowed))

    def rest(self) -> None:
        if self.tell is not None:
            self.tell(None)


_WATCH = _Watch()


def connect(tell: Tell) -> None:
    """From now on this process tells ``tell`` how long its next batch may take."""
    _WATCH.tell = tell


@contextmanager
def watched(least_seconds: float) -> Iterator[None]:
    """Within it, something is to be finished at least every ``least_seconds``, or `PATIENCE` times as long as the
    longest batch took, whichever is more.
    """
    _WATCH.least, _WATCH.longest, _WATCH.watching = least_seconds, 0.0, True
    _WATCH.last = time.monotonic()
    _WATCH.say()
    try:
        yield
    finally:
        _WATCH.watching = False
        _WATCH.rest()


def predict_batch(flops: float | None, images: int, threads: int, on_gpu: bool) -> None:
    """Say what a batch is going to cost, so that the first one of a large network has its time.

    Args:
        flops: of a forward pass of one image; None: not known.
        images: in a batch.
        threads: that compute it, on a CPU.
        on_gpu: whether a GPU computes it.
    """
    if _WATCH.watching and flops is not None:
        speed = GPU_SPEED if on_gpu else CPU_SPEED * threads
        _WATCH.longest = max(_WATCH.longest, PASSES * flops * images / speed)
        _WATCH.say()


def beat() -> None:
    """A batch is finished."""
    if not _WATCH.watching:
        return
    now = time.monotonic()
    longer = now - _WATCH.last > _WATCH.longest
    _WATCH.longest = max(_WATCH.longest, now - _WATCH.last)
    _WATCH.last = now
    pause = min(TOLD_SECONDS, _WATCH.least or TOLD_SECONDS) / 2
    if longer or now - _WATCH.told > pause:
        _WATCH.say()


@contextmanager
def network_call() -> Iterator[None]:
    """Around a network's forward pass: a beat where batches are watched, and watched by itself where nothing else is
    (in the test of a network, where reading and scoring a case may take their time).
    """
    if _WATCH.watching or _WATCH.least is None:
        yield
        beat()
        return
    _WATCH.say()
    try:
        yield
    finally:
        _WATCH.rest()
