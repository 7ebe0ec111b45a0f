"""Searches of a run folder whose candidates cost nothing: a table says what a training would have given.

All else is real: drivers in processes of their own, worker processes, the run folder, the storage. A driver is forked
from a process that has imported everything, so that many can be started, and killed, in a minute.
"""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import random
import signal
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from netwright.execution import heartbeat
from netwright.execution.base import Cluster, Executor
from processes import KILLED_SECONDS, SECONDS, wait_until

PRELOADED = (
    "torch",
    "psycopg",
    "alembic.command",
    "mako.template",
    "numpy.random",
    "plotly.graph_objs._figure",
    "plotly.io",
    "narwhals.stable.v2",
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.dialects.postgresql.psycopg",
    "netwright.api.runner",
    "netwright.report.collect.run",
    "netwright.runs.journal",
    "netwright.runs.postgresql",
    "netwright.runs.sqlite",
    "netwright.spaces.segnas.space",
    "netwright.tasks.segmentation.report",
    "netwright.tasks.segmentation.postprocessing",
    "tabulated",
)
"""What a driver imports on its way. What is missing here costs each of them a moment."""
BEGUN = "begun.txt"
"""In a trial's folder: a line for each time that its training began."""
TRIALS = 12
"""The budget of a run."""
LEASE = 2.0
"""Seconds after which the trials of a driver that is gone are taken up."""
STOPPED, REFUSED = 1, 2
"""Exit codes of a driver that was stopped by a signal, and of one that ended with an error for its user."""


def reward_of(choice: Mapping[str, Any]) -> float:
    """What the table says of a choice."""
    return zlib.crc32(repr(sorted(choice.items())).encode()) % 100_000 / 100_000


@dataclass(frozen=True)
class Conditions:
    """What is particular about a driver and its trainings.

    Args:
        seconds: the longest time of a training; half of it at least.
        long: trials that are trained for ``long_seconds``, by number.
        hanging: trials that make no progress, by number.
        greedy: trials that take all memory, by number.
        clock: seconds by which the driver's clock is ahead.
        memory_mb: the memory of a worker.
        namespace: the file of a network namespace in which it runs.
    """

    seconds: float = 0.06
    long: tuple[int, ...] = ()
    long_seconds: float = 0.0
    hanging: tuple[int, ...] = ()
    greedy: tuple[int, ...] = ()
    clock: float = 0.0
    memory_mb: float | None = None
    namespace: Path | None = None


def trained(
    outcome: dict[str, Any], seconds: float, checkpoint: Path, conditions: Conditions, hang_seconds: float
) -> dict[str, Any]:
    """In a worker: the outcome of the table, after a moment, with the file that a real training would leave."""
    folder = checkpoint.parent
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / BEGUN).open("a") as file:
        file.write(f"{os.getpid()}\n")
    with heartbeat.watched(hang_seconds):
        if int(folder.name) in conditions.hanging:
            time.sleep(10 * SECONDS)
        if int(folder.name) in conditions.greedy:
            take_all_memory()
        checkpoint.write_bytes(b"as far as it came")
        time.sleep(seconds)
    return outcome


def take_all_memory() -> None:
    """Takes memory, without writing to it, until there is no more."""
    import numpy as np

    taken = []
    while len(taken) < 1000:
        taken.append(np.empty(1 << 26, np.uint8))


class TabulatedExecutor:
    """Worker processes that look a candidate up. It takes the place of an executor in a driver.

    Args:
        make: makes the executor.
        conditions: of the driver.
        workers: as for the executor, and what follows, too.
        threads: per worker.
        memory_limit_mb: that of a real training, which is not used.
        cluster: where the workers run.
    """

    def __init__(
        self,
        make: Callable[[int, int, float | None, Cluster], Executor],
        conditions: Conditions,
        workers: int,
        threads: int,
        memory_limit_mb: float | None,
        cluster: Cluster,
    ) -> None:
        self._inner = make(workers, threads, conditions.memory_mb, cluster)
        self._conditions = conditions

    def submit(self, function: Callable[..., Any], job: Any) -> Future[Any]:
        from netwright.training.files import CHECKPOINT
        from netwright.training.outcome import Cost, Outcome, Status

        reward = reward_of(job.choice)
        outcome = Outcome(Status.COMPLETE, metrics={"dice": reward}, cost=Cost(parameters=10), epochs=1)
        conditions = self._conditions
        seconds = conditions.seconds * (0.5 + reward / 2)
        if int(job.folder.name) in conditions.long:
            seconds = conditions.long_seconds
        hang = job.settings.machine.hang_seconds
        return self._inner.submit(
            trained, outcome.to_dict(), seconds, job.folder / CHECKPOINT, conditions, hang
        )

    def shutdown(self) -> None:
        self._inner.shutdown()


