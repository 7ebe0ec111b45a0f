"""The heartbeat of a worker. It shows that a candidate still makes progress, so that one that hangs can be ended.

A training, a validation or a search step calls `beat` whenever a batch is finished. The time between two beats may be
`PATIENCE` times the longest so far, or the predicted one, and at least the time given to `watched`. After that the
watcher (`netwright.execution.local`) ends the worker. In a process without a watcher all of this does nothing.

A task that is not within `watched` may take any time. So each job of a search is within it from its first statement
until its training is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 20.0
"""A batch may take this many times as long as the longest before it."""
TOLD_SECONDS = 1.0
CPU_SPEED, GPU_SPEED = 1e9, 1e11
"""FLOPs per second that a slow network reaches at least, on one thread and on a GPU."""
PASSES = 3.0
"""A training step computes about as much as three forward passes: one forward, and two backward."""

Tell = Callable[[float | None], None]
"""Called with the seconds until the next message is due; None: none is due."""


class _Watch:
    def __init__(self) -> None:
        self.tell: Tell | None = None
        self.least: float | None = None
        self.longest = 0.0
        self.watching = False
        self.last = 0.0
        self.told = 0.0

    def say(self) -> None:
        """Tell when the next beat is due, plus the pause between messages, because beats in it are not sent."""
        if self.tell is not None and self.least is not None:
            allowed = max(self.least, PATIENCE * self.longest)
            self.told = time.monotonic()
            self.tell(allowed + min(TOLD_SECONDS, allowed))

    def rest(self) -> None:
        if self.tell is not None:
            self.tell(None)


_WATCH = _Watch()


def connect(tell: Tell) -> None:
    """From now on, this process calls ``tell`` with the time that its next batch may take."""
    _WATCH.tell = tell


def begun() -> None:
    """A task was read, with everything that it imports, and is called now."""
    _WATCH.rest()


@contextmanager
def watched(least_seconds: float) -> Iterator[None]:
    """Within it, a batch must finish at least every ``least_seconds``, or `PATIENCE` times the longest batch so far,
    whichever is more.
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
    """Announce the cost of a batch, so that the first one of a large network has enough time.

    Args:
        flops: of a forward pass of one image; None: not known.
        images: number of images in a batch.
        threads: the threads that compute it, on a CPU.
        on_gpu: whether it is computed on a GPU.
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
    """Around a network's forward pass. If batches are watched it is a beat.

    Otherwise the forward pass alone is watched. This is so in the test of a network, where reading and scoring a case
    may take any time.
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
