"""How many trials a second can several processes finish and store in one PostgreSQL study?

    python benchmarks/scale_postgresql.py [--processes 32] [--seconds 60]

Starts the server of the tests (fsync off, loopback; Debian's package `postgresql`), and for each sampler so many
processes on a new study, each of which asks for a trial with 11 integer parameters, computes their loss and tells it,
until the time is up. netwright's strategies take their trials as a search does (`netwright.runs.drivers`): each is
leased in the transaction that creates it, and the lease is renewed before the result is stored. "optuna" is Optuna's
random sampler on its own storage, first and last. Prints the trials that were finished in a second of wall time, the
processor's milliseconds a trial of the processes without the server, how many creations were refused because another
process was first, and how many connections there were. The line below says what they did, looked at twice a second: the
processes compute, the server computes, or a lock is waited for.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
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
from postgresql_server import PASSWORD, PostgreSQL, started_server

Counts = tuple[int, int, float]
"""Trials, refused creations and seconds of the processor of one process."""
ACTIVITY = """
SELECT CASE WHEN state = 'active' AND wait_event IS NULL THEN 'the server computes'
    WHEN state = 'active' THEN wait_event_type || ' ' || wait_event
    WHEN state LIKE 'idle in transaction%' THEN 'the process computes, in a transaction'
    ELSE 'between transactions' END
FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
PRELOADED = ["numpy", "optuna", "psycopg", "netwright.runs.postgresql", "netwright.strategies.sampler"]
"""What each process would import."""


@contextlib.contextmanager
def watched(server: PostgreSQL, database: str) -> Iterator[Counter[str]]:
    """What the connections of a database do within it, counted twice a second; "looks" is how often."""
    found: Counter[str] = Counter()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.5):
            found.update(str(row[0]) for row in server.execute(ACTIVITY, database))
            found["looks"] += 1

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


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


def measure(
    server: PostgreSQL, database: str, kind: str, processes: int, seconds: float
) -> tuple[float, float, int, Counter[str]]:
    """Trials a second, seconds of the processor a trial, refused creations, and what the connections did (`watched`).

    Args:
        server: with the database.
        database: an empty one.
        kind: "optuna", or the name of a strategy.
        processes: how many work at once.
        seconds: how long, beginning when all are ready.
    """
    url = server.url(database)
    storage = RDBStorage(url)
    optuna.create_study(storage=storage, study_name="study")
    storage.engine.dispose()
    postgresql.register_run(Place(url, "study"), "", "{}")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    results, ready = context.Queue(), context.Barrier(processes + 1)
    started = [
        context.Process(target=work, args=(url, kind, number, seconds, ready, results))
        for number in range(processes)
    ]
    for process in started:
        process.start()
    ready.wait()
    with watched(server, database) as did:
        found = [results.get(timeout=seconds + 600) for _ in started]
    for process in started:
        process.join()
    trials = sum(one[0] for one in found)
    spent = sum(one[2] for one in found)
    return trials / seconds, spent / max(trials, 1), sum(one[1] for one in found), did


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
    server = started_server(4 * arguments.processes + 20)
    try:
        print(f"{arguments.processes} processes, {arguments.seconds:.0f} s each")
        for number, kind in enumerate(("optuna", "random", "controlled-random-search", "optuna")):
            server.execute(f"CREATE DATABASE study{number}")
            pace, spent, refused, did = measure(
                server, f"study{number}", kind, arguments.processes, arguments.seconds
            )
            looks = max(did.pop("looks", 0), 1)
            print(
                f"{kind:26}{pace:8.1f} trials a second{1000 * spent:9.1f} ms of the processor a trial"
                f"{refused:8} creations refused{did.total() / looks:8.0f} connections\n    "
                + ", ".join(f"{count / looks:.1f} {what}" for what, count in did.most_common(6)),
                flush=True,
            )
    finally:
        server.close()


if __name__ == "__main__":
    main()
