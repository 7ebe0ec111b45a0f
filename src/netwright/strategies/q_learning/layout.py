"""What the agents' tables are about: every dimension a row of levels, and which dimensions share a table.

An agent's action is factored into its hyperparameters: one that chooses among 42 (number of kernels, kernel size,
stride) learns about 7 + 3 + 2 levels and their pairs, never about 42 actions that have nothing in common.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from netwright.errors import SettingsError
from netwright.strategies.base import Choice, Dimension, Value
from netwright.strategies.dimensions import position_of, value_at
from netwright.strategies.grid import Axis, make_agents

Levels = NDArray[np.int64]
Matrix = NDArray[np.float64]

MOST_ACTIONS = 256
"""An agent with more joint actions chooses its dimensions one by one, each given the others."""

MOST_LEVELS_IN_ALL = 3000
"""Of all dimensions together: tables of more would be too big to draw at every proposal."""

CANDIDATES = 32


class Layout:
    """The dimensions as levels 0, 1, ..., numbered through from the first dimension to the last.

    ``sizes``: levels of each dimension. ``offsets``: number of the first one, shape (dimensions,). ``count``: all
    levels. ``owner``: the dimension of each, (count,). ``whole``: no level stands for more than one value.
    ``members``, ``links``: the dimensions of each agent, and the pairs of agents that share a table.
    ``complete``: whether those are all pairs. ``near``: (dimensions, dimensions), symmetric, True where two belong
    to one agent or to two that share a table. ``nodes``: the dimensions that are chosen at once, ``actions`` the
    levels of each of their joint actions, (actions, dimensions of the node).

    Args:
        dimensions: what a strategy sees.
        agents, edges: see `make_agents`; without edges every pair of agents shares a table.
        levels: a dimension of more values is divided into so many cells.

    Raises:
        SettingsError: the agents do not fit the dimensions, or there are too many levels.
    """

    def __init__(
        self,
        dimensions: Sequence[Dimension],
        agents: Sequence[Sequence[str]] | None,
        edges: Sequence[Sequence[int]] | None,
        levels: int,
    ) -> None:
        self.axes = tuple(Axis(dimension, levels) for dimension in dimensions)
        self.sizes = tuple(len(axis) for axis in self.axes)
        self.count = sum(self.sizes)
        if self.count > MOST_LEVELS_IN_ALL:
            raise SettingsError(
                f"the dimensions have {self.count:,} levels in all, but agents that choose jointly can share "
                f"tables of {MOST_LEVELS_IN_ALL:,} at most: give the dimensions fewer values"
            )
        self.offsets = np.cumsum([0, *self.sizes], dtype=np.int64)[:-1]
        self.owner = np.repeat(np.arange(len(self.sizes)), self.sizes)
        self.choices = math.prod(self.sizes)
        self._cells = tuple(len(axis) < _value_count(axis.dimension) for axis in self.axes)
        self.whole = not any(self._cells)
        found, links = make_agents(dimensions, agents, edges)
        self.members = tuple(tuple(sorted(agent.dimensions)) for agent in found)
        self.links = links if edges is not None else tuple(combinations(range(len(found)), 2))
        self.near = self._make_near()
        self.complete = bool(self.near.sum() == len(self.sizes) * (len(self.sizes) - 1))
        self.nodes = self._make_nodes()
        self.actions = tuple(
            np.array(list(product(*(range(self.sizes[d]) for d in node))), dtype=np.int64).reshape(
                -1, len(node)
            )
            for node in self.nodes
        )

    def _make_near(self) -> NDArray[np.bool_]:
        near = np.zeros((len(self.sizes), len(self.sizes)), dtype=bool)
        for members in self.members:
            near[np.ix_(members, members)] = True
        for a, b in self.links:
            near[np.ix_(self.members[a], self.members[b])] = True
            near[np.ix_(self.members[b], self.members[a])] = True
        np.fill_diagonal(near, False)
        return near

    def _make_nodes(self) -> tuple[tuple[int, ...], ...]:
        nodes: list[tuple[int, ...]] = []
        for members in self.members:
            whole = math.prod(self.sizes[d] for d in members) <= MOST_ACTIONS
            nodes.extend([members] if whole else [(d,) for d in members])
        return tuple(nodes)

    def levels_of(self, choice: Mapping[str, Value]) -> Levels:
        """The levels of a choice, shape (dimensions,).

        Raises:
            KeyError: the choice lacks a dimension.
            ValueError: a value is not one of its dimension's.
        """
        return np.array([axis.level_of(choice[axis.dimension.name]) for axis in self.axes], dtype=np.int64)

    def levels_from(self, keys: Sequence[bytes]) -> Levels:
        """The levels (rows, dimensions) of which these are the keys (32-bit integers)."""
        return (
            np.frombuffer(b"".join(keys), dtype=np.int32).reshape(len(keys), len(self.sizes)).astype(np.int64)
        )

    def choice_of(self, levels: Levels, rng: np.random.Generator) -> Choice:
        """The choice at some levels, (dimensions,); of a cell of values a random one."""
        choice: Choice = {}
        for axis, level, cell in zip(self.axes, levels.tolist(), self._cells, strict=True):
            choice[axis.dimension.name] = _value_in_cell(axis, level, rng) if cell else axis.values[level]
        return choice

    def one_hot(self, levels: Levels) -> Matrix:
        """Rows of ones at the levels (rows, dimensions): shape (rows, count)."""
        rows = np.zeros((len(levels), self.count))
        rows[np.arange(len(levels))[:, None], levels + self.offsets] = 1.0
        return rows

    def actions_of(self, levels: Levels) -> Levels:
        """The number of each node's joint action at levels (rows, dimensions): shape (rows, nodes)."""
        columns = [
            np.ravel_multi_index(tuple(levels[:, list(node)].T), [self.sizes[d] for d in node])
            for node in self.nodes
        ]
        return np.stack(columns, axis=1).astype(np.int64)

    def levels_at(self, actions: Levels) -> Levels:
        """The levels (rows, dimensions) of joint actions (rows, nodes)."""
        levels = np.empty((len(actions), len(self.sizes)), dtype=np.int64)
        for place, (node, known) in enumerate(zip(self.nodes, self.actions, strict=True)):
            levels[:, list(node)] = known[actions[:, place]]
        return levels

    def spread(self, known: Levels, rng: np.random.Generator) -> Levels:
        """Random levels that differ in many dimensions from all that are known, (rows, dimensions).

        Of a few candidates the one whose nearest neighbour is furthest; then the one of least tried levels.
        """
        drawn = rng.integers(0, self.sizes, size=(CANDIDATES, len(self.sizes)))
        if not len(known):
            return drawn[0]
        nearest = (drawn[:, None] != known).sum(axis=2).min(axis=1)
        tried = self.one_hot(known).sum(axis=0)[drawn + self.offsets].sum(axis=1)
        return drawn[np.lexsort((tried, -nearest))[0]]


def _value_count(dimension: Dimension) -> float:
    if dimension.step is None:
        return math.inf if dimension.high > dimension.low else 1
    return round((dimension.high - dimension.low) / dimension.step) + 1


def _value_in_cell(axis: Axis, level: int, rng: np.random.Generator) -> Value:
    """A random value among those for which a level stands."""
    places = [position_of(axis.dimension, value) for value in axis.values]
    low = (places[level - 1] + places[level]) / 2 if level else 0.0
    high = (places[level] + places[level + 1]) / 2 if level + 1 < len(places) else 1.0
    value = value_at(axis.dimension, low + (high - low) * rng.random())
    return value if axis.level_of(value) == level else axis.values[level]
