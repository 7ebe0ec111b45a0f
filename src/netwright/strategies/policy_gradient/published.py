"""Policy gradient: perturbs a policy in every coordinate at once, and moves it towards greater rewards.

A. Mortazi, U. Bagci: "Automatically designing CNN architectures for medical image segmentation", MICCAI 2018 workshop
MLMI. A policy is one value for every hyperparameter, theta_1 to theta_N; epsilon^d is the step from one value of
coordinate d to the next. In a round p perturbations pi_i = pi_0 + Delta_i are trained, with every delta^d drawn from
{-epsilon^d, 0, +epsilon^d}. Each coordinate divides them into the groups C_-, C_0 and C_+ by what it was changed by;
the policy moves, in that coordinate, towards the group of greatest mean reward Ave, and stays where none is greatest.
The update's third case is misprinted in the text at hand: +epsilon applies where Ave_+ is greater than both others.

What the paper leaves open, and how it is done here:
- p is 15 (the authors had 15 GPUs), and the starting policy is drawn uniformly.
- A perturbation that would leave the range is clipped. It counts in the group of what it became: C_0.
- A perturbation that was trained before, or is in training, is drawn again, because it would teach nothing.
- A group without a result has no mean and is never the greatest. Where two groups are empty nothing can be compared,
  and the policy stays.
- A candidate without a reward (no network, out of memory) counts with the worst reward so far. If no candidate of a
  round has a reward, nothing is compared: the policy stays, and the round does not count towards ``rest``.
- A round ends when the first p candidates have their results, so slow networks count like quick ones. A worker that
  asks in the meantime gets a further perturbation of the same policy, so no worker waits. It counts too if it is in
  time. After ``late`` further results the round ends without the missing ones. A result that comes after the end of
  its round moves nothing.
- Values without an order (categories) are used in the order in which they are listed. For a float, or a dimension with
  more values than ``levels``, evenly spaced values are searched.

How fast it is: for each coordinate the changes of the others are noise, so more coordinates mean more noise. On
separable bowls of 12 values per coordinate, a random policy is 4 steps from the optimum in each. After 20 rounds of 15
(300 candidates) the policy is on average within 1 step for 6 coordinates and within 2 for 76, also with noise of a
tenth of the random policies' standard deviation. From then on it moves around there, because the steps do not become
smaller.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

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

GROUPS = (-1, 0, 1)
"""C_-, C_0 and C_+, by the sign of what was added."""

ROUNDING = 1e-12
"""Relative to the means: the sum of the same rewards in another order may differ by this much."""


@dataclass(frozen=True, eq=False)
class State:
    """The policy (levels on the ladders, None before the first result) and the results of its round so far; immutable.

    ``offsets``: steps of each result from the policy; ``rewards``: their rewards, None where there is none;
    ``places``: the numbers of the candidates in the round. ``rounds``: the finished rounds. ``worst``: the least reward
    so far. ``tried``: the levels of all trained candidates, as bytes.
    """

    ladders: tuple[Ladder, ...]
    policy: Levels | None = None
    offsets: tuple[Levels, ...] = ()
    rewards: tuple[float | None, ...] = ()
    places: frozenset[int] = frozenset()
    rounds: tuple[Round, ...] = ()
    worst: float | None = None
    tried: GrowingSet[bytes] = field(default_factory=GrowingSet)


@dataclass(frozen=True)
class PolicyGradient:
    """The published policy gradient.

    Args:
        perturbations: candidates of a round, p in the paper.
        first: the policy to start from, a value for every dimension; None: drawn uniformly, by "pooled" the best of a
            round. In a run, "start" is the space's starting choice.
        levels: even steps of a dimension that is a float or has more values; at least 2.
        rest: the search ends after this many rounds with a reward in a row in which the policy did not move. One such
            round could be luck, because each round has other perturbations.
        late: a round waits for its late results until there are this many further results; None: as many as a round
            has.
    """

    perturbations: int = 15
    first: Mapping[str, Value] | None = None
    levels: int = 32
    rest: int = 2
    late: int | None = None

    own_proposals_only: ClassVar[Literal[True]] = True
    converged_words: ClassVar[str] = "the policy stayed where it was in several rounds running"

    def __post_init__(self) -> None:
        require_whole(perturbations=(self.perturbations, 2), levels=(self.levels, 2), rest=(self.rest, 1))
        if self.late is not None:
            require_whole(late=(self.late, 0))

    @property
    def name(self) -> str:
        """Short name, as in `STRATEGIES`."""
        return "policy-gradient"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting, as plain JSON values."""
        return asdict(self)

    def init(self, dimensions: Sequence[Dimension]) -> State:
        """No policy yet.

        Raises:
            SettingsError: ``first`` is not a choice of the dimensions.
        """
        state = State(tuple(ladder_of(dimension, self.levels) for dimension in dimensions))
        if self.first is not None:
            levels_of_first(state.ladders, self.first)
        return state

    def ask(
        self, state: State, rng: np.random.Generator, pending: Sequence[Stamp] = ()
    ) -> tuple[Choice, Stamp]:
        """A perturbation of the policy and its stamp.

        The stamp holds ``round``, the candidate's number in it as ``place``, its ``levels`` and those of the perturbed
        ``policy``. Before any result the policy is taken from the pending candidates; if there are none, it is made
        here.
        """
        policy = self._policy(state, rng, pending)

        def perturbed(number: int) -> Levels:
            return within(state.ladders, policy + rng.integers(-1, 2, size=len(policy)))

        levels = untried(perturbed, state.tried, pending)
        number = len(state.rounds)
        current = {other["place"] for other in pending if other["round"] == number}
        return choice_of(state.ladders, levels), {
            "kind": "perturbation",
            "round": number,
            "place": _first_free(state.places | current),
            "policy": policy.tolist(),
            "levels": levels.tolist(),
        }

    def _policy(self, state: State, rng: np.random.Generator, pending: Sequence[Stamp]) -> Levels:
        if state.policy is not None:
            return state.policy
        if pending:
            return np.array(pending[0]["policy"], dtype=np.int64)
        if self.first is not None:
            return levels_of_first(state.ladders, self.first)
        return rng.integers(0, [len(ladder.values) for ladder in state.ladders])

    def tell(self, state: State, observation: Observation) -> State:
        """The state with one more result; the last result that a round waits for moves the policy.

        What counts is the choice that was trained, not the proposed one. It belongs to the round if no coordinate is
        more than one step from the policy. A result that was asked for in another round does not count.
        """
        stamp = observation.stamp
        if observation.status != "failed":
            levels = levels_of(state.ladders, observation.choice)
            state = replace(state, tried=state.tried.with_key(key_of(levels)))
        if stamp is not None and state.policy is None:
            state = replace(state, policy=np.array(stamp["policy"], dtype=np.int64))
        policy = state.policy
        if observation.status == "failed" or policy is None:
            return state
        reward = observation.reward
        reward = None if reward is None or math.isnan(reward) else reward
        if reward is not None:
            state = replace(state, worst=reward if state.worst is None else min(reward, state.worst))
        if stamp is not None and (stamp["round"], stamp["policy"]) != (len(state.rounds), policy.tolist()):
            return state
        offsets = levels - policy
        if np.abs(offsets).max() > 1:
            return state
        candidate = (
            _first_free(state.places) if stamp is None or stamp["place"] in state.places else stamp["place"]
        )
        state = replace(
            state,
            offsets=(*state.offsets, offsets),
            rewards=(*state.rewards, reward),
            places=state.places | {candidate},
        )
        late = self.perturbations if self.late is None else self.late
        waited_for = state.places.issuperset(range(self.perturbations))
        ended = waited_for or len(state.rewards) >= self.perturbations + late
        return _moved(state) if ended else state

    def converged(self, state: State) -> bool:
        """Whether the policy has stayed for ``rest`` rounds in a row. A round without a reward does not count."""
        last = [finished for finished in state.rounds if np.isfinite(finished.rewards).any()][-self.rest :]
        return len(last) == self.rest and not any(finished.moves.any() for finished in last)

    def report(
        self, state: State, best: Mapping[str, Value] | None, reward_name: str
    ) -> tuple[StrategySection, ...]:
        """How the policy moved."""
        return policy_sections(state, reward_name, estimated=False)

    def history(self, state: State) -> list[dict[str, Any]]:
        """Every finished round, as plain JSON values."""
        return policy_history(state)

    def starting_point(self, state: State) -> tuple[str, Choice] | None:
        """The policy that the search started from, and a name for it, for use in sentences."""
        first = first_policy(state)
        return None if first is None else ("the starting policy", first)


