"""How many trials a second can several processes finish and store in one PostgreSQL study?

    python benchmarks/scale_postgresql.py [--processes 32] [--seconds 60]

Starts the server of the tests (fsync off, loopback; Debian's package `postgresql`), and for each sampler so many
processes on a new study, each of which asks for a trial with 11 integer parameters, computes their loss and tells it,
until the time is up. netwright's strategies take their trials as a search does (`netwright.runs.drivers`): each is
leased in the transaction that creates it, and the lease is renewed before the result is stored. "optuna" is Optuna's
random sampler on its own storage, first and last. Prints the trials that were finished in a second of wall time, the
processor's milliseconds a trial of the processes without the server, and how many creations were refused because
another process was first.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage

from ask_tell import SPACE, loss
from netwright.runs import postgresql
from netwright.runs.place import Place
from netwright.strategies.sampler import sampler

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from postgresql_server import PASSWORD, started_server

Counts = tuple[int, int, float]
"""Trials, refused creations and seconds of the processor of one process."""


def with_optuna(url: str, number: int, begin: Callable[[], float]) -> Counts:
    """Optuna's own way."""
    study = optuna.load_study(study_name="study", storage=RDBStorage(url), sampler=RandomSampler(seed=number))
    trials, ends = 0, begin()
    while time.time() < ends:
        trial = study.ask(dict(SPACE))
        study.tell(trial, loss(trial.params))
        trials += 1
    return trials, 0, time.process_time()


def with_netwright(url: str, name: str, number: int, begin: Callable[[], float]) -> Counts:
    """A search's way, with one of netwright's strategies."""
    trials = refused = 0
    with postgresql.driving(Place(url, "study"), f"process {number}") as driver:
        study = optuna.load_study(
            study_name="study",
            storage=driver.storage,
            sampler=sampler(name, seed=0, distributions=SPACE),
        )
        ends = begin()
        while time.time() < ends:
            with driver.turn():
                trial = driver.ask(study, len(study.get_trials(deepcopy=False)))
            if trial is None:
                refused += 1
                continue
            for parameter, distribution in SPACE.items():
                trial.suggest_int(parameter, distribution.low, distribution.high)
            if driver.holds(trial._trial_id):
                study.tell(trial, loss(trial.params))
                driver.release(trial._trial_id)
                trials += 1
    return trials, refused, time.process_time()


def work(url: str, kind: str, number: int, seconds: float, ready: Any, results: Any) -> None:
    """One process. It begins when all are ready, as their imports take longer than many trials."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    loaded = 0.0

    def begin() -> float:
        nonlocal loaded
        ready.wait()
        loaded = time.process_time()
        return time.time() + seconds

    arguments = (number, begin)
    found = with_optuna(url, *arguments) if kind == "optuna" else with_netwright(url, kind, *arguments)
    results.put((*found[:2], found[2] - loaded))


def measure(url: str, kind: str, processes: int, seconds: float) -> tuple[float, float, int]:
    """Trials a second, seconds of the processor a trial, and refused creations.

    Args:
        url: of an empty database.
        kind: "optuna", or the name of a strategy.
        processes: how many work at once.
        seconds: how long, beginning when all are ready.
    """
    storage = RDBStorage(url)
    optuna.create_study(storage=storage, study_name="study")
    storage.engine.dispose()
    postgresql.register_run(Place(url, "study"), "", "{}")
    context = multiprocessing.get_context("spawn")
    results, ready = context.Queue(), context.Barrier(processes + 1)
    started = [
        context.Process(target=work, args=(url, kind, number, seconds, ready, results))
        for number in range(processes)
    ]
    for process in started:
        process.start()
    ready.wait()
    found = [results.get(timeout=seconds + 600) for _ in started]
    for process in started:
        process.join()
    trials = sum(one[0] for one in found)
    spent = sum(one[2] for one in found)
    return trials / seconds, spent / max(trials, 1), sum(one[1] for one in found)


def main() -> None:
    """Prints one line for each sampler."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    os.environ["PGPASSWORD"] = PASSWORD
    server = started_server()
    try:
        print(f"{arguments.processes} processes, {arguments.seconds:.0f} s each")
        for number, kind in enumerate(("optuna", "random", "controlled-random-search", "optuna")):
            server.execute(f"CREATE DATABASE study{number}")
            pace, spent, refused = measure(
                server.url(f"study{number}"), kind, arguments.processes, arguments.seconds
            )
            print(
                f"{kind:26}{pace:8.1f} trials a second{1000 * spent:9.1f} ms of the processor a trial"
                f"{refused:8} creations refused",
                flush=True,
            )
    finally:
        server.close()


if __name__ == "__main__":
    main()
