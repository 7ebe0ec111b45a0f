"""Agents that share pair tables and choose jointly, by Thompson sampling in a Bayesian linear model.

The better variant of multi-agent Q-learning. As published (`PublishedQLearning`) each agent follows its
neighbour's greedy action, and tables add rewards up; here
- what is learned is the rank of the reward, so that nothing but the order of the rewards counts, and a candidate
  without a reward ranks last;
- the tables are the weights of a Bayesian linear model: of every dimension and of every pair of dimensions whose
  agents are connected (C. Guestrin, D. Koller, R. Parr: "Multiagent planning with factored MDPs", NIPS 2001;
  J. R. Kok, N. Vlassis, JMLR 7, 2006), with a prior that the ranks themselves choose;
- all agents choose at once the joint action that maximises the sum of tables drawn from the posterior (S. Agrawal,
  N. Goyal: "Thompson sampling for contextual bandits with linear payoffs", ICML 2013), never one seen before;
- where every joint action can be looked at, half of the first choices are those of greatest expected improvement
  instead (`improvement`), in a model that knows how much each dimension counts: it is sooner at a good one, but later
  drawn tables leave a basin that is not the best more often.

Two models take turns where the ranks call for it: one whose tables say everything, which keeps exploring, and one in
which each joint action has a correction of its own beside them, so that what no sum of tables can say is not lost.
How often each, how far draws stray and how often chance decides was tried out on NAS-Bench-201 and made-up tables
(docs/choosing.md). Where dimensions have more values than levels, a level is a cell
of values, which may be visited again.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.errors import SettingsError
from netwright.strategies.base import Choice, Dimension, Observation, Stamp, Value
from netwright.strategies.pictures import StrategySection
from netwright.strategies.q_learning.improvement import Beliefs, normal_scores
from netwright.strategies.q_learning.joint_choice import key_of
from netwright.strategies.q_learning.layout import Layout, Levels
from netwright.strategies.q_learning.mean_ranks import mean_ranks
from netwright.strategies.q_learning.posterior import MOST_ENUMERATED, Draw, Model
from netwright.strategies.q_learning.prior import fit_priors, representative
from netwright.strategies.q_learning.proposal import propose
from netwright.strategies.q_learning.report import agent_sections
from netwright.strategies.q_learning.tables import QTable
from netwright.strategies.ranks import middle_ranks

FIRST = 10
"""Random proposals before any model is asked."""

BREADTHS = (0.5, 1.0)
"""How far drawn tables stray from the mean, in standard deviations of the posterior, by turns at random: 1 is Thompson
sampling, less is sooner at a good choice."""

CHANCE = 0.07
"""Share of the proposals that are drawn by chance: where all that is tried is alike, tables tell of nothing else."""

BY_IMPROVEMENT = 0.5
"""Share of the other proposals that go where most improvement is expected, where all joint actions can be looked at."""

IMPROVED_UNTIL = 80
"""Results from which on none do: they stay in a basin that is not the best one more often than drawn tables."""

TABLES_ALONE = 2 / 3
"""Share of the proposals by the model whose tables say everything, where there is another one."""

GROWTH, MOST_GROWTH = 5, 100
"""A prior is found anew when there are a fifth more results, or so many."""

MOST_MODELLED = 500
"""The model begins with at most so many results: the best half, and others of all ranks."""

BEST_STARTS = 4


@dataclass(frozen=True, eq=False)
class State:
    """What was observed; immutable.

    ``rows``: levels of each candidate; ``rewards``: theirs, None ranks last. ``failed``: levels that were proposed
    and came to nothing, not to be proposed again. ``memo`` saves work and holds no knowledge.
    """

    layout: Layout
    rows: tuple[bytes, ...] = ()
    rewards: tuple[float | None, ...] = ()
    failed: tuple[bytes, ...] = ()
    memo: Memo = field(default_factory=lambda: Memo(), repr=False)


@dataclass(frozen=True)
class CoordinatedAgents:
    """Multi-agent Q-learning with shared tables and a joint choice.

    Args:
        agents: names of the dimensions that each agent decides; None: one agent a dimension.
        edges: pairs (i, j), i < j, of agents that share a table; None: every pair does.
        levels: a dimension of more values is divided into so many cells.
        first: random proposals before the model is asked.
    """

    agents: Sequence[Sequence[str]] | None = None
    edges: Sequence[Sequence[int]] | None = None
    levels: int = 32
    first: int = FIRST

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise SettingsError(f"levels is {self.levels}, but a dimension needs at least 2")
        if not isinstance(self.first, int) or self.first < 1:
            raise SettingsError(
                f"first is {self.first}, but expected a whole number: at least 1 proposal comes before any model"
            )

    @property
    def name(self) -> str:
        """Short name, as in `STRATEGIES`."""
        return "q-learning"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting, as plain JSON values."""
        return {"variant": "coordinated", **asdict(self)}

    def init(self, dimensions: Sequence[Dimension]) -> State:
        """Nothing observed.

        Raises:
            SettingsError: the agents do not fit the dimensions, or those have too many levels.
        """
        return State(Layout(dimensions, self.agents, self.edges, self.levels))

    def ask(
        self, state: State, rng: np.random.Generator, pending: Sequence[Stamp] = ()
    ) -> tuple[Choice, Stamp]:
        """A choice and its stamp: ``levels``, and ``kind`` "first", "joint", or "repeat" where nothing is left.

        What is pending counts as seen; that tables are drawn makes many workers' proposals differ.
        """
        layout = state.layout
        given = tuple(key_of(np.array(stamp["levels"])) for stamp in pending)
        told = state.rows if layout.whole else ()
        seen = layout.levels_from(tuple(dict.fromkeys((*told, *state.failed, *given))))
        running = layout.levels_from(tuple(dict.fromkeys(given)))
        if len(state.rows) < self.first:
            kind, levels = "first", _first(layout, seen, rng)
        else:
            kind, levels = "joint", self._joint(state, seen, running, rng)
        if levels is None:
            kind, levels = "repeat", self._joint(state, seen[:0], running, rng)
            assert levels is not None
        return layout.choice_of(levels, rng), {"kind": kind, "levels": levels.tolist()}

    def _joint(self, state: State, seen: Levels, running: Levels, rng: np.random.Generator) -> Levels | None:
        """The joint choice by expected improvement, or by tables drawn from the posterior or by chance."""
        targets = ranks(state.rewards)
        known = len(state.rows) >= max(self.first, 2) and np.ptp(targets) > 0
        if not known or rng.random() < CHANCE:
            draw, far = random_draw(state.layout, rng), False
        elif _by_improvement(state, rng):
            return state.memo.best_new(state, targets, self.first, seen, running)
        else:
            draw, far = state.memo.draw(state, targets, self.first, rng)
        best = np.argsort(-targets, kind="stable")[:BEST_STARTS].tolist()
        starts = state.layout.levels_from(tuple(state.rows[place] for place in best))
        return propose(state.layout, draw, far, seen, starts, rng)

    def tell(self, state: State, observation: Observation) -> State:
        """With one more result; of a failed candidate nothing but that it is not proposed again."""
        if observation.status == "failed":
            if observation.stamp is None:
                return state
            return replace(state, failed=(*state.failed, key_of(np.array(observation.stamp["levels"]))))
        reward = observation.reward
        row = key_of(state.layout.levels_of(observation.choice))
        known = None if reward is None or math.isnan(reward) else reward
        return replace(state, rows=(*state.rows, row), rewards=(*state.rewards, known))

    def tables(self, state: State) -> tuple[QTable, ...]:
        """What each pair of agents has seen: mean ranks, from 0 to 1, of the candidates with each pair of actions."""
        return mean_ranks(state.layout, state.layout.levels_from(state.rows), ranks(state.rewards) + 0.5)

    def report(
        self, state: State, best: Mapping[str, Value] | None, reward_name: str
    ) -> tuple[StrategySection, ...]:
        """What the agents learned together."""
        return agent_sections(self.tables(state), best, "mean rank of the reward, 0 to 1")


