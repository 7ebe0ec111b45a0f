"""What a sampler costs: ask + tell in studies of different sizes, 11 integer parameters.

    python benchmarks/ask_tell.py [--asks 100] [--sizes 500 4500] [--only random cma-es] [--memory]
    python benchmarks/ask_tell.py --sizes 5000 100000 --memory --without-tpe

Prints the median milliseconds of the processor of `Study.ask` (all parameters) plus `Study.tell`, and the ratio of the
largest study to the smallest, for the strategies of netwright and for Optuna's random sampler before and after them:
the difference is the sampler's own, the rest is the storage's. `prior` is measured with a starting choice (``first``),
too. Optuna's TPE beside them gets a tenth of the asks.
Target in memory: at most 3 times Optuna's random sampler, and as much in a study of 100,000 trials as in one of 5,000.
Filling the two SQLite files of the default sizes takes about a minute. A study in memory is filled once for all
samplers, so that each finds the trials of those before it, too.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path

import numpy as np
import optuna
from optuna.distributions import IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

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
TPE = "optuna's TPE"


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
        study._storage.create_new_trial(study._study_id, trial)


@cache
def filled_in_memory(size: int) -> optuna.Study:
    """A filled study in memory."""
    study = optuna.create_study()
    fill(study, size)
    return study


def in_memory(folder: Path, size: int, sampler: BaseSampler) -> optuna.Study:
    """The filled study in memory, with another sampler."""
    study = filled_in_memory(size)
    study.sampler = sampler
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
        start = time.process_time()
        trial = study.ask(dict(SPACE))
        study.tell(trial, loss(trial.params))
        if number:
            seconds.append(time.process_time() - start)
    return 1000 * statistics.median(seconds)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--asks", type=int, default=100)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--only", nargs="+", choices=STRATEGIES, default=list(STRATEGIES))
    parser.add_argument("--memory", action="store_true", help="no study in SQLite")
    parser.add_argument("--without-tpe", action="store_true", help="not Optuna's TPE, which takes minutes")
    arguments = parser.parse_args()
    sizes, asks = arguments.sizes, arguments.asks
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers: dict[str, Callable[[], BaseSampler]] = {"optuna's random": partial(RandomSampler, seed=0)}
    samplers |= {name: partial(sampler, name, seed=0, distributions=SPACE) for name in arguments.only}
    if "prior" in arguments.only:
        first = {name: (d.low + d.high) // 2 for name, d in SPACE.items()}
        samplers["prior with first"] = partial(sampler, "prior", seed=0, distributions=SPACE, first=first)
    samplers |= {"optuna's random again": partial(RandomSampler, seed=0)}
    if not arguments.without_tpe:
        samplers |= {TPE: partial(TPESampler, seed=0)}
    heads = "".join(f"{f'{size} trials':>15}" for size in sizes)
    print(f"{'ask + tell, median ms':36}{heads}{'ratio':>8}")
    kinds = {"memory": in_memory} if arguments.memory else {"memory": in_memory, "sqlite": in_sqlite}
    with tempfile.TemporaryDirectory() as folder:
        for kind, filled in kinds.items():
            for name, make in samplers.items():
                own = max(1, asks // 10) if name == TPE else asks
                costs = [median_milliseconds(filled(Path(folder), size, make()), own) for size in sizes]
                row = "".join(f"{cost:15.3f}" for cost in costs)
                print(f"{f'{kind}: {name}':36}{row}{costs[-1] / costs[0]:8.2f}", flush=True)


if __name__ == "__main__":
    main()
