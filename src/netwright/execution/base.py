"""The interface of executors, and how they report a worker that was lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class Executor(Protocol):
    """Runs functions elsewhere. If a worker is lost, only its own future fails, with `WorkerLost`."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run ``function(*arguments)`` as soon as a worker is free. Cancelling the future ends the worker."""

    def shutdown(self) -> None:
        """End all workers at once, with whatever they are doing."""


@dataclass(frozen=True)
class Cluster:
    """Where workers run that are not on this machine. An executor on this machine needs none of it.

    Args:
        address: of the cluster; None: the executor's usual one.
        cpus: the cores of a worker.
        gpus: the GPUs of a worker. 0.5: two workers share one.
        folders: what workers read and write is there; each machine must see them under the same paths.
        data: a folder that workers read. A machine that does not see it has it sent into its own cache, once.
    """

    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    folders: tuple[Path, ...] = ()
    data: Path | None = None


@dataclass(frozen=True)
class Room:
    """What a cluster has: how many workers run at once, and the memory of each in MB of 1e6 bytes; None: unknown."""

    workers: int
    memory_mb: float | None


class WorkerLost(Exception):  # noqa: N818  what happened, not whose fault
    """A worker process ended in the middle of a task.

    ``signal_number``: the signal that killed it, or None. ``hanging``: whether it was ended here because it made no
    progress.
    """

    def __init__(self, signal_number: int | None, text: str, *, hanging: bool = False) -> None:
        super().__init__(text)
        self.signal_number = signal_number
        self.hanging = hanging


class RaisedInWorker(Exception):  # noqa: N818  what it says is an error of another class
    """An error that only the worker's own process can represent: its class and message as text."""
