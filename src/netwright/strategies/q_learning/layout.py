"""What the agents' tables are about: every dimension a row of levels, and which pairs of dimensions share a table.

A dimension of an agent is one row of the factored action (number of kernels, kernel size, stride, ...), so that
an agent of 42 actions learns about 7 + 3 + 2 levels and their pairs, never about 42 unrelated actions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from netwright.strategies.base import Choice, Dimension, Value
from netwright.strategies.dimensions import position_of, value_at
from netwright.strategies.grid import Axis, make_agents
from netwright.strategies.q_learning.joint_choice import Tables, choose, key_of

Levels = NDArray[np.int64]

MOST_LEVELS = 32
"""A dimension of more values, or a continuous one, is divided into this many cells."""

MOST_ACTIONS = 256
"""An agent with more joint actions chooses its dimensions one by one, each given the others."""


class Layout:
    """The dimensions as levels 0, 1, ..., numbered through from the first dimension to the last.

    ``sizes`` and ``offsets``: levels of each dimension, and the number of its first one. ``dimension_of``: shape
    (levels,). ``near``: shape (dimensions, dimensions), True for i < j where the dimensions belong to one agent or
    to two connected ones; every pair where the agents have no edges given. ``nodes``: the dimensions that are
    chosen at once.
    """

    def __init__(
        self,
        dimensions: Sequence[Dimension],
        agents: Sequence[Sequence[str]] | None = None,
        edges: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self.dimensions = tuple(dimensions)
        self.axes = tuple(Axis(dimension, MOST_LEVELS) for dimension in dimensions)
        self.sizes = tuple(len(axis) for axis in self.axes)
        self.offsets = np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64)
        self.count = int(self.offsets[-1])
        self.dimension_of = np.repeat(np.arange(len(self.sizes)), self.sizes)
        self.choices = math.prod(self.sizes)
        self.values_of = {d.name: value_count(d) for d in dimensions}
        self.whole = all(len(axis) == self.values_of[axis.dimension.name] for axis in self.axes)
        members, pairs = make_agents(dimensions, agents, edges)
        whole = edges is None
        self.near = np.zeros((len(self.sizes), len(self.sizes)), dtype=bool)
        for agent in members:
            for i, j in combinations(sorted(agent.dimensions), 2):
                self.near[i, j] = True
        for a, b in pairs:
            for i, j in product(members[a].dimensions, members[b].dimensions):
                self.near[min(i, j), max(i, j)] = True
        if whole:
            self.near = np.triu(np.ones_like(self.near), 1)
        self.nodes: list[tuple[int, ...]] = []
        for agent in members:
            if math.prod(self.sizes[d] for d in agent.dimensions) <= MOST_ACTIONS:
                self.nodes.append(agent.dimensions)
            else:
                self.nodes.extend((d,) for d in agent.dimensions)

    def levels_of(self, choice: Mapping[str, Value]) -> Levels:
        """The levels of a choice, shape (dimensions,).

        Raises:
            KeyError: the choice lacks a dimension.
            ValueError: a value is not one of its dimension's.
        """
        return np.array([axis.level_of(choice[axis.dimension.name]) for axis in self.axes], dtype=np.int64)

    def choice_of(self, levels: Levels, rng: np.random.Generator) -> Choice:
        """The choice at some levels; a level that stands for many values gives a random one of its cell."""
        choice: Choice = {}
        for axis, level in zip(self.axes, levels.tolist(), strict=True):
            value = axis.values[level]
            if len(axis) < self.values_of[axis.dimension.name]:
                value = value_in_cell(axis, level, rng)
            choice[axis.dimension.name] = value
        return choice

    def best(self, single, pairs, seen, starts, rng):
        """The joint choice."""
        tables, actions = self.tables(single, pairs)
        known = {
            key_of(a)
            for a in self.actions_of(
                np.array([np.frombuffer(k, np.int32) for k in seen], np.int64).reshape(
                    len(seen), len(self.sizes)
                )
            )
        }
        found = choose(tables, known, self.actions_of(starts), rng)
        if found is None:
            found = choose(tables, set(), self.actions_of(starts), rng)
        levels = np.empty(len(self.sizes), np.int64)
        for node, a, acts in zip(self.nodes, found, actions):
            levels[list(node)] = acts[a]
        return levels

    def actions_of(self, X):
        return np.stack(
            [
                np.ravel_multi_index(tuple(X[:, list(node)].T), [self.sizes[d] for d in node])
                for node in self.nodes
            ],
            1,
        )

    def tables(self, single, pairs):
        if all(len(node) == 1 for node in self.nodes):
            V = len(self.sizes)
            order = [node[0] for node in self.nodes]
            assert order == list(range(V))
            B = pairs.reshape(len(single), -1)
            nz = [
                (i, j)
                for i in range(V)
                for j in range(i + 1, V)
                if self.near[i, j] or self.far_used(pairs, i, j)
            ]
            return Tables(self.sizes, single, pairs, tuple(nz)), [np.arange(n)[:, None] for n in self.sizes]
        acts = [
            np.stack(
                [g.ravel() for g in np.meshgrid(*[np.arange(self.sizes[d]) for d in node], indexing="ij")], 1
            )
            for node in self.nodes
        ]
        sizes = tuple(len(a) for a in acts)
        B = []
        for node, a in zip(self.nodes, acts):
            b = np.zeros((len(a), self.count))
            b[np.arange(len(a))[:, None], a + self.offsets[list(node)]] = 1
            B.append(b)
        off = np.concatenate([[0], np.cumsum(sizes)])
        N = len(sizes)
        P = np.zeros((off[-1], off[-1]))
        S = np.zeros(off[-1])
        edges = []
        for i in range(N):
            bw = B[i] @ pairs
            S[off[i] : off[i + 1]] = B[i] @ single + 0.5 * (bw * B[i]).sum(1)
            for j in range(i + 1, N):
                cols = np.concatenate(
                    [np.arange(self.offsets[d], self.offsets[d + 1]) for d in self.nodes[j]]
                )
                if np.any(bw[:, cols]):
                    t = bw[:, cols] @ B[j][:, cols].T
                    P[off[i] : off[i + 1], off[j] : off[j + 1]] = t
                    P[off[j] : off[j + 1], off[i] : off[i + 1]] = t.T
                    edges.append((i, j))
        return Tables(sizes, S, P, tuple(edges)), acts

    def far_used(self, pairs, i, j):
        return bool(pairs[self.offsets[i] : self.offsets[i + 1], self.offsets[j] : self.offsets[j + 1]].any())

    def spread(self, rows, seen, rng):
        """A random choice, the furthest from those seen of a few, of values seldom tried."""
        best, score = None, None
        known = np.array(
            [np.frombuffer(r, np.int32) for r in seen] + [np.frombuffer(r, np.int32) for r in rows], np.int64
        ).reshape(-1, len(self.sizes))
        cand = rng.integers(0, self.sizes, size=(32, len(self.sizes)))
        if not len(known):
            return cand[0]
        far = (cand[:, None] != known[None]).sum(2).min(1)
        counts = np.array([[np.sum(known[:, d] == c[d]) for d in range(len(self.sizes))] for c in cand]).sum(
            1
        )
        return cand[np.lexsort((counts, -far))[0]]


def value_count(d: Dimension) -> float:
    """How many values a dimension has."""
    return math.inf if d.step is None else round((d.high - d.low) / d.step) + 1


def value_in_cell(axis: Axis, level: int, rng: np.random.Generator) -> Value:
    """A random value of those for which a level stands."""
    places = [position_of(axis.dimension, value) for value in axis.values]
    below = (places[level - 1] + places[level]) / 2 if level else 0.0
    above = (places[level] + places[level + 1]) / 2 if level + 1 < len(places) else 1.0
    value = value_at(axis.dimension, below + (above - below) * rng.random())
    return value if axis.level_of(value) == level else axis.values[level]
