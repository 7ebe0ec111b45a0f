"""What a sampler costs: ask + tell in a study of 500 and of 4,500 trials, 11 integer parameters.

    python benchmarks/ask_tell.py [--asks 100]

Prints the median milliseconds of `Study.ask` (all parameters) plus `Study.tell`, and the ratio of the two study
sizes, for every strategy of netwright and for Optuna's random sampler beside them: the difference is the
sampler's own, the rest is the storage's. Targets: controlled random search in memory at most 2 ms at 4,500
trials, and at most 1.5 times its cost at 500. Filling the two SQLite files takes about a minute.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import optuna
from optuna.distributions import IntDistribution
from optuna.samplers import BaseSampler, RandomSampler

from netwright.strategies import STRATEGIES
from netwright.strategies.sampler import sampler

SPACE: dict[str, IntDistribution] = {
    "n": IntDistribution(8, 32),
    "p": IntDistribution(2, 5),
    "sup": IntDistribution(0, 1),
    "res": IntDistribution(0, 1),
    "nodes": IntDistribution(2, 4),
    **{f"op{i}": IntDistribution(0, 6) for i in range(6)},
}
SIZES = (500, 4500)


def loss(choice: Mapping[str, float]) -> float:
    """A floored bowl: distinct for distinct choices, so that the population does not collapse early."""
    return sum((i + 1.37) * (value - 3) ** 2 for i, value in enumerate(choice.values()))


def fill(study: optuna.Study, trials: int) -> None:
    """Adds finished random trials."""
    rng = np.random.default_rng(0)
    start = datetime.now() - timedelta(days=1)
    for number in range(trials):
        params = {name: int(rng.integers(d.low, d.high + 1)) for name, d in SPACE.items()}
        trial = optuna.create_trial(params=params, distributions=dict(SPACE), value=loss(params))
        trial.datetime_start = trial.datetime_complete = start + timedelta(seconds=number)
        study.add_trial(trial)


def in_memory(folder: Path, size: int, sampler: BaseSampler) -> optuna.Study:
    """A filled study in memory."""
    study = optuna.create_study(sampler=sampler)
    fill(study, size)
    return study


def in_sqlite(folder: Path, size: int, sampler: BaseSampler) -> optuna.Study:
    """A filled study in a fresh copy of a SQLite file, which is filled once."""
    filled, used = folder / f"{size}.db", folder / "used.db"
    if not filled.exists():
        fill(optuna.create_study(storage=f"sqlite:///{filled}", study_name="study"), size)
    shutil.copy(filled, used)
    return optuna.load_study(storage=f"sqlite:///{used}", study_name="study", sampler=sampler)


def median_milliseconds(study: optuna.Study, asks: int) -> float:
    """Of ask + tell, after a first ask that reads the study."""
    seconds = []
    for number in range(asks + 1):
        start = time.perf_counter()
        trial = study.ask(dict(SPACE))
        study.tell(trial, loss(trial.params))
        if number:
            seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--asks", type=int, default=100)
    asks = parser.parse_args().asks
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers: dict[str, Callable[[], BaseSampler]] = {
        name: partial(sampler, name, seed=0, distributions=SPACE) for name in STRATEGIES
    }
    samplers["optuna's random"] = partial(RandomSampler, seed=0)
    sizes = "".join(f"{f'{size} trials':>14}" for size in SIZES)
    print(f"{'ask + tell, median ms':36}{sizes}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for kind, filled in {"memory": in_memory, "sqlite": in_sqlite}.items():
            for name, make in samplers.items():
                costs = [median_milliseconds(filled(Path(folder), size, make()), asks) for size in SIZES]
                row = "".join(f"{cost:14.3f}" for cost in costs)
                print(f"{f'{kind}: {name}':36}{row}{costs[1] / costs[0]:8.2f}", flush=True)


if __name__ == "__main__":
    main()
