"""Stochastic natural gradient on a categorical distribution over choices, the strategy of PDAS, in ask/tell form.

"Probabilistic Model-Based Dynamic Architecture Search" (under review at ICLR 2019, anonymous): Section 2 and
Appendices A to C. The learning rate's adaptation is that of K. Nishida, H. Aguirre, S. Saito, S. Shirakawa,
Y. Akimoto: "Parameterless stochastic natural gradient method for discrete optimization and its application to
hyper-parameter optimization for neural network" (2018).

`Distribution` holds the mathematics; training with shared weights can use it too. `NaturalGradient` uses it to search
by whole trials. Every dimension is a categorical variable. A dimension without separate values (a float), or with very
many integers, is divided into ``levels``.

What the paper leaves open, and how it is done here:
- Losses that tie share their utilities. So a pair that ties changes nothing, not even the learning rate.
- With D = K = 2, and with a single variable, the lower bounds leave no freedom. Then the bound is half the uniform
  probability.
- A candidate without a reward ranks behind every other.
- With many workers, results are taken lambda at a time in the order of arrival, whichever theta they were drawn from.
- A choice that was tried before is drawn again a few times.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.strategies.base import Choice, Dimension, Observation, Stamp
from netwright.strategies.checks import require_whole
from netwright.strategies.growing import GrowingSet
from netwright.strategies.ladder import Ladder, Levels, choice_of, key_of, ladder_of, levels_of, untried

Vector = NDArray[np.float64]

ALPHA = 1.5
"""Target of the signal-to-noise ratio in the adaptation of the learning rate (Appendix C)."""


@dataclass(frozen=True, eq=False)
class Distribution:
    """D independent categorical variables with K_i >= 2 categories each, and the state of the learning rate; immutable.

    ``sizes``: K_i. ``theta``: the probabilities of all variables in one array of sum K_i numbers; those of each
    variable add up to 1. ``eta``: the learning rate. ``adaptive``: whether it is adapted. ``s`` (N numbers,
    N = sum (K_i - 1)) and ``gamma``: the state of its adaptation.
    """

    sizes: tuple[int, ...]
    theta: Vector
    eta: float
    s: Vector
    gamma: float = 0.0
    adaptive: bool = True
    starts: NDArray[np.int64] = field(init=False, repr=False)
    owner: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sizes = np.array(self.sizes, dtype=np.int64)
        object.__setattr__(self, "starts", np.cumsum(sizes) - sizes)
        object.__setattr__(self, "owner", np.repeat(np.arange(len(sizes)), sizes))

    @property
    def free(self) -> int:
        """N, the number of free parameters."""
        return sum(self.sizes) - len(self.sizes)

    @property
    def lowest(self) -> Vector:
        """m_i of each variable, (D,): 1 / (D (K_i - 1)) (Appendix B); 1 / (2 K_i) where that leaves no freedom."""
        sizes = np.array(self.sizes)
        bound = 1.0 / (len(sizes) * (sizes - 1))
        return np.where(sizes * bound < 1.0 - 1e-9, bound, 0.5 / sizes)

    def sample(self, rng: np.random.Generator) -> Levels:
        """One random category per variable, (D,)."""
        cumulative = np.cumsum(self.theta) - self.owner  # within each variable from 0 to 1
        below = cumulative <= rng.random(len(self.sizes))[self.owner]
        sampled: Levels = np.minimum(
            np.add.reduceat(below, self.starts, dtype=np.int64), np.array(self.sizes) - 1
        )
        return sampled

    def likeliest(self) -> Levels:
        """The most probable category of each variable, (D,); the first of those that tie."""
        parts = np.split(self.theta, self.starts[1:])
        return np.array([int(part.argmax()) for part in parts])

    def probabilities(self) -> list[Vector]:
        """theta, split by variable."""
        return list(np.split(self.theta, self.starts[1:]))

    def certainty(self) -> float:
        """The mean over the variables of the largest probability: near 1 where the distribution is decided."""
        return float(np.mean([row.max() for row in self.probabilities()])) if self.sizes else 1.0

    def entropy(self) -> float:
        """The mean over the variables of the entropy divided by log K_i: 1 where all values are equally likely."""
        rows = [-(row * np.log(row)).sum() / math.log(len(row)) for row in self.probabilities()]
        return float(np.mean(rows)) if rows else 0.0

    def log_likelihood(self, levels: Levels) -> float:
        """The logarithm of the probability of a sample (D,)."""
        return float(np.log(self.theta[self.starts + levels]).sum())

    def one_hot(self, levels: Levels) -> NDArray[np.float64]:
        """Samples (lambda, D) as rows M_n, (lambda, sum K_i)."""
        rows = np.zeros((len(levels), len(self.theta)))
        rows[np.arange(len(levels))[:, None], self.starts + levels] = 1.0
        return rows

    def updated(self, levels: Levels, losses: Vector) -> Distribution:
        """The distribution after one step from samples (lambda, D) and their losses (lambda,).

        The same object is returned where the losses tell nothing.
        """
        utility = utilities(losses)
        if not utility.any():
            return self
        g = (utility @ (self.one_hot(levels) - self.theta)) / len(utility)  # Equation 4
        theta = self._projected(self.theta + self.eta * g)
        if not self.adaptive:
            return replace(self, theta=theta)
        eta = self.eta
        a = self.whitened(g)
        # Tr(F Cov[g]) as if u and M were uncorrelated (Appendix C); N / 2 for a pair.
        trace = self.free * float(utility @ utility) / len(utility) ** 2
        s = (1 - eta) * self.s + math.sqrt(eta * (2 - eta)) * a / math.sqrt(trace)
        gamma = (1 - eta) ** 2 * self.gamma + eta * (2 - eta)
        change = math.exp(eta * (float(s @ s) / ALPHA - gamma))
        return replace(self, theta=theta, s=s, gamma=gamma, eta=min(eta * change, self.free**-0.5))

    def whitened(self, g: Vector) -> Vector:
        """a = A^T v, (N,), where A A^T is the Fisher information and v the free components of g (Appendix C).

        |a|^2 = sum g_j^2 / theta_j.

        Args:
            g: (sum K_i,); its components for each variable add up to 0.
        """
        ends = self.starts + np.array(self.sizes) - 1
        free = np.ones(len(self.theta), dtype=bool)
        free[ends] = False
        v, r = g[free], self.theta[free]
        q = self.theta[ends]
        owner = self.owner[free]
        total = np.bincount(owner, weights=v, minlength=len(self.sizes))
        a: Vector = v / np.sqrt(r) + np.sqrt(r) * (total / (q + np.sqrt(q)))[owner]
        return a

    def _projected(self, theta: Vector) -> Vector:
        """theta with each probability at least m_i and each variable's sum 1 (Appendix B)."""
        lowest = self.lowest
        bound = lowest[self.owner]
        theta = np.maximum(theta, bound)
        total = np.add.reduceat(theta, self.starts)
        share = (1.0 - total) / (total - np.array(self.sizes) * lowest)
        projected: Vector = theta + share[self.owner] * (theta - bound)
        return projected


