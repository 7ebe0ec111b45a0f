"""What runs work elsewhere, whatever it is: an executor, and how it tells that a worker was lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol


class Executor(Protocol):
    """Runs functions elsewhere. A lost worker fails its own future with `WorkerLost` and no other."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run ``function(*arguments)`` as soon as a worker is free."""

    def shutdown(self) -> None:
        """End all workers at once, with whatever they are doing."""


class WorkerLost(Exception):  # noqa: N818  what happened, not whose fault
    """A worker process ended in the middle of a task. ``signal_number``: what killed it, or None; ``hanging``: whether
    it was ended here, as nothing came of it any more.
    """

    def __init__(self, signal_number: int | None, text: str, *, hanging: bool = False) -> None:
        super().__init__(text)
        self.signal_number = signal_number
        self.hanging = hanging
