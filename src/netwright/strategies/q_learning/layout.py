"""The levels of every dimension, and which dimensions share a table.

An agent's action is split into its hyperparameters. An agent that chooses among 42 triples (number of kernels, kernel
size, stride) learns about 7 + 3 + 2 levels and their pairs, not about 42 actions that have nothing in common.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise, product

import numpy as np
from numpy.typing import NDArray

from netwright.errors import SettingsError
from netwright.strategies.base import Choice, Dimension, Value
from netwright.strategies.dimensions import position_of, value_at
from netwright.strategies.grid import Axis, make_agents

Levels = NDArray[np.int64]
Matrix = NDArray[np.float64]

MOST_ACTIONS = 256
"""An agent with more joint actions than this chooses its dimensions one by one, each given the others."""

MOST_LEVELS = 3000
"""The most levels of all dimensions together: larger tables would take too long to draw for every proposal."""


class Node:
    """What is chosen at once: an agent, or one dimension of an agent with very many actions.

    ``dimensions``: consecutive dimensions. ``levels``: the numbers of their levels. ``actions``: the levels of each
    joint action, (actions, dimensions). ``one_hot``: the same, (actions, levels). ``strides``: (dimensions,); their
    product with the levels is the joint action's number.
    """

    def __init__(self, layout: Layout, dimensions: slice) -> None:
        sizes = layout.sizes[dimensions]
        self.dimensions = dimensions
        self.levels = layout.levels_in(dimensions)
        self.actions: Levels = np.array(list(product(*map(range, sizes))), dtype=np.int64)
        self.strides = np.array(
            [math.prod(sizes[index + 1 :]) for index in range(len(sizes))], dtype=np.int64
        )
        starts = layout.offsets[dimensions] - self.levels.start
        self.one_hot = np.zeros((len(self.actions), sum(sizes)))
        self.one_hot[np.arange(len(self.actions))[:, None], self.actions + starts] = 1.0


class Layout:
    """The dimensions of all agents as levels. The levels of all dimensions are numbered consecutively.

    Attributes:
        sizes: number of levels of each dimension.
        level_slices: the numbers of the levels of each dimension.
        count: number of all levels.
        owner: the dimension of each level, (count,).
        choices: number of joint choices of levels.
        whole: whether each level stands for a single value.
        names: the name of each agent.
        members: the dimensions of each agent.
        links: the pairs of agents that share a table.
        near: (dimensions, dimensions), symmetric, True if two dimensions belong to one agent or to linked agents.
        complete: whether all pairs are near.
        nodes: groups of dimensions that are chosen together.
        node_links: the pairs of nodes with near dimensions.

    Args:
        dimensions: those that the strategy sees.
        agents: see `make_agents`.
        edges: see `make_agents`; None: every pair of agents shares a table.
        levels: a dimension with more values is divided into this many cells.

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
        graph_agents, links = make_agents(dimensions, agents, edges)
        self.axes = tuple(Axis(dimensions[d], levels) for agent in graph_agents for d in agent.dimensions)
        self.sizes = tuple(len(axis) for axis in self.axes)
        self.count = sum(self.sizes)
        if self.count > MOST_LEVELS:
            raise SettingsError(
                f"the dimensions have {self.count:,} values in all, but agents that choose jointly can share "
                f"tables of {MOST_LEVELS:,} at most: give the dimensions fewer values, or set levels below {levels}"
            )
        self.choices = math.prod(self.sizes)
        self.offsets = np.cumsum([0, *self.sizes], dtype=np.int64)[:-1]
        self.level_slices = consecutive(self.sizes)
        self.owner = np.repeat(np.arange(len(self.sizes)), self.sizes)
        self._cells = tuple(len(axis) < _value_count(axis.dimension) for axis in self.axes)
        self.whole = not any(self._cells)
        self.names = tuple(agent.name for agent in graph_agents)
        self.members = consecutive([len(agent.dimensions) for agent in graph_agents])
        self.links = links if edges is not None else tuple(combinations(range(len(graph_agents)), 2))
        self.near = np.zeros((len(self.sizes), len(self.sizes)), dtype=bool)
        for a, b in (*self.links, *((a, a) for a in range(len(graph_agents)))):
            self.near[self.members[a], self.members[b]] = True
            self.near[self.members[b], self.members[a]] = True
        np.fill_diagonal(self.near, False)
        self.complete = bool(self.near.sum() == len(self.sizes) * (len(self.sizes) - 1))
        self.nodes = tuple(node for members in self.members for node in self._make_nodes(members))

        self._strides = np.zeros((len(self.sizes), len(self.nodes)))  # float: numpy multiplies those fast
        for index, node in enumerate(self.nodes):
            self._strides[node.dimensions, index] = node.strides
        self.node_links = tuple(
            (i, j)
            for i, j in combinations(range(len(self.nodes)), 2)
            if self.near[self.nodes[i].dimensions, self.nodes[j].dimensions].any()
        )

    def _make_nodes(self, members: slice) -> list[Node]:
        """An agent as one node, or as one node per dimension if it has too many actions."""
        if math.prod(self.sizes[members]) <= MOST_ACTIONS:
            return [Node(self, members)]
        return [Node(self, slice(d, d + 1)) for d in range(members.start, members.stop)]

    def levels_in(self, dimensions: slice) -> slice:
        """The numbers of the levels of consecutive dimensions."""
        return slice(self.level_slices[dimensions.start].start, self.level_slices[dimensions.stop - 1].stop)

    def levels_of(self, choice: Mapping[str, Value]) -> Levels:
        """The levels of a choice, shape (dimensions,).

        Raises:
            KeyError: the choice lacks a dimension.
            ValueError: a value is not one of its dimension's.
        """
        return np.array([axis.level_of(choice[axis.dimension.name]) for axis in self.axes], dtype=np.int64)

    def levels_from(self, keys: Sequence[bytes]) -> Levels:
        """The levels (rows, dimensions) behind these keys (32-bit integers)."""
        return (
            np.frombuffer(b"".join(keys), dtype=np.int32).reshape(len(keys), len(self.sizes)).astype(np.int64)
        )

    def choice_of(self, levels: Levels, rng: np.random.Generator) -> Choice:
        """The choice at the given levels, (dimensions,). For a cell of values it is a random one of them."""
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
        return (levels @ self._strides).astype(np.int64)

    def levels_at(self, actions: Levels) -> Levels:
        """The levels (rows, dimensions) of joint actions (rows, nodes)."""
        levels = np.empty((len(actions), len(self.sizes)), dtype=np.int64)
        for index, node in enumerate(self.nodes):
            levels[:, node.dimensions] = node.actions[actions[:, index]]
        return levels


def consecutive(sizes: Sequence[int]) -> tuple[slice, ...]:
    """Slices of the given sizes, one after the other.

    >>> consecutive([2, 3])
    (slice(0, 2, None), slice(2, 5, None))
    """
    ends = np.cumsum([0, *sizes]).tolist()
    return tuple(slice(start, end) for start, end in pairwise(ends))


def _value_count(dimension: Dimension) -> float:
    if dimension.step is None:
        return math.inf if dimension.high > dimension.low else 1
    return round((dimension.high - dimension.low) / dimension.step) + 1


def _value_in_cell(axis: Axis, level: int, rng: np.random.Generator) -> Value:
    """A random value among those that a level represents."""
    places = [position_of(axis.dimension, value) for value in axis.values]
    low = (places[level - 1] + places[level]) / 2 if level else 0.0
    high = (places[level] + places[level + 1]) / 2 if level + 1 < len(places) else 1.0
    value = value_at(axis.dimension, low + (high - low) * rng.random())
    return value if axis.level_of(value) == level else axis.values[level]