def drive(folder: Path, conditions: Conditions, environment: Mapping[str, str], said: Path) -> None:
    """In a process of its own: the search of a run folder to its end, as `netwright resume` conducts it."""
    from functools import partial

    from netwright.api.runner import conduct
    from netwright.errors import NetwrightError
    from netwright.execution import ray_head
    from netwright.execution.executors import EXECUTORS, ExecutorKind
    from netwright.runs.folder import RunFolder

    os.setsid()
    os.environ.update(environment)
    with said.open("a") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    faulthandler.enable()
    if conditions.namespace is not None:
        enter_namespace(conditions.namespace)
    if conditions.clock:
        set_clock(conditions.clock)
    for name, kind in EXECUTORS.items():
        EXECUTORS[name] = ExecutorKind(partial(TabulatedExecutor, kind.make, conditions), kind.room)
    ray_head.SILENT_SECONDS, ray_head.LOOK_SECONDS = 4.0, 0.5
    try:
        conduct(RunFolder(folder))
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    except NetwrightError as error:
        sys.stderr.write(f"error  {error}\n")
        sys.exit(REFUSED)


def set_clock(seconds: float) -> None:
    """Sets the clock of this process ahead, as netwright and Optuna read it."""
    from datetime import datetime, timedelta

    from optuna.storages._rdb import storage

    class Ahead(datetime):
        @classmethod
        def now(cls, zone: Any = None) -> Any:
            return datetime.now(zone) + timedelta(seconds=seconds)

    wall = time.time
    storage.datetime = Ahead
    time.time = lambda: wall() + seconds


def enter_namespace(path: Path) -> None:
    """Moves this process, which has no threads yet, into a network namespace."""
    import ctypes

    with path.open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0x40000000):
            raise OSError(ctypes.get_errno(), "the namespace cannot be entered")


@dataclass
class Drivers:
    """The drivers of a test. None outlives it.

    Args:
        outputs: the folder for what they say.
        begun: all of them, each with the file of what it says.
    """

    outputs: Path
    begun: list[tuple[BaseProcess, Path]] = field(default_factory=list)

    def begin(self, folder: Path, conditions: Conditions = Conditions()) -> BaseProcess:
        """A driver that searches, or goes on, in a run folder."""
        environment = {n: os.environ[n] for n in ("PGPASSWORD", "NETWRIGHT_CACHE") if n in os.environ}
        said = self.outputs / f"output-{len(self.begun)}"
        process = _SERVER.Process(target=drive, args=(folder, conditions, environment, said))
        process.start()
        self.begun.append((process, said))
        return process

    def said(self, process: BaseProcess) -> str:
        """What a driver has written."""
        return next(said for one, said in self.begun if one is process).read_text()

    @property
    def sessions(self) -> list[int]:
        """The numbers of their sessions, to which their workers belong, too."""
        return [process.pid for process, _ in self.begun if process.pid is not None]

    def finish(self, process: BaseProcess, *codes: int) -> int:
        """Waits until a driver ends, with one of these exit codes or 0."""
        process.join(SECONDS)
        if process.exitcode is None and process.pid is not None:
            os.kill(process.pid, signal.SIGABRT)
            process.join(KILLED_SECONDS)
        assert process.exitcode in (0, *codes), (process.exitcode, self.said(process))
        return int(process.exitcode or 0)

    def conduct(self, folder: Path, conditions: Conditions = Conditions()) -> None:
        """A driver from its beginning to its end, without an error."""
        self.finish(self.begin(folder, conditions))


@contextlib.contextmanager
def drivers(outputs: Path) -> Iterator[Drivers]:
    """Drivers that are killed with their workers where they still run in the end."""
    begun = Drivers(outputs)
    try:
        yield begun
    finally:
        for process, _ in begun.begun:
            kill(process)


def kill(process: BaseProcess, *, workers: bool = False) -> None:
    """Ends a driver with -9, with its workers at the same moment or alone."""
    family = children(process) if workers else []
    process.kill()
    kill_all(family)
    process.join(KILLED_SECONDS)


def kill_workers(process: BaseProcess) -> None:
    """Ends the workers of a driver with -9."""
    kill_all(children(process))


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """Ends processes with -9, those that still run."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def children(process: BaseProcess) -> list[psutil.Process]:
    """The workers of a driver, and what else it has started."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def training_processes(folders: Iterable[Path]) -> set[int]:
    """The worker processes, by number, in which trainings began."""
    files = (file for folder in folders for file in folder.glob(f"trials/*/{BEGUN}"))
    return {int(number) for file in files for number in file.read_text().split()}


def begun_trainings(folders: Iterable[Path]) -> int:
    """How often a training began, in all folders together."""
    return sum(
        len(file.read_text().split()) for folder in folders for file in folder.glob(f"trials/*/{BEGUN}")
    )


def wait_for(folders: Iterable[Path], trainings: int, *processes: BaseProcess) -> None:
    """Waits until so many trainings have begun, or every driver has ended."""
    folders = list(folders)
    wait_until(lambda: begun_trainings(folders) >= trainings or not any(one.is_alive() for one in processes))


def at_a_random_moment(chance: random.Random, folders: Iterable[Path], *processes: BaseProcess) -> None:
    """Waits for a moment in the life of a search: in its beginning, in a training, between two, or after all."""
    trainings = chance.randrange(TRIALS + 2)
    wait_for(folders, trainings, *processes)
    time.sleep(chance.uniform(0, 0.15 if trainings else 1.5))


_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(list(PRELOADED))
