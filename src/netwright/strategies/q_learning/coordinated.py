"""Agents that share pair tables and choose jointly, by Thompson sampling in a Bayesian linear model.

The better variant of multi-agent Q-learning. In the published algorithm (`PublishedQLearning`) each agent follows its
neighbour's greedy action, and tables add rewards up. Here
- the rank of the reward is learned, so only the order of the rewards counts, and a candidate without a reward ranks
  last;
- the tables are the weights of a Bayesian linear model: one for every dimension and one for every pair of dimensions
  whose agents are connected (C. Guestrin, D. Koller, R. Parr: "Multiagent planning with factored MDPs", NIPS 2001;
  J. R. Kok, N. Vlassis, JMLR 7, 2006). The prior is chosen from the ranks themselves;
- all agents choose at once: the joint action that maximises the sum of tables drawn from the posterior (S. Agrawal,
  N. Goyal: "Thompson sampling for contextual bandits with linear payoffs", ICML 2013). No joint action is proposed
  twice;
- if there are few enough joint actions to look at each, half of the first choices are those with the greatest expected
  improvement instead (`improvement`), in a model that knows how much each dimension counts. This reaches a good choice
  sooner. Drawn tables are better later, because they leave a wrong basin more often.

If the ranks call for it, two models take turns. In one the tables explain everything; it keeps exploring. In the other
each joint action also has a correction of its own, which captures what no sum of tables can express.
How often each model is used, how far draws stray and how often chance decides was tuned on NAS-Bench-201 and made-up
tables (docs/choosing.md). If a dimension has more values than levels, a level is a cell of values and may be visited
again.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence, Set
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
from netwright.strategies.q_learning.posterior import MOST_ENUMERATED, Draw, Model, no_pairs
from netwright.strategies.q_learning.prior import fit_priors, representative
from netwright.strategies.q_learning.proposal import propose
from netwright.strategies.q_learning.report import agent_sections
from netwright.strategies.q_learning.tables import QTable
from netwright.strategies.ranks import middle_ranks

FIRST = 10
"""Random proposals before a model is used."""

BREADTHS = (0.5, 1.0)
"""How far drawn tables stray from the mean, in standard deviations of the posterior; one is picked at random. 1 is
Thompson sampling; less reaches a good choice sooner."""

CHANCE = 0.07
"""Share of the proposals that are drawn by chance: if all tried choices are similar, tables know nothing else."""

BY_IMPROVEMENT = 0.5
"""Share of the other proposals with the greatest expected improvement, if all joint actions can be looked at."""

IMPROVED_UNTIL = 80
"""From this many results on, expected improvement is not used: it stays in a wrong basin more often than drawn
tables."""

TABLES_ALONE = 2 / 3
"""Share of the proposals by the model whose tables explain everything, if there is another one."""

GROWTH, MOST_GROWTH = 5, 100
"""The prior is fitted again when the results have grown by a fifth, or by this many."""

MOST_MODELLED = 500
"""The model starts with at most this many results: the better half, and a sample of the rest."""

BEST_STARTS = 4


@dataclass(frozen=True, eq=False)
class State:
    """All observations; immutable.

    ``rows``: levels of each candidate; ``rewards``: their rewards, None ranks last. ``failed``: levels that were
    proposed and failed, and are not proposed again. ``memo`` only saves work; the rest does not depend on it.
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
        agents: names of the dimensions that each agent chooses, in topological order; None: one agent for each
            dimension. In a run, None is one for each layer in a space of layers.
        edges: pairs (i, j), i < j, of connected agents; None: a chain ("published"), or every pair ("coordinated"). In
            a run, None is as the layers are connected in a space of layers.
        levels: into how many cells a dimension is divided that is continuous or has more values.
        first: random proposals before the agents use what they learned.
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
        """The state without observations.

        Raises:
            SettingsError: the agents do not fit the dimensions, or those have too many levels.
        """
        return State(Layout(dimensions, self.agents, self.edges, self.levels))

    def ask(
        self, state: State, rng: np.random.Generator, pending: Sequence[Stamp] = ()
    ) -> tuple[Choice, Stamp]:
        """A choice and its stamp: ``levels``, and ``kind`` ("first", "joint", or "repeat" if all choices were tried).

        Pending candidates count as tried. Workers propose different choices because the tables are drawn at random.
        """
        layout = state.layout
        given = tuple(key_of(np.array(stamp["levels"])) for stamp in pending)
        told = state.rows if layout.whole else ()
        seen = frozenset((*told, *state.failed, *given))
        running = layout.levels_from(tuple(dict.fromkeys(given)))
        if len(state.rows) < self.first:
            kind, levels = "first", _first(layout, seen, rng)
        else:
            kind, levels = "joint", self._joint(state, seen, running, rng)
        if levels is None:
            kind, levels = "repeat", self._joint(state, frozenset(), running, rng)
            assert levels is not None
        return layout.choice_of(levels, rng), {"kind": kind, "levels": levels.tolist()}

    def _joint(
        self, state: State, seen: Set[bytes], running: Levels, rng: np.random.Generator
    ) -> Levels | None:
        """The joint choice by expected improvement, by tables drawn from the posterior, or by chance."""
        targets = ranks(state.rewards)
        known = len(state.rows) >= max(self.first, 2) and np.ptp(targets) > 0
        if not known or rng.random() < CHANCE:
            draw, far = random_draw(state.layout, rng), False
        elif _by_improvement(state, rng):
            return state.memo.best_new(state, targets, self.first, seen, running)
        else:
            draw, far = state.memo.draw(state, targets, self.first, rng)
        best = np.argsort(-targets, kind="stable")[:BEST_STARTS].tolist()
        starts = state.layout.levels_from(tuple(state.rows[index] for index in best))
        return propose(state.layout, draw, far, seen, starts, rng)

    def tell(self, state: State, observation: Observation) -> State:
        """The state with one more result. A failed candidate is only remembered so that it is not proposed again."""
        if observation.status == "failed":
            if observation.stamp is None:
                return state
            return replace(state, failed=(*state.failed, key_of(np.array(observation.stamp["levels"]))))
        reward = observation.reward
        row = key_of(state.layout.levels_of(observation.choice))
        known = None if reward is None or math.isnan(reward) else reward
        return replace(state, rows=(*state.rows, row), rewards=(*state.rewards, known))

    def tables(self, state: State) -> tuple[QTable, ...]:
        """For each pair of agents the mean ranks, from 0 to 1, of the candidates with each pair of actions."""
        return mean_ranks(state.layout, state.layout.levels_from(state.rows), ranks(state.rewards) + 0.5)

    def report(
        self, state: State, best: Mapping[str, Value] | None, reward_name: str
    ) -> tuple[StrategySection, ...]:
        """What the agents learned together."""
        return agent_sections(self.tables(state), best, "mean rank of the reward, 0 to 1")


