"""Controlled random search against NLopt's GN_CRS2_LM: evaluations to reach a target, eight dimensions.

    python benchmarks/crs_against_nlopt.py [--seeds 100]

Both start from the same random first point of each seed. Prints the two medians and their ratio for each function.
Target: the medians differ by less than 15 %.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import nlopt
import numpy as np

from netwright.strategies import ControlledRandomSearch, Dimension, Observation

DIMENSIONS = 8
LIMIT = 20_000


@dataclass(frozen=True)
class Problem:
    """A function to be minimised in a box, and the value to reach."""

    name: str
    function: Callable[[Sequence[float]], float]
    low: float
    high: float
    target: float


def sphere(x: Sequence[float]) -> float:
    """Unimodal and isotropic."""
    return sum(v * v for v in x)


def rosenbrock(x: Sequence[float]) -> float:
    """A long curved valley."""
    return sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in pairwise(x))


def ackley(x: Sequence[float]) -> float:
    """A funnel with many local minima."""
    n = len(x)
    waves = sum(math.cos(2 * math.pi * v) for v in x) / n
    return 20 + math.e - 20 * math.exp(-0.2 * math.sqrt(sum(v * v for v in x) / n)) - math.exp(waves)


PROBLEMS = (
    Problem("sphere", sphere, -4.0, 5.0, 0.5),
    Problem("rosenbrock", rosenbrock, -2.0, 2.5, 30.0),
    Problem("ackley", ackley, -20.0, 30.0, 8.0),
)


def first_point(problem: Problem, seed: int) -> list[float]:
    """A uniform point of the box."""
    rng = np.random.default_rng([seed, 1])
    return [float(v) for v in rng.uniform(problem.low, problem.high, DIMENSIONS)]


def evaluations_of_netwright(problem: Problem, seed: int) -> int:
    """Evaluations until the target is reached, by `ControlledRandomSearch`."""
    names = [f"x{i}" for i in range(DIMENSIONS)]
    strategy = ControlledRandomSearch(first=dict(zip(names, first_point(problem, seed), strict=True)))
    state = strategy.init([Dimension(name, "float", problem.low, problem.high) for name in names])
    rng = np.random.default_rng([seed, 0])
    for number in range(LIMIT):
        choice, stamp = strategy.ask(state, rng)
        value = problem.function([cast(float, choice[name]) for name in names])
        if value <= problem.target:
            return number + 1
        state = strategy.tell(state, Observation(number, choice, -value, "complete", stamp))
    return LIMIT


def evaluations_of_nlopt(problem: Problem, seed: int) -> int:
    """Evaluations until the target is reached, by NLopt."""
    nlopt.srand(seed + 1)
    optimiser = nlopt.opt(nlopt.GN_CRS2_LM, DIMENSIONS)
    optimiser.set_lower_bounds(problem.low)
    optimiser.set_upper_bounds(problem.high)
    optimiser.set_min_objective(lambda x, _: problem.function(x.tolist()))
    optimiser.set_stopval(problem.target)
    optimiser.set_maxeval(LIMIT)
    optimiser.optimize(first_point(problem, seed))
    return int(optimiser.get_numevals())


def medians(problem: Problem, seeds: int) -> tuple[float, float]:
    """Median evaluations over the seeds, of netwright and of NLopt."""
    ours = statistics.median(evaluations_of_netwright(problem, seed) for seed in range(seeds))
    theirs = statistics.median(evaluations_of_nlopt(problem, seed) for seed in range(seeds))
    return ours, theirs


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=100)
    seeds = parser.parse_args().seeds
    print(f"{'median evaluations':20}{'netwright':>12}{'nlopt':>10}{'ratio':>8}")
    for problem in PROBLEMS:
        ours, theirs = medians(problem, seeds)
        print(f"{problem.name:20}{ours:12.1f}{theirs:10.1f}{ours / theirs:8.3f}")


if __name__ == "__main__":
    main()
