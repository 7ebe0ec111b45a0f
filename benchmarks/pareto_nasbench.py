"""How good a Pareto front does a strategy find? Hypervolume on NAS-Bench-201, accuracy against convolution parameters.

    python benchmarks/pareto_nasbench.py --seeds 40 --record pareto-nasbench.jsonl
    python benchmarks/pareto_nasbench.py --strategies coordinated tpe --seeds 5

The accuracy is that of validation on CIFAR-10 after 12 epochs. The parameters are those of the convolutions of the
published skeleton: 16, 32 and 64 channels with five cells each, the stem, and the residual blocks between. The
reference point is an accuracy of 0 % and the largest network, and 1 is the hypervolume of the front of all 15,625
cells. All strategies run in an Optuna study in memory. Each study that has ended is a line of the record, and is not
run again.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from netwright.pareto import hypervolume
from netwright.strategies.sampler import sampler
from search_objectives import TABLE

BUDGETS = (100, 300)
STAGES = (16, 32, 64)
CELLS = 5
CONVOLUTIONS = {"2": 1, "3": 9}
"""The weights of an operation, for a pair of channels: 1 x 1 and 3 x 3 convolutions."""
STEM = 9 * 3 * STAGES[0]
BETWEEN = sum(9 * a * b + 9 * b * b + a * b for a, b in pairwise(STAGES))
SPACE: dict[str, BaseDistribution] = {
    f"edge {edge}": CategoricalDistribution(tuple("01234")) for edge in range(6)
}

STRATEGIES: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed, multivariate=True),
    "tpe, independent": lambda seed: TPESampler(seed=seed),
    "coordinated": lambda seed: sampler("q-learning", seed, distributions=SPACE),
    "nsga-ii": lambda seed: NSGAIISampler(seed=seed),
    "optuna-random": lambda seed: RandomSampler(seed=seed),
    "pooled": lambda seed: sampler("policy-gradient", seed, distributions=SPACE, variant="pooled"),
    "crs": lambda seed: sampler("controlled-random-search", seed, distributions=SPACE),
    "policy-gradient": lambda seed: sampler("policy-gradient", seed, distributions=SPACE),
}


@cache
def table() -> dict[str, tuple[float, int]]:
    """Accuracy in % and convolution parameters of every cell."""
    known = json.loads(TABLE.read_text(encoding="utf-8"))["table"]
    return {cell: (accuracy, parameters(cell)) for cell, (accuracy, _) in known.items()}


def parameters(cell: str) -> int:
    """The weights of all convolutions of a network of this cell."""
    one = sum(CONVOLUTIONS.get(operation, 0) for operation in cell)
    return STEM + BETWEEN + CELLS * one * sum(channels**2 for channels in STAGES)


def share(cells: list[str]) -> float:
    """The hypervolume of some cells, in units of that of all."""
    return volume(tuple(dict.fromkeys(cells))) / volume(tuple(table()))


@cache
def volume(cells: tuple[str, ...]) -> float:
    """The hypervolume of some cells."""
    points = [(-accuracy, size) for accuracy, size in (table()[cell] for cell in cells)]
    return hypervolume(points, (0.0, parameters("333333")))


def run(strategy: str, seed: int, trials: int) -> dict[str, object]:
    """One study: its hypervolume after each budget, and the processor time of a proposal."""
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=STRATEGIES[strategy](seed))
    cells: list[str] = []
    begun = time.process_time()
    for _ in range(trials):
        trial = study.ask(SPACE)
        cells.append("".join(trial.params[name] for name in SPACE))
        study.tell(trial, table()[cells[-1]])
    seconds = (time.process_time() - begun) / trials
    shares = {str(n): share(cells[:n]) for n in BUDGETS if n <= trials}
    return {"strategy": strategy, "seed": seed, "trials": trials, "shares": shares, "seconds": seconds}


def print_table(rows: list[dict[str, object]], trials: int) -> None:
    """Mean and standard error of each strategy."""
    print(
        f"{'':<18}{'seeds':>6}"
        + "".join(f"{f'after {n}':>20}" for n in BUDGETS if n <= trials)
        + f"{'ms each':>10}"
    )
    for name in STRATEGIES:
        own = [row for row in rows if row["strategy"] == name and row["trials"] == trials]
        if not own:
            continue
        text = f"{name:<18}{len(own):>6}"
        for n in (n for n in BUDGETS if n <= trials):
            values = np.array([row["shares"][str(n)] for row in own])  # type: ignore[index]
            error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
            text += f"{f'{values.mean():.4f} +- {error:.4f}':>20}"
        print(text + f"{1000 * np.mean([float(str(row['seconds'])) for row in own]):>10.1f}")


def main() -> None:
    """Runs what is missing, seed by seed, and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=STRATEGIES)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--record", type=Path, default=Path("pareto-nasbench.jsonl"))
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    lines = arguments.record.read_text(encoding="utf-8").splitlines() if arguments.record.exists() else []
    rows = [json.loads(line) for line in lines]
    known = {(row["strategy"], row["seed"], row["trials"]) for row in rows}
    for seed in range(arguments.seeds):
        for name in arguments.strategies:
            if (name, seed, arguments.trials) in known:
                continue
            rows.append(run(name, seed, arguments.trials))
            with arguments.record.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    print_table([row for row in rows if row["strategy"] in arguments.strategies], arguments.trials)


if __name__ == "__main__":
    main()