def _by_improvement(state: State, rng: np.random.Generator) -> bool:
    return len(state.rows) < IMPROVED_UNTIL and is_small(state.layout) and rng.random() < BY_IMPROVEMENT


def ranks(rewards: Sequence[float | None]) -> NDArray[np.float64]:
    """Ranks in (-1/2, 1/2). Ties get their mean; candidates without a reward tie at the end.

    >>> ranks([0.9, None]).tolist()
    [0.25, -0.25]
    """
    values = np.array([-math.inf if reward is None else reward for reward in rewards])
    return middle_ranks(values) / max(len(values), 1) - 0.5


def _first(layout: Layout, seen: Set[bytes], rng: np.random.Generator) -> Levels | None:
    """Random levels that were not seen before."""
    levels: Levels = rng.integers(0, layout.sizes)
    if key_of(levels) not in seen:
        return levels
    return propose(layout, random_draw(layout, rng), False, seen, levels[None], rng)


class Memo:
    """The models of the last state that was used. They are extended if the next state begins with that one.

    An extended model equals a new one to the last bit: its prior and its first results depend only on the number of
    results, and the others are added one by one.
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
        """Tables drawn for a state with targets (rows,), and whether agents without an edge between them share some.

        Args:
            state: of the strategy.
            targets: of the results, (rows,).
            first: the number of results at which the models are fitted first.
            rng: of all random numbers.
        """
        with self._lock:
            used = self._catch_up(state, first)
            model = self.models[0 if rng.random() < TABLES_ALONE else -1]
            breadth = BREADTHS[rng.integers(len(BREADTHS))]
            return model.draw(targets[used], breadth, rng), model.prior.far > 0

    def best_new(
        self, state: State, targets: NDArray[np.float64], first: int, seen: Set[bytes], running: Levels
    ) -> Levels | None:
        """The levels with the greatest expected improvement, see `Beliefs.best_new`.

        Args:
            state: of the strategy.
            targets: of the results, (rows,).
            first: as in `draw`.
            seen: levels that are not proposed, as bytes.
            running: levels of trials without a result.
        """
        with self._lock:
            used = self._catch_up(state, first)
            assert self.beliefs is not None
            told = state.layout.levels_from(state.rows)
            known = state.layout.levels_from(tuple(seen))
            return self.beliefs.best_new(normal_scores(targets)[used], told, known, running)

    def _catch_up(self, state: State, first: int) -> NDArray[np.int64]:
        """Bring the models up to a state. Returns the indices of the results that they contain."""
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
    """Whether there are few enough joint actions to look at each, and each is one choice."""
    return layout.whole and layout.choices <= MOST_ENUMERATED


def random_draw(layout: Layout, rng: np.random.Generator) -> Draw:
    """Random tables that contain no knowledge."""
    return Draw(rng.standard_normal(layout.count), no_pairs(layout.count), paired=False)


def last_fit(results: int, first: int) -> int:
    """The number of results at which the prior for ``results`` results was fitted.

    >>> last_fit(12, first=10)
    12
    >>> last_fit(13, first=10)
    12
    """
    fitted = first
    while (following := fitted + min(max(fitted // GROWTH, 1), MOST_GROWTH)) <= results:
        fitted = following
    return fitted
