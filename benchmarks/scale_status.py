"""How long does `netwright status` take on a large study?

    python benchmarks/scale_status.py [--trials 100000] [--drawn 500]

Makes a run folder whose SQLite study holds so many finished trials of SegNAS4, as a search stores them: ``drawn`` are
stored by netwright, and the others are copies of their rows under further numbers. Then prints the size of the study,
and the processor time of `netwright status` in a process of its own, of the same with all trials read (as `report` and
Python do), and of Python importing netwright's storage alone. Target: 2 s for status.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import optuna
from optuna.storages import RDBStorage

from netwright.runs.trials import WORDS, network_key, store_outcome
from netwright.spaces.segnas import SegNAS4
from netwright.strategies.sampler import sampler
from netwright.training.fidelity import Fidelity
from netwright.training.outcome import Cost, Outcome, Status

SETTINGS = """
recipe: segnas4
dataset: {path: /nowhere}
space: {name: segnas4}
strategy: {name: random}
objective: {metric: dice}
"""
FOLLOWERS = (
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_params",
    "trial_values",
)
"""Tables whose rows belong to a trial."""
READ_ALL = "import sys; from netwright.api import open_run; len(open_run(sys.argv[1]).trials)"


def main() -> None:
    """Prints one line for each way to read."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--drawn", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to keep the run; by default it is removed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        run = (arguments.folder or Path(temporary)) / "run"
        if not run.exists():
            make_run(run, arguments.drawn, arguments.trials)
        print(f"{arguments.trials} trials, study.db {(run / 'study.db').stat().st_size / 1e6:.0f} MB")
        command = [str(Path(sys.executable).with_name("netwright")), "status", str(run)]
        print(f"{'netwright status':32} {processor_seconds(command, arguments.repeats)}")
        everything = [sys.executable, "-c", READ_ALL, str(run)]
        print(f"{'all trials read':32} {processor_seconds(everything, 1)}")
        imports = [sys.executable, "-c", "import netwright.runs.summary"]
        print(f"{'imports of the storage alone':32} {processor_seconds(imports, arguments.repeats)}")


def make_run(run: Path, drawn: int, trials: int) -> None:
    """A run folder with a study of finished trials.

    Args:
        run: the folder to make.
        drawn: how many trials are stored by netwright.
        trials: how many there are in all.
    """
    run.mkdir(parents=True)
    (run / "run.yaml").write_text(SETTINGS)
    storage = RDBStorage(f"sqlite:///{run / 'study.db'}")
    space = SegNAS4()
    study = optuna.create_study(
        storage=storage,
        study_name="search",
        direction="maximize",
        sampler=sampler("random", seed=0, distributions=space.distributions()),
    )
    study.set_user_attr("seconds_spent", 3600.0)
    for number in range(drawn):
        trial = study.ask(space.distributions())
        trial.set_user_attr("network", network_key(space.canonical(trial.params)))
        trial.set_user_attr(WORDS, space.describe(trial.params))
        reward = 0.5 + 0.4 * number / drawn
        ended = Status.INFEASIBLE if number % 10 == 9 else Status.COMPLETE
        outcome = Outcome(
            ended,
            metrics={"dice": reward, **{f"dice.{label}": reward for label in range(1, 20)}},
            cost=Cost(parameters=123_456, size_mb=0.5, flops=1e9, seconds_per_batch=0.1, inference_ms=12.0),
            epochs=30,
            planned_epochs=30,
            seconds=60.0,
            fidelity=Fidelity("epochs", 30.0),
        )
        store_outcome(study, trial, outcome, None if ended == Status.INFEASIBLE else reward)
    storage.engine.dispose()
    with closing(sqlite3.connect(run / "study.db")) as database:
        multiply(database, drawn, trials)


def multiply(database: sqlite3.Connection, drawn: int, trials: int) -> None:
    """Copies the rows of the first trials until there are enough.

    Args:
        database: of Optuna.
        drawn: the number of trials in it.
        trials: how many it is to hold.
    """
    database.execute("PRAGMA synchronous = OFF")
    for start in range(drawn, trials, drawn):
        more = min(drawn, trials - start)
        database.execute(
            "INSERT INTO trials SELECT trial_id + ?, number + ?, study_id, state, datetime_start, datetime_complete "
            "FROM trials WHERE number < ?",
            (start, start, more),
        )
        for table in FOLLOWERS:
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")][1:]
            taken = ", ".join(f"{name} + {start}" if name == "trial_id" else name for name in columns)
            database.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {taken} FROM {table} WHERE trial_id <= ?",
                (more,),
            )
    database.commit()


def processor_seconds(command: list[str], repeats: int) -> str:
    """The median processor time of a command, and its range."""
    found = []
    for _ in range(repeats):
        before = os.times()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        found.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    return f"{statistics.median(found):6.2f} s of the processor ({min(found):.2f} to {max(found):.2f})"


if __name__ == "__main__":
    main()
