"""A policy gradient that uses the results of many rounds, where the published one uses those of one round.

It is the better variant. In the published one (`netwright.strategies.policy_gradient.published`) a round of 15 results
gives three means per coordinate. In these means the changes of all other coordinates are noise, and after the round
they are forgotten. So a bad start costs many rounds. Here
- the first round is drawn uniformly, and the policy begins at its best result;
- a round is short, and few coordinates change at once, so that good combinations stay together;
- the effect of every value is estimated from the last results of all rounds, at the values that were really trained.
  The model is a Bayesian linear one with one table per coordinate. It separates the effects of the coordinates, lets
  neighbouring values share what is learned, and uses ranks in place of rewards;
- the policy moves as the published one does, by at most one step per coordinate, to the value with the greatest
  estimated effect. Categories have no order, so all values of such a coordinate are compared.

Late results count like any other. The settings were tuned on made-up tables and NAS-Bench-201 (docs/choosing.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.errors import SettingsError
from netwright.strategies.base import Choice, Dimension, Observation, Stamp, Value
from netwright.strategies.checks import require_whole
from netwright.strategies.growing import GrowingSet
from netwright.strategies.ladder import (
    Ladder,
    Levels,
    choice_of,
    key_of,
    ladder_of,
    levels_of,
    levels_of_first,
    untried,
    within,
)
from netwright.strategies.pictures import StrategySection
from netwright.strategies.policy_gradient.report import first_policy, policy_history, policy_sections
from netwright.strategies.policy_gradient.rounds import Round
from netwright.strategies.ranks import middle_ranks

WIDER_AFTER = 4
"""While draws repeat tried levels, more coordinates change: twice the share after this many draws, then three times."""

ALIKE = 0.7
"""Correlation between the effects of two neighbouring values of an ordered coordinate."""

NOISE = 0.3
"""Variance of what the effects of the coordinates do not explain, in units of the effects' variance."""

CONSTANT = 0.1
"""Variance of the mean, in the same unit."""


@dataclass(frozen=True, eq=False)
class State:
    """The policy (None until the first round has ended) and all results so far; immutable.

    ``rows``: levels of each result; ``rewards``: their rewards, None where there is none. ``since``: the number of
    results since the policy last moved. ``rounds``: the finished rounds.
    """

    ladders: tuple[Ladder, ...]
    policy: Levels | None = None
    rows: tuple[Levels, ...] = ()
    rewards: tuple[float | None, ...] = ()
    since: int = 0
    rounds: tuple[Round, ...] = ()
    tried: GrowingSet[bytes] = field(default_factory=GrowingSet)


