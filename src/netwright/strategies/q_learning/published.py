"""Multi-agent Q-learning as published, on any directed acyclic graph of agents.

A. Iranfar, M. Zapater, D. Atienza: "Multi-Agent Reinforcement Learning for Hyperparameter Optimization of
Convolutional Neural Networks" (2022), sections V and VI, algorithms 1 to 3, equation 3 and section VI-D.
Maximises the reward. On a chain these are the algorithms of the paper, line by line. Where it is silent,
ambiguous or misprinted:

- Equation 3: ``n`` counts the earlier episodes of the exploration-exploitation phase, and "old" is the constant 0.95
  of the exploration phase: alpha = 0.95 x 0.999^n. As a recursion it would be 0.999^(n (n + 1) / 2), and epsilon, which
  decays "similar to Eq. 3", would be 3e-6 after 50 episodes, where figure 9 is "mostly random". Also, a rate of 0.98 in
  place of 0.99 halves the number of episodes only without the recursion.
- epsilon = 0.99^n is compared once per episode: all agents exploit, or all act at random, uniformly.
- gamma is not given: 0.9.
- "= 0" in algorithms 1 and 2 means unvisited ("cells initialized to zero"), because a visited cell may well hold 0.
  An unvisited cell counts as 0 where values are compared.
- Algorithm 2 goes through the tables in ascending order. So each is updated from the next one as it was before the
  episode. Line 5 asks for the row a*_{i+1} alone, not for the whole table.
- Algorithm 3: among equal values the first action wins.
- An agent that feeds several agents or is fed by several (section VI-D, whose indices do not fit each other):
  in algorithm 1 an agent takes one of the actions with unvisited cells in the most of these tables, which are
  all of them while that is possible (an agent without a predecessor acts first and looks at the tables that it shares
  with the agents it feeds); in algorithm 2 the next tables are those of all agents that it feeds, both for the
  question whether a cell is unvisited and for the maximum; in algorithm 3 an agent without a predecessor takes the
  action with the greatest value in any of its tables, and an agent fed by several takes the one that maximises more
  tables than any other does, else the one with the highest average.
- An agent without connections has a table of one row, for the initial state of section V-C.
- A set of actions that was tried before changes no table, in either phase; it counts as an episode.
- Convergence: the same set in ``convergence`` exploited episodes in a row; random episodes between them are ignored,
  as at the end of section VIII-A.
- Episodes run one after another in the paper. With several workers, running episodes count for the length of
  the exploration phase, and their cells count as visited in algorithm 1. Where agents would exploit a set that
  is running they act at random half of the time (only half, because it may run on a machine that was lost).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, ClassVar, Literal

import numpy as np

from netwright.errors import SettingsError
from netwright.strategies.base import Choice, Dimension, Observation, Stamp, Value
from netwright.strategies.grid import MOST_LEVELS, Agent, Axis, make_agents
from netwright.strategies.pictures import StrategySection
from netwright.strategies.q_learning.algorithms import exploit, explore, update
from netwright.strategies.q_learning.report import agent_sections
from netwright.strategies.q_learning.tables import Indices, QTable, TableLayout, Tables

Kind = Literal["exploration", "random", "exploitation"]

MOST_COUNTED = 20_000
"""The most episodes of an exploration that are counted before a search: about ten seconds for the largest networks."""


class Plan:
    """What the dimensions fix: the actions of every agent and the layout of the tables.

    An agent's actions are the tuples of its dimensions' values; the first dimension changes fastest (section V-B).

    Raises:
        SettingsError: agents or edges do not fit the dimensions, or the tables would be too large.
    """

    def __init__(
        self,
        dimensions: Sequence[Dimension],
        agents: Sequence[Sequence[str]] | None,
        edges: Sequence[Sequence[int]] | None,
        levels: int,
    ) -> None:
        self.axes = [Axis(dimension, levels) for dimension in dimensions]
        self.agents: tuple[Agent, ...]
        self.agents, pairs = make_agents(dimensions, agents, edges)
        counts = [math.prod(len(self.axes[d]) for d in agent.dimensions) for agent in self.agents]
        self.layout = TableLayout(counts, pairs)
        self._sizes = np.array([len(axis) for axis in self.axes])
        self._agent_of, self._steps = np.zeros((2, len(self.axes)), np.intp)
        for index, agent in enumerate(self.agents):
            members = list(agent.dimensions)
            self._agent_of[members] = index
            self._steps[members] = np.cumprod([1, *self._sizes[members]])[:-1]

    def choice_of(self, actions: Sequence[int]) -> Choice:
        """The choice that a set of actions represents, in the order of the dimensions."""
        levels = np.array(actions)[self._agent_of] // self._steps % self._sizes
        return {
            axis.dimension.name: axis.values[level]
            for axis, level in zip(self.axes, levels.tolist(), strict=True)
        }

    def actions_of(self, choice: Mapping[str, Value]) -> list[int]:
        """The set of actions that represents a choice.

        Raises:
            ValueError: a dimension does not have the given value.
        """
        levels = [axis.level_of(choice[axis.dimension.name]) for axis in self.axes]
        actions = np.zeros(len(self.agents), np.intp)
        np.add.at(actions, self._agent_of, levels * self._steps)
        indices: list[int] = actions.tolist()
        return indices

    def labels(self, agent: int) -> tuple[tuple[Value, ...], ...]:
        """The values of each action of an agent, in the order of the agent's dimensions."""
        axes = [self.axes[d] for d in self.agents[agent].dimensions]
        return tuple(values[::-1] for values in product(*(axis.values for axis in reversed(axes))))


