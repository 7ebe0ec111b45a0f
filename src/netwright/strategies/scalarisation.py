"""Several objectives as one reward: for each proposal another weighting of them, so that a front is found.

J. Knowles: "ParEGO: a hybrid algorithm with on-line landscape approximation for expensive multiobjective optimization
problems", IEEE Transactions on Evolutionary Computation 10 (2006). The weights of a proposal are drawn from a lattice,
and all results so far get one loss with these weights, by the augmented Chebyshev function. Any strategy for one
objective then proposes the next candidate. So the strategy is as many agents as there are weightings, each of which
learns from the results of all (as in MOEA/D: Q. Zhang, H. Li, IEEE Transactions on Evolutionary Computation 11, 2007).
ParEGO takes the objectives' ranges as known. Here they are those of the front so far, and follow it now and then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from netwright.pareto import pareto_front

AUGMENTED = 0.05
"""The weight of the sum beside the maximum, rho in Equation 2 of ParEGO."""

WEIGHTINGS = 10
"""At least as many weightings as this, and as many as the smallest lattice has."""

FURTHEST = 10.0
"""The most that a value counts for beyond the range, in units of the range."""


@cache
def lattice(objectives: int) -> tuple[tuple[float, ...], ...]:
    """Weights that are evenly spaced on the simplex, none of them 0.

    Args:
        objectives: how many.

    Example:
        >>> lattice(2)[:3]
        ((0.05, 0.95), (0.15, 0.85), (0.25, 0.75))
        >>> len(lattice(3))
        10
    """
    found: list[tuple[int, ...]] = []
    total = 0
    while len(found) < WEIGHTINGS and objectives > 1:
        total += 1
        found = [cell for cell in product(range(total + 1), repeat=objectives) if sum(cell) == total]
    if objectives == 1:
        return ((1.0,),)
    return tuple(tuple(round((i + 0.5) / (total + objectives / 2), 12) for i in cell) for cell in found)


def weights_for(objectives: int, seed: int, number: int) -> tuple[float, ...]:
    """The weights for a trial: in random order, each as often as the others.

    Args:
        objectives: how many.
        seed: of the study.
        number: of the trial.
    """
    weights = lattice(objectives)
    turn, place = divmod(number, len(weights))
    return weights[int(np.random.default_rng([seed, turn]).permutation(len(weights))[place])]


def equal_weights(objectives: int) -> tuple[float, ...]:
    """The same weight for each objective."""
    return (1.0 / objectives,) * objectives


@dataclass(frozen=True)
class Ranges:
    """The best value of each objective, and how far the worst one is from it; not 0."""

    best: tuple[float, ...]
    span: tuple[float, ...]


def ranges_of(values: Sequence[Sequence[float]], objectives: int) -> Ranges:
    """The ranges of the front of results. Where the front is one point, the ranges of all results.

    On the front, where one objective can only be had for another, their weights then mean what they say, however bad
    other results are.

    Args:
        values: of the results, (results, objectives); each objective is maximised. Only finite ones count.
        objectives: how many.
    """
    found = np.asarray(values, dtype=np.float64).reshape(-1, objectives)
    found = found[np.isfinite(found).all(axis=1)]
    if not len(found):
        return Ranges((0.0,) * objectives, (1.0,) * objectives)
    front = found[list(pareto_front(-found))]
    best = front.max(axis=0)
    worst = np.where(front.min(axis=0) < best, front.min(axis=0), found.min(axis=0))
    return Ranges(tuple(best.tolist()), tuple(np.where(worst < best, best - worst, 1.0).tolist()))


def counted_for_ranges(results: int) -> int:
    """From how many of the first results the ranges are taken: half of them or more, so that they seldom change.

    Example:
        >>> [counted_for_ranges(results) for results in (0, 1, 3, 4, 100)]
        [0, 1, 2, 4, 64]
    """
    return 1 << (results.bit_length() - 1) if results else 0


def scalarised(values: Sequence[float], weights: Sequence[float], ranges: Ranges) -> float:
    """The reward of a result, to be maximised (ParEGO, Equation 2, with the opposite sign).

    Args:
        values: of its objectives, each of which is maximised.
        weights: of the objectives, which add up to 1.
        ranges: of the objectives.

    Returns:
        0 for what is the best in every objective, less for what is worse.

    Example:
        >>> ranges = ranges_of([(0.9, -30.0), (0.5, -10.0)], 2)
        >>> round(scalarised((0.6, -30.0), (0.5, 0.5), ranges), 5)
        -0.54375
    """
    losses = [
        weight * min(max((best - value) / span, -FURTHEST), FURTHEST)
        for value, weight, best, span in zip(values, weights, ranges.best, ranges.span, strict=True)
    ]
    return -(max(losses) + AUGMENTED * sum(losses))
