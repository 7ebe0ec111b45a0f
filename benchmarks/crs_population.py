"""How large a population should controlled random search have when there are few evaluations?

    python benchmarks/crs_population.py [--seeds 40]

Mean regret over the seeds, distinct networks counted, for populations from 1.2 (n + 1) to the paper's 10 (n + 1)
members, kept where they fell or at the centres of their cells, and random search beside them. Objectives: a noisy
bowl over SegNAS4's four dimensions (another one each seed), and NAS-Bench-201's table where it is at hand.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import product

import numpy as np

from crs_settings import TABLE, Choice, Objective, nas_bench_201, search
from netwright.strategies import ControlledRandomSearch, Dimension, RandomSearch

BUDGETS = (20, 40, 80, 160, 300)
BOUNDS = {"n": (8, 32), "p": (2, 5), "sup": (0, 1), "res": (0, 1)}


def noisy_bowl(seed: int) -> Objective:
    """Best at some n and p, small effects of the options, and the noise that a training has (0.03)."""
    rng = np.random.default_rng(seed)
    n, p = rng.uniform(10, 30), rng.uniform(2, 5)
    weights, slope = rng.uniform(0.2, 1, 4), rng.uniform(-0.3, 0.3)
    noise = rng.normal(0, 0.03, tuple(high + 1 for _, high in BOUNDS.values()))
    dimensions = tuple(Dimension(name, "integer", low, high, 1) for name, (low, high) in BOUNDS.items())

    def reward(choice: Choice) -> float:
        values = tuple(choice[name] for name in BOUNDS)
        x, y = (values[0] - n) / 12, (values[1] - p) / 1.5
        bowl = -weights[0] * x * x - weights[1] * y * y - slope * x * y
        return float(bowl + 0.1 * (weights[2] * values[2] + weights[3] * values[3]) + noise[values])

    everything = product(*(range(low, high + 1) for low, high in BOUNDS.values()))
    best = max(reward(dict(zip(BOUNDS, values, strict=True))) for values in everything)
    return Objective("noisy bowl", dimensions, lambda choice: tuple(choice[n] for n in BOUNDS), reward, best)


def main() -> None:
    """Prints one table an objective: a row a population, a column a budget."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=40)
    seeds = range(parser.parse_args().seeds)
    objectives: dict[str, Callable[[int], Objective]] = {"noisy bowl over SegNAS4": noisy_bowl}
    if TABLE.exists():
        table = nas_bench_201(TABLE)
        objectives["NAS-Bench-201, points of accuracy"] = lambda seed: table
    for name, make in objectives.items():
        corners = len(make(0).dimensions) + 1
        print(f"\n{name}: mean regret after {', '.join(map(str, BUDGETS))} networks")
        for factor, centres in product((1.2, 2, 4, 10), (False, True)):
            strategy = ControlledRandomSearch(population=round(factor * corners), cell_centres=centres)
            label = f"{strategy.population} members{', cell centres' if centres else ''}"
            print(f"{label:<28}", *(f"{regret(make, strategy, budget, seeds):8.4f}" for budget in BUDGETS))
        print(
            f"{'random':<28}", *(f"{regret(make, RandomSearch(), budget, seeds):8.4f}" for budget in BUDGETS)
        )


def regret(make: Callable[[int], Objective], strategy: object, budget: int, seeds: range) -> float:
    """Mean distance to the best of the table."""
    found = []
    for seed in seeds:
        objective = make(seed)
        assert objective.best is not None
        found.append(objective.best - search(strategy, objective, budget, True, seed).best)  # type: ignore[arg-type]
    return float(np.mean(found))


if __name__ == "__main__":
    main()
