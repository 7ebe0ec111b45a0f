"""Do 64, 256 or 1,024 workers have work all the time, and what does it cost that they do not wait for each other?

    python benchmarks/scale.py [--trials 100000] [--workers 64 256 1024] [--only random cma-es]
    python benchmarks/scale.py --quality [--trials 2000] [--seeds 10] [--only policy-gradient:pooled]

Simulates workers on a virtual clock: a training takes a log-normal time (median 600 s, sigma 0.8). One process asks and
tells for all workers, one after the other, through an ordinary Optuna study in memory. On the clock this takes as long
as the processor took, and 50 ms more for the storage of a trial, as SQLite does (`benchmarks/ask_tell.py`). The loss is
that of `benchmarks/ask_tell.py`, 11 integer parameters.

The first form prints the utilisation: the share of the workers' time, up to the moment when the last trial was begun,
in which they train. "As asked" is netwright's way: a free worker gets the next proposal at once. "In rounds" beside it
waits for all of a round of as many trials as there are workers, as a generation-based search without an asynchronous
mode must. Target: 95 % for every strategy as asked. It also prints the milliseconds of the processor for an ask and a
tell, and which share of the clock the process that asks and tells is busy.

The second form prints the least loss after so many trials, with 1 worker as the reference: median and quartiles over
seeds. Workers that do not wait propose without the results of the trials that are running.
"""

from __future__ import annotations

import argparse
import heapq
import statistics
import time
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.samplers import BaseSampler

from ask_tell import SPACE, loss
from netwright.strategies.makers import PROPOSERS
from netwright.strategies.optuna_samplers import OPTUNA_SAMPLERS, SeededSampler
from netwright.strategies.sampler import sampler

MEDIAN_SECONDS, SIGMA = 600.0, 0.8
STORAGE_SECONDS = 0.05


@dataclass(frozen=True)
class Simulated:
    """What a simulated search did.

    Args:
        utilisation: the share of the workers' time in which they trained, 0 to 1.
        best: the least loss.
        milliseconds: of the processor for an ask and a tell, the mean.
        driver: the share of the clock in which the process that asks and tells is busy, 0 to 1.
    """

    utilisation: float
    best: float
    milliseconds: float
    driver: float


def made(name: str, seed: int) -> BaseSampler:
    """A strategy of netwright, its variant behind a colon, or a sampler of Optuna's."""
    if name in OPTUNA_SAMPLERS:
        return SeededSampler(OPTUNA_SAMPLERS[name](), seed)
    name, _, variant = name.partition(":")
    return sampler(name, seed=seed, distributions=SPACE, **({"variant": variant} if variant else {}))


def simulate(name: str, workers: int, trials: int, seed: int, *, rounds: bool = False) -> Simulated:
    """A search on a virtual clock.

    Args:
        name: of the strategy.
        workers: how many train at once.
        trials: how many there are in all.
        seed: of the sampler and of the times.
        rounds: whether all workers wait for the last one of a round.
    """
    study = optuna.create_study(sampler=made(name, seed))
    durations = np.random.default_rng(seed).lognormal(np.log(MEDIAN_SECONDS), SIGMA, trials)
    running: list[tuple[float, int, optuna.Trial]] = []
    now = spent = 0.0
    trained: list[tuple[float, float]] = []
    for number, seconds in enumerate(durations.tolist()):
        if len(running) == workers:
            for _ in range(workers if rounds else 1):
                ends, _, ended = heapq.heappop(running)
                took = _told(study, ended)
                now, spent = max(now, ends) + took + STORAGE_SECONDS, spent + took
        start = time.process_time()
        trial = study.ask(dict(SPACE))
        took = time.process_time() - start
        now, spent = now + took, spent + took
        trained.append((now, now + seconds))
        heapq.heappush(running, (now + seconds, number, trial))
    for _, _, ended in running:
        spent += _told(study, ended)
    return Simulated(
        utilisation=sum(min(end, now) - start for start, end in trained) / (workers * now),
        best=study.best_value,
        milliseconds=1000 * spent / trials,
        driver=(spent + STORAGE_SECONDS * trials) / now,
    )


def _told(study: optuna.Study, trial: optuna.Trial) -> float:
    """Tells a result. Returns the seconds of the processor that this took."""
    value, start = loss(trial.params), time.process_time()
    study.tell(trial, value)
    return time.process_time() - start


def print_utilisation(names: list[str], workers: list[int], trials: int) -> None:
    """Prints a line for each strategy and number of workers."""
    print(f"{'':26}{'workers':>8}{'as asked':>10}{'in rounds':>11}{'ask + tell, ms':>16}{'driver busy':>13}")
    in_rounds = {
        count: simulate("random", count, min(trials, 20 * count), 0, rounds=True) for count in workers
    }
    for name in names:
        for count in workers:
            asked, rounds = simulate(name, count, trials, seed=0), in_rounds[count]
            print(
                f"{name:26}{count:8}{asked.utilisation:10.1%}{rounds.utilisation:11.1%}"
                f"{asked.milliseconds:16.2f}{asked.driver:13.1%}",
                flush=True,
            )


def print_quality(names: list[str], workers: list[int], trials: int, seeds: int) -> None:
    """Prints a line for each strategy and number of workers."""
    print(f"{'':26}{'workers':>8}   least loss after {trials} trials, median (quartiles) of {seeds} seeds")
    for name in names:
        for count in workers:
            found = [simulate(name, count, trials, seed).best for seed in range(seeds)]
            low, middle, high = statistics.quantiles(found, n=4)
            print(f"{name:26}{count:8}   {middle:8.1f} ({low:.1f} to {high:.1f})", flush=True)


def main() -> None:
    """Prints one of the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quality", action="store_true", help="the least loss instead of the utilisation")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--workers", type=int, nargs="+")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--only",
        nargs="+",
        default=["random", "controlled-random-search"],
        help=f"of {', '.join(PROPOSERS)}; a variant behind a colon",
    )
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if arguments.quality:
        workers = arguments.workers or [1, 64, 256]
        print_quality(arguments.only, workers, arguments.trials or 2000, arguments.seeds)
    else:
        print_utilisation(arguments.only, arguments.workers or [64, 256, 1024], arguments.trials or 100_000)


if __name__ == "__main__":
    main()
