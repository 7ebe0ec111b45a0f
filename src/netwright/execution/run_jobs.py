"""The one loop that gives jobs to an executor, waits for their results and tries a crashed job again.

What counts as a crash is in `classify_failure`; how often a crashed job is tried again is the setting
``budget.retries`` of a run.
"""

from __future__ import annotations

import contextlib
import math
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from netwright.errors import NetworkFailed, concerns_all, first_line
from netwright.execution.base import Executor, RaisedInWorker, WorkerLost
from netwright.execution.memory import is_out_of_memory, kills_for_memory

TICK_SECONDS = 0.5
SIGKILL = 9


@dataclass(frozen=True, eq=False)
class Job:
    """A call for a worker.

    Args:
        function: what the worker calls, a function of a module.
        argument: makes the function's only argument, given the device to use; called again for each attempt.
        key: identifies the job for the caller.
        log: a file for the tracebacks of errors; None: they are not kept.
        until: the time, by `time.monotonic`, when the job is ended.
    """

    function: Callable[[Any], Any]
    argument: Callable[[str], Any]
    key: Any = None
    log: Path | None = None
    until: float = math.inf


def fixed(argument: Any) -> Callable[[str], Any]:
    """A `Job` argument that is the same on every device.

    >>> fixed(3)("cpu")
    3
    """
    return lambda device: argument


class Cause(StrEnum):
    """Why a job gave no result."""

    CRASHED = "crashed"
    OUT_OF_MEMORY = "out_of_memory"
    HANGING = "hanging"
    OVERDUE = "overdue"


@dataclass(frozen=True)
class Failure:
    """A job gave no result: the cause, a reason in words, and the error that was raised, if there was one."""

    cause: Cause
    reason: str
    error: Exception | None = None


@dataclass(frozen=True)
class Done:
    """A finished job: the result of its function, or how it was lost."""

    job: Job
    result: Any = None
    failure: Failure | None = None


@dataclass(frozen=True, eq=False)
class _Attempt:
    """A job that a worker is running. ``kills``: the system's count of processes killed for memory when it began."""

    job: Job
    number: int
    device: str
    kills: int | None
    future: Future[Any]


def run_jobs(
    executor: Executor,
    jobs: Iterable[Job | None],
    retries: int,
    *,
    at_once: int = 1,
    devices: Sequence[str] = ("cpu",),
    crashed: Callable[[Any], bool] = lambda result: False,
    on_tick: Callable[[], None] = lambda: None,
    on_interrupt: Callable[[], float] = lambda: 0.0,
) -> Iterator[Done]:
    """Run jobs, and yield each when it is finished.

    A job that crashed is tried again. A job that hung, ran out of memory or was overdue is not, because the same would
    happen again. If the loop ends early, for any reason, the workers of unfinished jobs are ended.

    Args:
        executor: runs the jobs.
        jobs: called for the next job whenever a worker is free; None: there is nothing to do before a job is finished.
        retries: how often a job that crashed is tried again.
        at_once: the most jobs at the same time.
        devices: each job gets the one with the fewest jobs.
        crashed: whether a result reports a crash that the worker itself survived.
        on_tick: called about twice a second, and whenever jobs were finished.
        on_interrupt: called on Ctrl-C; returns the seconds that running jobs may still take.

    Raises:
        NetwrightError: an error that concerns all jobs, such as a full disk, see `concerns_all`.
        KeyboardInterrupt: the user ended it.
    """
    waiting = iter(jobs)
    running: list[_Attempt] = []

    def begin(job: Job, number: int, device: str) -> _Attempt:
        kills = kills_for_memory()
        future = executor.submit(job.function, job.argument(device))
        return _Attempt(job, number, device, kills, future)

    try:
        while True:
            while len(running) < at_once and (job := next(waiting, None)) is not None:
                busy = [attempt.device for attempt in running]
                running.append(begin(job, 0, min(devices, key=busy.count)))
            if not running:
                return
            _wait(running)
            for attempt in _over(running):
                done = _done(attempt)
                again = crashed(done.result) if done.failure is None else done.failure.cause == Cause.CRASHED
                if again and attempt.number < retries:
                    running[running.index(attempt)] = begin(attempt.job, attempt.number + 1, attempt.device)
                    continue
                running.remove(attempt)
                yield done
            on_tick()
    except KeyboardInterrupt:
        until = time.monotonic() + on_interrupt()
        while any(not attempt.future.done() for attempt in running) and time.monotonic() < until:
            wait([attempt.future for attempt in running], TICK_SECONDS)
        raise
    finally:
        for attempt in running:
            attempt.future.cancel()


def _wait(running: Sequence[_Attempt]) -> None:
    """Wait until one job is finished, but no longer than to the next tick."""
    left = min(attempt.job.until for attempt in running) - time.monotonic()
    wait([attempt.future for attempt in running], max(0.0, min(TICK_SECONDS, left)), FIRST_COMPLETED)


def _over(running: Sequence[_Attempt]) -> list[_Attempt]:
    """The jobs that have ended or are overdue, in the order in which they began."""
    ended = {id(attempt) for attempt in running if attempt.future.done()}
    now = time.monotonic()
    return [attempt for attempt in running if id(attempt) in ended or now > attempt.job.until]


def _done(attempt: _Attempt) -> Done:
    """The outcome of an attempt. If it is overdue, its worker is ended.

    Raises:
        NetwrightError: an error that concerns all jobs.
    """
    job = attempt.job
    if not attempt.future.done() and (attempt.future.cancel() or not attempt.future.done()):
        return Done(job, failure=Failure(Cause.OVERDUE, "its time was up"))
    try:
        return Done(job, attempt.future.result())
    except Exception as error:
        if concerns_all(error):
            raise
        if job.log is not None:
            keep_trace(job.log, error)
        return Done(job, failure=classify_failure(error, attempt.number, attempt.kills, kills_for_memory()))


def classify_failure(
    error: Exception, attempt: int, kills_before: int | None, kills_now: int | None
) -> Failure:
    """Why a job raised an error or lost its worker.

    If a worker died by signal 9 while the system's count of processes killed for memory rose, it was out of memory.
    If the system has no such count, being killed a second time counts as that. An error whose message says so counts,
    too. Everything else is a crash.

    Args:
        error: `WorkerLost`, or what the function raised.
        attempt: 0 for the first.
        kills_before: the count when the attempt began.
        kills_now: the count now.
    """
    if not isinstance(error, WorkerLost):
        cause = Cause.OUT_OF_MEMORY if is_out_of_memory(error) else Cause.CRASHED
        name = "" if isinstance(error, RaisedInWorker | NetworkFailed) else f"{error.__class__.__name__}: "
        return Failure(cause, f"{name}{first_line(error)}", error)
    if error.hanging:
        return Failure(Cause.HANGING, str(error), error)
    if error.signal_number == SIGKILL:
        counted = kills_before is not None and kills_now is not None
        if (counted and kills_now != kills_before) or (not counted and attempt >= 1):
            reason = f"{error}: the system had no memory left (machine.memory_limit_mb)"
            return Failure(Cause.OUT_OF_MEMORY, reason, error)
    return Failure(Cause.CRASHED, str(error), error)


def keep_trace(path: Path, error: BaseException) -> None:
    """Append the traceback of an error to a log file. A full disk does not hide the error."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            log.writelines(traceback.format_exception(error))