def _by_improvement(state: State, rng: np.random.Generator) -> bool:
    return len(state.rows) < IMPROVED_UNTIL and is_small(state.layout) and rng.random() < BY_IMPROVEMENT


def ranks(rewards: Sequence[float | None]) -> NDArray[np.float64]:
    """Ranks in (-1/2, 1/2), the mean of those that tie; the candidates without a reward tie at the end."""
    values = np.array([-math.inf if reward is None else reward for reward in rewards])
    return middle_ranks(values) / max(len(values), 1) - 0.5


def _first(layout: Layout, seen: Levels, rng: np.random.Generator) -> Levels | None:
    """Random levels that are not among those seen."""
    levels: Levels = rng.integers(0, layout.sizes)
    if not (seen == levels).all(axis=1).any():
        return levels
    return propose(layout, random_draw(layout, rng), False, seen, levels[None], rng)


class Memo:
    """The models of the last state that was asked of, gone on with where the next state begins with that one.

    A model is the same, to the last bit, whether it was gone on with or made anew: its prior and its first
    results follow from the number of results, and the others are added one by one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: tuple[bytes, ...] = ()
        self._rewards: tuple[float | None, ...] = ()
        self._kept: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.models: tuple[Model, ...] = ()
        self.beliefs: Beliefs | None = None

    def draw(
        self, state: State, targets: NDArray[np.float64], first: int, rng: np.random.Generator
    ) -> tuple[Draw, bool]:
        """Tables drawn for a state with targets (rows,), and whether agents that no edge joins share any."""
        with self._lock:
            used = self._catch_up(state, first)
            model = self.models[0 if rng.random() < TABLES_ALONE else -1]
            breadth = BREADTHS[rng.integers(len(BREADTHS))]
            return model.draw(targets[used], breadth, rng), model.prior.far > 0

    def best_new(
        self, state: State, targets: NDArray[np.float64], first: int, seen: Levels, running: Levels
    ) -> Levels | None:
        """The levels of greatest expected improvement for a state with targets (rows,), see `Beliefs.best_new`."""
        with self._lock:
            used = self._catch_up(state, first)
            assert self.beliefs is not None
            told = state.layout.levels_from(state.rows)
            return self.beliefs.best_new(normal_scores(targets)[used], told, seen, running)

    def _catch_up(self, state: State, first: int) -> NDArray[np.int64]:
        """Makes the models those of a state; the places of the results that they hold."""
        fitted = last_fit(len(state.rows), max(first, 2))
        continues = self._rewards == state.rewards[:fitted] and self._rows == state.rows[: len(self._rows)]
        if not self.models or not continues:
            self._fit(state, fitted)
        for levels in state.layout.levels_from(state.rows[len(self._rows) :]):
            for model in self.models:
                model.extend(levels)
            if self.beliefs is not None:
                self.beliefs.extend(levels)
        self._rows = state.rows
        return np.concatenate([self._kept, np.arange(fitted, len(state.rows))])

    def _fit(self, state: State, fitted: int) -> None:
        layout = state.layout
        targets, levels = ranks(state.rewards[:fitted]), layout.levels_from(state.rows[:fitted])
        self._kept = representative(targets, MOST_MODELLED)
        self._rows, self._rewards = state.rows[:fitted], state.rewards[:fitted]
        priors = fit_priors(layout, levels, targets)
        self.models = tuple(Model(layout, prior, levels[self._kept]) for prior in priors)
        self.beliefs = None
        if is_small(layout) and fitted < IMPROVED_UNTIL:
            scores = normal_scores(targets)[self._kept]
            self.beliefs = Beliefs(layout, priors[0], scores, levels[self._kept])


def is_small(layout: Layout) -> bool:
    """Whether every joint action can be looked at and is one choice."""
    return layout.whole and layout.choices <= MOST_ENUMERATED


def random_draw(layout: Layout, rng: np.random.Generator) -> Draw:
    """Tables that know nothing."""
    return Draw(rng.standard_normal(layout.count), np.zeros((layout.count, layout.count)))


def last_fit(results: int, first: int) -> int:
    """The number of results at which the prior of so many results was found."""
    fitted = first
    while (following := fitted + min(max(fitted // GROWTH, 1), MOST_GROWTH)) <= results:
        fitted = following
    return fitted
