"""Functions that the executor's tests run in real worker processes."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import psutil

from netwright.execution import heartbeat
from netwright.execution.notes import say_once


def identify(_: int = 0) -> tuple[int, str | None]:
    return os.getpid(), os.environ.get("OMP_NUM_THREADS")


def announce_and_sleep(path: str, seconds: float) -> str:
    Path(path).write_text(str(os.getpid()))
    time.sleep(seconds)
    return "slept"


def meet(folder: str, together: int) -> None:
    """Wait, for a minute at most, until so many tasks have begun to wait in a folder."""
    end = time.monotonic() + 60
    Path(folder, uuid.uuid4().hex).touch()
    while len(os.listdir(folder)) < together and time.monotonic() < end:
        time.sleep(0.02)


def share_gpu(folder: str, together: int) -> tuple[str | None, float, float]:
    """The GPU that a worker was given, and when this task began and ended: not before so many had begun."""
    begun = time.monotonic()
    meet(folder, together)
    time.sleep(0.2)
    return os.environ.get("CUDA_VISIBLE_DEVICES"), begun, time.monotonic()


def open_data(data: Path, folder: str, together: int) -> tuple[Path, int, int]:
    """Where this worker has prepared data, the folder's number on the disk, and how many cases it has."""
    from netwright.data.open import open_prepared_once

    meet(folder, together)
    prepared = open_prepared_once(data)
    return prepared.folder, prepared.folder.stat().st_ino, len(prepared.names)


def fail(text: str) -> None:
    raise ValueError(text)


def allocate(megabytes: int) -> int:
    import numpy as np

    return int(np.ones(megabytes * 125_000).sum())


def leave(code: int) -> None:
    os._exit(code)


def raise_exit(code: int) -> None:
    sys.exit(code)


def raise_interrupt() -> None:
    raise KeyboardInterrupt


class OwnError(Exception):
    """As a user's network may raise: only its own process knows it."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(f"{number}, {text}")


def raise_own() -> None:
    raise OwnError(7, "own words")


def batches(seconds: Sequence[float], least: float, predicted: float = 0.0) -> str:
    """Batches that take so long each, watched as a candidate's are."""
    with heartbeat.watched(least):
        # One image, one thread, at the speed that is reckoned with.
        heartbeat.predict_batch(predicted * heartbeat.CPU_SPEED / heartbeat.PASSES, 1, 1, on_gpu=False)
        for pause in seconds:
            time.sleep(pause)
            heartbeat.beat()
    return "trained"


def rest_after_batches(seconds: float) -> str:
    batches([0.0], 0.3)
    time.sleep(seconds)
    return "rested"


def fork(path: str, then_sleep: float = 0.0, *, leave_group: bool = False) -> None:
    """Leaves a child behind that writes down its process, or a grandchild in a session of its own.

    The grandchild has come up before its parent ends, and goes on without it.
    """
    child = os.fork()
    if child == 0:
        if leave_group:
            os.setsid()
            if os.fork():
                _await_text(path)
                os._exit(0)
        Path(path).write_text(str(os.getpid()))
        time.sleep(600)
        os._exit(0)
    _await_text(path)
    if leave_group:
        os.waitpid(child, 0)
        time.sleep(0.2)
        if psutil.Process(int(Path(path).read_text())).status() == psutil.STATUS_ZOMBIE:
            raise ChildProcessError("the process ended with its parent, and not with the worker")
    time.sleep(then_sleep)


def _await_text(path: str) -> None:
    while not (Path(path).exists() and Path(path).read_text()):
        time.sleep(0.01)


def fork_and_go_on() -> int:
    """Both processes go on with the work, as where a network forgets which of the two it is."""
    os.fork()
    return os.getpid()


def say(text: str) -> None:
    say_once(text)


class NeverRead:
    """An argument whose pickle takes a worker an hour to read, as a module on a disk that does not answer."""

    def __reduce__(self) -> tuple[object, tuple[float]]:
        return time.sleep, (3600.0,)


def outlive_first_life(given: tuple[str, float]) -> int:
    """Sleep in the first attempt, of which a file tells; any other one returns its process."""
    path, seconds = given
    with Path(path).open("a") as lives:
        lives.write(f"{os.getpid()}\n")
    if len(Path(path).read_text().split()) == 1:
        time.sleep(seconds)
    return os.getpid()