def uniform(sizes: Sequence[int], *, adaptive: bool = True) -> Distribution:
    """theta = 1 / K_i. The learning rate starts at N^(-1/2) and is adapted, or is fixed at 1 / N.

    Raises:
        ValueError: a variable has fewer than two categories.

    >>> uniform([2, 4]).probabilities()[1].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    if min(sizes, default=2) < 2:
        raise ValueError(f"every variable needs at least two categories, got {tuple(sizes)}")
    free = sum(sizes) - len(sizes)
    theta = np.concatenate([np.full(size, 1.0 / size) for size in sizes]) if sizes else np.empty(0)
    rate = (free**-0.5 if adaptive else 1.0 / free) if free else 0.0
    return Distribution(tuple(sizes), theta, rate, np.zeros(free), adaptive=adaptive)


def utilities(losses: Vector) -> Vector:
    """+1 for the best ceil(lambda / 4) losses, -1 for the worst, else 0, shape (lambda,). Ties get their mean.

    >>> utilities(np.array([0.1, 0.2, 0.3, 0.4])).tolist()
    [1.0, 0.0, 0.0, -1.0]
    """
    count = len(losses)
    quarter = math.ceil(count / 4)
    by_rank = np.zeros(count)
    by_rank[:quarter] += 1.0
    by_rank[count - quarter :] -= 1.0
    order = np.argsort(losses, kind="stable")
    _, group, ties = np.unique(losses, return_inverse=True, return_counts=True)
    ranked = np.empty(count)
    ranked[order] = by_rank
    means = np.bincount(group, weights=ranked) / ties
    shared: Vector = means[group]
    return shared


@dataclass(frozen=True, eq=False)
class State:
    """The distribution, and the results that have not moved it yet; immutable.

    ``ladders``: of all dimensions; a dimension with one value is not a variable. ``waiting``: the levels of the
    variables and the loss, for each such result. ``tried``: the levels of all trained candidates, as bytes.
    """

    ladders: tuple[Ladder, ...]
    distribution: Distribution
    waiting: tuple[tuple[Levels, float], ...] = ()
    tried: GrowingSet[bytes] = field(default_factory=GrowingSet)

    @property
    def variable(self) -> NDArray[np.bool_]:
        """Which dimensions are variables."""
        return np.array([len(ladder.values) > 1 for ladder in self.ladders])


@dataclass(frozen=True)
class NaturalGradient:
    """Natural gradient ascent on the probabilities of every dimension's values.

    Args:
        samples: results of a step, lambda in the paper; at least 2.
        adaptive: whether the learning rate is adapted, from N^(-1/2) on for N free probabilities; False: it is 1 / N.
        levels: even steps of a dimension that is a float or has more values; at least 2.
    """

    samples: int = 2
    adaptive: bool = True
    levels: int = 16

    def __post_init__(self) -> None:
        require_whole(samples=(self.samples, 2), levels=(self.levels, 2))

    @property
    def name(self) -> str:
        """Short name, as in `STRATEGIES`."""
        return "natural-gradient"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting, as plain JSON values."""
        return asdict(self)

    def init(self, dimensions: Sequence[Dimension]) -> State:
        """The uniform distribution."""
        ladders = tuple(ladder_of(dimension, self.levels) for dimension in dimensions)
        sizes = [len(ladder.values) for ladder in ladders if len(ladder.values) > 1]
        return State(ladders, uniform(sizes, adaptive=self.adaptive))

    def ask(
        self, state: State, rng: np.random.Generator, pending: Sequence[Stamp] = ()
    ) -> tuple[Choice, Stamp]:
        """A sample and its stamp, with its ``levels``."""

        def sampled(number: int) -> Levels:
            levels = np.zeros(len(state.ladders), dtype=np.int64)
            levels[state.variable] = state.distribution.sample(rng)
            return levels

        levels = untried(sampled, state.tried, pending)
        return choice_of(state.ladders, levels), {"kind": "sample", "levels": levels.tolist()}

    def tell(self, state: State, observation: Observation) -> State:
        """The state with one more result; every lambda results make one step."""
        if observation.status == "failed":
            return state
        levels = levels_of(state.ladders, observation.choice)
        reward = observation.reward
        loss = math.inf if reward is None or math.isnan(reward) else -reward
        waiting = (*state.waiting, (levels[state.variable], loss))
        state = replace(state, waiting=waiting, tried=state.tried.with_key(key_of(levels)))
        if len(waiting) < self.samples or not state.distribution.sizes:
            return state
        rows, losses = zip(*waiting, strict=True)
        moved = state.distribution.updated(np.array(rows), np.array(losses))
        return replace(state, distribution=moved, waiting=())