def group_means(offsets: Levels, rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ave_-, Ave_0 and Ave_+ of every coordinate: shape (coordinates, 3), NaN where a group is empty.

    Args:
        offsets: steps from the policy, -1, 0 or 1: shape (results, coordinates).
        rewards: shape (results,).
    """
    inside = np.stack([offsets == sign for sign in GROUPS], axis=-1).astype(np.float64)
    counts = inside.sum(axis=0)
    sums = np.einsum("rcg,r->cg", inside, rewards)
    means: NDArray[np.float64] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return means


def moves_by(means: NDArray[np.float64]) -> Levels:
    """The steps of the policy, -1, 0 or 1, given the means (coordinates, 3) of the groups.

    -1 where Ave_- > Ave_0 and Ave_- > Ave_+; +1 where Ave_+ > Ave_0 and Ave_+ > Ave_- (misprinted in the paper); else
    0, also for ties and where fewer than two groups have a mean. Means that differ only by rounding tie.

    >>> moves_by(np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.1, 0.2, 0.2]])).tolist()
    [1, -1, 0]
    """
    known = np.isfinite(means)
    margin = ROUNDING * np.abs(means[known]).max(initial=0.0)
    minus, zero, plus = np.where(known, means, -np.inf).T
    compared = known.sum(axis=1) >= 2
    down = compared & (minus > zero + margin) & (minus > plus + margin)
    up = compared & (plus > zero + margin) & (plus > minus + margin)
    moves: Levels = up.astype(np.int64) - down.astype(np.int64)
    return moves


def _moved(state: State) -> State:
    """The state of the next round."""
    assert state.policy is not None
    worst = math.nan if all(reward is None for reward in state.rewards) else state.worst
    rewards = np.array([worst if reward is None else reward for reward in state.rewards], dtype=np.float64)
    means = group_means(np.array(state.offsets), rewards)
    moves = moves_by(means)
    finished = Round(state.policy, means, moves, rewards)
    return replace(
        state,
        policy=within(state.ladders, state.policy + moves),
        offsets=(),
        rewards=(),
        places=frozenset(),
        rounds=(*state.rounds, finished),
    )


def _first_free(places: Collection[int]) -> int:
    number = 0
    while number in places:
        number += 1
    return number