@dataclass(frozen=True, eq=False)
class State:
    """What the agents know; immutable.

    ``met``: the sets of actions that changed a table; ``unvisited``: the number of unvisited cells; ``episodes``: all
    episodes so far; ``exploiting``: those in the exploration-exploitation phase. ``failed``: sets that failed, where
    chance decides instead. ``exploited``: the last exploited set; ``repeats``: the number of exploited episodes in a
    row with that set.
    """

    plan: Plan
    tables: Tables
    unvisited: int
    met: tuple[frozenset[bytes], ...] = ()
    episodes: int = 0
    exploiting: int = 0
    failed: frozenset[tuple[int, ...]] = frozenset()
    exploited: tuple[int, ...] = ()
    repeats: int = 0


@dataclass(frozen=True)
class PublishedQLearning:
    """One agent per layer and a Q-table for every pair of connected agents.

    Args:
        agents: names of the dimensions that each agent chooses, in topological order; None: one agent for each
            dimension. In a run, None is one for each layer in a space of layers.
        edges: pairs (i, j), i < j, of connected agents; None: a chain ("published"), or every pair ("coordinated"). In
            a run, None is as the layers are connected in a space of layers.
        levels: into how many cells a dimension is divided that is continuous or has more values.
        exploration: episodes of the exploration phase; None: until no table has an unvisited cell, at least
            max(N_A(i) x N_A(j)) over the tables.
        alpha: learning rate of the exploration phase.
        alpha_decay: factor for the learning rate after each episode of the exploration-exploitation phase.
        epsilon_decay: factor for the probability of a random set, likewise.
        gamma: discount of the next table's value.
        penalty: reward of a candidate that has none (equation 2).
        convergence: the search ends after this many exploited episodes in a row with the same set.

    Raises:
        SettingsError: a value is out of range.
    """

    agents: Sequence[Sequence[str]] | None = None
    edges: Sequence[Sequence[int]] | None = None
    levels: int = MOST_LEVELS
    exploration: int | None = None
    alpha: float = 0.95
    alpha_decay: float = 0.999
    epsilon_decay: float = 0.99
    gamma: float = 0.9
    penalty: float = -1.0
    convergence: int = 5

    converged_words: ClassVar[str] = "the agents chose one and the same network in several episodes running"

    def __post_init__(self) -> None:
        for name in ("alpha", "alpha_decay", "epsilon_decay", "gamma"):
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value <= 1:
                raise SettingsError(f"{name} is {value!r}, but expected a number from 0 to 1")
        if not _is_number(self.penalty) or not math.isfinite(self.penalty):
            raise SettingsError(f"penalty is {self.penalty!r}, but expected a finite number, for example -1")
        for name, least in (("levels", 2), ("convergence", 1), ("exploration", 0)):
            value = getattr(self, name)
            if value is None and name == "exploration":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise SettingsError(f"{name} is {value!r}, but expected a whole number of at least {least}")

    @property
    def name(self) -> str:
        """Short name, as in `STRATEGIES`."""
        return "q-learning"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting, as plain JSON values."""
        return {"variant": "published", **asdict(self)}

    def init(self, dimensions: Sequence[Dimension]) -> State:
        """Tables in which no cell is visited.

        Raises:
            SettingsError: agents or edges do not fit the dimensions, or the tables would be too large.
        """
        plan = Plan(dimensions, self.agents, self.edges, self.levels)
        size = plan.layout.size
        return State(plan, Tables(np.full(size, np.nan, np.float32)), size)

    def ask(
        self, state: State, rng: np.random.Generator, pending: Sequence[Stamp] = ()
    ) -> tuple[Choice, Stamp]:
        """The next set of actions and its stamp.

        The stamp holds ``kind`` ("exploration", "random" or "exploitation") and ``actions``, one index per agent.
        """
        layout = state.plan.layout
        running = [stamp["actions"] for stamp in pending]
        kind: Kind = "exploration"
        if self._explores(state, len(running)):
            values = state.tables.values()
            for actions in running:
                cells = layout.cells(np.array([*actions, 0]))
                values[cells] = 0.0  # any number: visited
            chosen = explore(layout, values, rng)
        else:
            kind = "random" if rng.random() < self.epsilon_decay**state.exploiting else "exploitation"
            chosen = exploit(layout, state.tables.values()) if kind == "exploitation" else []
            if (
                kind == "random"
                or (chosen in running and rng.random() < 0.5)
                or tuple(chosen) in state.failed
            ):
                kind, chosen = "random", rng.integers(layout.counts[:-1]).tolist()
        return state.plan.choice_of(chosen), {"kind": kind, "actions": chosen}

    def tell(self, state: State, observation: Observation) -> State:
        """The state after one more episode.

        A failed candidate is not an episode, but its set is remembered. A set that was tried before changes no table.
        """
        if observation.status == "failed":
            if observation.stamp is None:
                return state
            return replace(state, failed=state.failed | {tuple(observation.stamp["actions"])})
        trained = state.plan.actions_of(observation.choice)
        actions = np.array([*trained, 0])
        exploring = self._explores(state)
        key = actions.astype(np.min_scalar_type(state.plan.layout.counts.max())).tobytes()
        if not any(key in part for part in state.met):
            rate = self.alpha if exploring else self.alpha * self.alpha_decay**state.exploiting  # equation 3
            reward = observation.reward
            if reward is None or not math.isfinite(reward):
                reward = self.penalty
            state = self._updated(state, actions, rate, reward)
            state = replace(state, met=_with(state.met, key))
        stamp = observation.stamp
        if stamp is not None and stamp["kind"] == "exploitation" and stamp["actions"] == trained:
            repeats = state.repeats + 1 if tuple(trained) == state.exploited else 1
            state = replace(state, exploited=tuple(trained), repeats=repeats)
        exploiting = state.exploiting + (not exploring)
        return replace(state, episodes=state.episodes + 1, exploiting=exploiting)

    def converged(self, state: State) -> bool:
        """Whether the agents chose the same set in enough exploited episodes in a row (section VI-C)."""
        return state.repeats >= self.convergence

    def exploration_episodes(
        self, dimensions: Sequence[Dimension], rng: np.random.Generator, most: int = MOST_COUNTED
    ) -> int:
        """The number of episodes in the exploration phase, counted by a simulation without networks.

        It is at least max(N_A(i) x N_A(j)) (section VI-A), and more, because one agent's action is the next one's row.
        Other random numbers change it by a few per cent.

        Args:
            dimensions: those to search.
            rng: the source of random numbers.
            most: the count ends here; then this is returned, or the least number if that is greater.

        Raises:
            SettingsError: as `init`.
        """
        if self.exploration is not None:
            return self.exploration
        layout = self.init(dimensions).plan.layout
        least = int((layout.counts[layout.sources] * layout.counts[layout.targets]).max())
        if least >= most:
            return least
        values = np.full(layout.size, np.nan, np.float32)
        unvisited, episodes = layout.size, 0
        while unvisited and episodes < most:
            cells = layout.cells(np.array([*explore(layout, values, rng), 0]))
            unvisited -= int(np.isnan(values[cells]).sum())
            values[cells] = 0.0  # any number: visited
            episodes += 1
        return episodes

    def tables(self, state: State) -> tuple[QTable, ...]:
        """Every table, in the order of its source and target."""
        plan = state.plan
        layout, values = plan.layout, state.tables.values()
        labels = [plan.labels(agent) for agent in range(layout.start)]
        names = [tuple(plan.axes[d].dimension.name for d in agent.dimensions) for agent in plan.agents]
        agent_names = [*(agent.name for agent in plan.agents), ""]
        names, labels = [*names, ()], [*labels, ((),)]
        return tuple(
            QTable(
                agent_names[i],
                agent_names[j],
                names[i],
                names[j],
                labels[i],
                labels[j],
                layout.table(values, e),
            )
            for e, (i, j) in enumerate(zip(layout.sources.tolist(), layout.targets.tolist(), strict=True))
        )

    def report(
        self, state: State, best: Mapping[str, Value] | None, reward_name: str
    ) -> tuple[StrategySection, ...]:
        """What the agents learned together."""
        return agent_sections(self.tables(state), best, "Q-value")

    def _explores(self, state: State, running: int = 0) -> bool:
        """Whether the next episode belongs to the exploration phase."""
        if self.exploration is None:
            return state.unvisited > 0
        return state.episodes + running < self.exploration

    def _updated(self, state: State, actions: Indices, alpha: float, reward: float) -> State:
        layout, values = state.plan.layout, state.tables.values()
        cells = layout.cells(actions)
        unvisited = state.unvisited - int(np.isnan(values[cells]).sum())
        learned = update(layout, values, actions, alpha, reward, self.gamma)
        return replace(state, tables=state.tables.changed(cells, learned), unvisited=unvisited)


def _with(sets: tuple[frozenset[bytes], ...], key: bytes) -> tuple[frozenset[bytes], ...]:
    """Add one member. Each set is larger than the next, so that states can share most of them."""
    new = frozenset((key,))
    while sets and len(sets[-1]) <= len(new):
        new |= sets[-1]
        sets = sets[:-1]
    return (*sets, new)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