@dataclass(frozen=True)
class PooledPolicyGradient:
    """The policy gradient with effects estimated from many rounds.

    Args:
        perturbations: candidates of a round, p in the paper.
        first: the policy to start from, a value for every dimension; None: drawn uniformly, by "pooled" the best of a
            round. In a run, "start" is the space's starting choice.
        levels: even steps of a dimension that is a float or has more values; at least 2.
        share: share of the coordinates that a perturbation changes, over 0 and at most 1.
        memory: from how many of the last results effects are estimated.
    """

    perturbations: int = 5
    first: Mapping[str, Value] | None = None
    levels: int = 32
    share: float = 0.3
    memory: int = 100

    def __post_init__(self) -> None:
        require_whole(perturbations=(self.perturbations, 1), levels=(self.levels, 2), memory=(self.memory, 2))
        if not isinstance(self.share, int | float) or not 0 < self.share <= 1:
            raise SettingsError(f"share is {self.share!r}, but expected a number over 0 and at most 1")

    @property
    def name(self) -> str:
        """Short name, as in `STRATEGIES`."""
        return "policy-gradient"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting, as plain JSON values."""
        return {"variant": "pooled", **asdict(self)}

    def init(self, dimensions: Sequence[Dimension]) -> State:
        """No result yet.

        Raises:
            SettingsError: ``first`` is not a choice of the dimensions.
        """
        ladders = tuple(ladder_of(dimension, self.levels) for dimension in dimensions)
        return State(ladders, None if self.first is None else levels_of_first(ladders, self.first))

    def ask(
        self, state: State, rng: np.random.Generator, pending: Sequence[Stamp] = ()
    ) -> tuple[Choice, Stamp]:
        """A perturbation of the policy (in the first round any choice) and its stamp.

        The stamp holds ``kind``, ``round`` and ``levels``.
        """

        def drawn(number: int) -> Levels:
            return self._drawn(state, rng, min(self.share * (1 + number / WIDER_AFTER), 1.0))

        levels = untried(drawn, state.tried, pending)
        kind = "uniform" if state.policy is None else "perturbation"
        return choice_of(state.ladders, levels), {
            "kind": kind,
            "round": len(state.rounds),
            "levels": levels.tolist(),
        }

    def _drawn(self, state: State, rng: np.random.Generator, share: float) -> Levels:
        anywhere = rng.integers(0, [len(ladder.values) for ladder in state.ladders])
        if state.policy is None:
            return anywhere
        steps = rng.choice((-1, 1), size=len(anywhere))
        changed = rng.random(len(anywhere)) < share
        neighbours = within(state.ladders, state.policy + steps)
        return np.where(changed, np.where(_ordered(state.ladders), neighbours, anywhere), state.policy)

    def tell(self, state: State, observation: Observation) -> State:
        """The state with one more result, whatever its choice; every p-th result moves the policy."""
        if observation.status == "failed":
            return state
        levels = levels_of(state.ladders, observation.choice)
        reward = observation.reward
        state = replace(
            state,
            rows=(*state.rows, levels),
            rewards=(*state.rewards, None if reward is None or math.isnan(reward) else reward),
            since=state.since + 1,
            tried=state.tried.with_key(key_of(levels)),
        )
        return state if state.since < self.perturbations else self._moved(state)

    def _moved(self, state: State) -> State:
        """The state of the next round."""
        rewards = np.array([-math.inf if reward is None else reward for reward in state.rewards])
        if state.policy is None:
            return replace(state, policy=state.rows[int(rewards.argmax())], since=0)
        known = effects(state.ladders, np.array(state.rows[-self.memory :]), rewards[-self.memory :])
        compared = [
            _compared(ladder, level, effect)
            for ladder, level, effect in zip(state.ladders, state.policy.tolist(), known, strict=True)
        ]
        policy = np.array([best for best, _ in compared])
        last = np.array([np.nan if r is None else r for r in state.rewards[-state.since :]])
        finished = Round(
            state.policy, np.array([means for _, means in compared]), np.sign(policy - state.policy), last
        )
        return replace(state, policy=policy, since=0, rounds=(*state.rounds, finished))

    def report(
        self, state: State, best: Mapping[str, Value] | None, reward_name: str
    ) -> tuple[StrategySection, ...]:
        """How the policy moved."""
        return policy_sections(state, reward_name, estimated=True)

    def history(self, state: State) -> list[dict[str, Any]]:
        """Every finished round, as plain JSON values."""
        return policy_history(state)

    def starting_point(self, state: State) -> tuple[str, Choice] | None:
        """The best choice of the first round, where the policy began, and a name for it, for use in sentences."""
        first = first_policy(state)
        return None if first is None else ("the best of the first round", first)


def effects(
    ladders: Sequence[Ladder], rows: Levels, rewards: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """The estimated effect of every value of every coordinate, in standard deviations of the rewards' ranks.

    It is the posterior mean of a sum of tables, one per coordinate. The covariance of two values' effects is
    ``ALIKE`` to the power of their distance (0 for two categories). This is ridge regression in its dual form.

    Args:
        ladders: the values of each coordinate.
        rows: levels of the results, (results, coordinates).
        rewards: (results,), minus infinity where there is none.

    Returns:
        One array (values,) per coordinate.
    """
    targets = _ranks(rewards)
    ordered = _ordered(ladders)
    distance = np.abs(rows[:, None, :] - rows[None, :, :])
    likeness = np.where(ordered, ALIKE**distance, distance == 0)
    covariance = likeness.mean(axis=-1) + CONSTANT
    weights = np.linalg.solve(covariance + NOISE * np.eye(len(rows)), targets)
    by_coordinate = []
    for coordinate, ladder in enumerate(ladders):
        apart = np.abs(np.arange(len(ladder.values))[:, None] - rows[:, coordinate])
        table = ALIKE**apart if ordered[coordinate] else (apart == 0).astype(np.float64)
        by_coordinate.append(table @ weights / len(ladders))
    return by_coordinate


def _compared(ladder: Ladder, level: int, effect: NDArray[np.float64]) -> tuple[int, NDArray[np.float64]]:
    """The level that the policy moves to, and the greatest effect below its own level, at it and above it.

    An effect is NaN where there is no such value. An ordered coordinate moves by at most one step. The policy stays
    where no effect is greater.
    """
    reach = len(effect) if ladder.dimension.kind == "categorical" else 1
    low, high = max(level - reach, 0), min(level + reach, len(effect) - 1)
    best = low + int(effect[low : high + 1].argmax())
    best = best if effect[best] > effect[level] else level
    below, above = effect[low:level], effect[level + 1 : high + 1]
    means = [side.max() if len(side) else np.nan for side in (below, effect[level : level + 1], above)]
    return best, np.array(means)


def _ranks(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks with mean 0 and variance 1; ties get their mean; all 0 where all tie."""
    ranks = middle_ranks(rewards)
    spread = ranks.std()
    return (ranks - ranks.mean()) / spread if spread > 0 else np.zeros(len(ranks))


def _ordered(ladders: Sequence[Ladder]) -> NDArray[np.bool_]:
    return np.array([ladder.dimension.kind != "categorical" for ladder in ladders])
