"""The joint action of all agents that maximises the sum of their tables, and was not tried yet.

Exact where the agents are few (every joint action is looked at) and on chains and trees (max-sum, of which the
joint actions come in falling order until one is new). On other graphs all agents improve in turn from many
starts, and then whole forests of agents at once, given the rest.

C. Guestrin, D. Koller, R. Parr: "Multiagent planning with factored MDPs", NIPS 2001, and "Coordinated
reinforcement learning", ICML 2002; J. R. Kok, N. Vlassis: "Collaborative multiagent reinforcement learning by
payoff propagation", JMLR 7 (2006), 1789-1828.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Actions = NDArray[np.int64]

MOST_ENUMERATED = 1 << 16
STARTS = 24
SWEEPS = 30
FORESTS = 6
REFINED = 3
MOST_POPPED = 20_000


def key_of(actions: Actions) -> bytes:
    """A joint action as a set holds it."""
    return actions.astype(np.int32).tobytes()


@dataclass(frozen=True, eq=False)
class Tables:
    """What the agents share.

    ``sizes``: actions of each agent, which are numbered through from the first to the last. ``single``: (actions,).
    ``pairs``: (actions, actions), symmetric, 0 between actions of one agent. ``edges``: the pairs of agents (i, j),
    i < j, that share a table.
    """

    sizes: tuple[int, ...]
    single: Array
    pairs: Array
    edges: tuple[tuple[int, int], ...]

    @cached_property
    def offsets(self) -> Actions:
        """Number of each agent's first action."""
        return np.concatenate([[0], np.cumsum(self.sizes)])[:-1].astype(np.int64)

    @cached_property
    def neighbours(self) -> tuple[tuple[int, ...], ...]:
        """Of each agent."""
        found: list[list[int]] = [[] for _ in self.sizes]
        for i, j in self.edges:
            found[i].append(j)
            found[j].append(i)
        return tuple(tuple(sorted(near)) for near in found)

    def part(self, agent: int) -> slice:
        """The numbers of an agent's actions."""
        start = int(self.offsets[agent])
        return slice(start, start + self.sizes[agent])

    def gains(self, actions: Actions) -> Array:
        """What every action would add, given the other agents' (starts, agents): shape (starts, all actions)."""
        gains: Array = self.single + self.pairs[actions + self.offsets].sum(axis=1)
        return gains

    def values(self, actions: Actions, gains: Array) -> Array:
        """The sum of the tables at joint actions (starts, agents)."""
        chosen = actions + self.offsets
        own = self.single[chosen].sum(axis=1)
        total: Array = 0.5 * (own + np.take_along_axis(gains, chosen, axis=1).sum(axis=1))
        return total


def choose(tables: Tables, seen: Set[bytes], starts: Actions, rng: np.random.Generator) -> Actions | None:
    """The best joint action that is not among those seen, shape (agents,).

    ``starts``: joint actions worth improving on, (any number, agents). None where nothing new was found.
    """
    if np.prod([float(size) for size in tables.sizes]) <= MOST_ENUMERATED:
        return _enumerated(tables, seen)
    if _is_forest(tables):
        for count, actions in enumerate(falling(tables)):
            if key_of(actions) not in seen:
                return actions
            if count > len(seen) or count >= 200:
                break
    return _improved(tables, seen, starts, rng)


def _enumerated(tables: Tables, seen: Set[bytes]) -> Actions | None:
    sizes = tables.sizes
    total = np.zeros(sizes)
    for i, size in enumerate(sizes):
        shape = [1] * len(sizes)
        shape[i] = size
        total += tables.single[tables.part(i)].reshape(shape)
    for i, j in tables.edges:
        shape = [1] * len(sizes)
        shape[i], shape[j] = sizes[i], sizes[j]
        total += tables.pairs[tables.part(i), tables.part(j)].reshape(shape)
    flat = total.ravel()
    if seen:
        known = np.frombuffer(b"".join(seen), dtype=np.int32).reshape(len(seen), len(sizes))
        flat[np.ravel_multi_index(tuple(known.T), sizes)] = -np.inf
    best = int(flat.argmax())
    if flat[best] == -np.inf:
        return None
    return np.array(np.unravel_index(best, sizes), dtype=np.int64)


def _is_forest(tables: Tables) -> bool:
    root = list(range(len(tables.sizes)))

    def find(i: int) -> int:
        while root[i] != i:
            i = root[i]
        return i

    for i, j in tables.edges:
        a, b = find(i), find(j)
        if a == b:
            return False
        root[a] = b
    return True


def _orders(tables: Tables, members: Set[int]) -> list[tuple[int, int | None]]:
    """The members of a forest, each after its parent: (agent, parent)."""
    order: list[tuple[int, int | None]] = []
    reached: set[int] = set()
    for root in sorted(members):
        stack: list[tuple[int, int | None]] = [] if root in reached else [(root, None)]
        while stack:
            agent, parent = stack.pop()
            reached.add(agent)
            order.append((agent, parent))
            stack += [
                (near, agent) for near in tables.neighbours[agent] if near in members and near != parent
            ]
    return order


def _messages(tables: Tables, order: list[tuple[int, int | None]], single: Array) -> dict[int, Array]:
    """For each agent of a forest: the best sum below and at it, (parent's actions, its actions), or (1, ...)."""
    below: dict[int, Array] = {agent: single[tables.part(agent)].copy() for agent, _ in order}
    full: dict[int, Array] = {}
    for agent, parent in reversed(order):
        if parent is None:
            full[agent] = below[agent][None]
        else:
            full[agent] = tables.pairs[tables.part(parent), tables.part(agent)] + below[agent]
            below[parent] += full[agent].max(axis=1)
    return full


def falling(tables: Tables) -> Iterator[Actions]:
    """Every joint action of a forest of agents, from the best on.

    A joint action's sum is the maximum less what each agent's action loses against the best one below its
    parent's action; so the least lost comes first (A* search whose bound is exact).
    """
    order = _orders(tables, set(range(len(tables.sizes))))
    full = _messages(tables, order, tables.single)
    place = {agent: i for i, (agent, _) in enumerate(order)}
    ranked = {agent: np.argsort(-table, axis=1, kind="stable") for agent, table in full.items()}
    lost = {
        a: t.max(axis=1, keepdims=True) - np.take_along_axis(t, ranked[a], axis=1) for a, t in full.items()
    }
    parents = [0 if parent is None else place[parent] for _, parent in order]
    # (lost so far, tie breaker, actions decided, rank of the last one, lost before it)
    heap: list[tuple[float, int, tuple[int, ...], int, float]] = [(0.0, 0, (), 0, 0.0)]
    ticket = 1
    while heap:
        spent, _, decided, rank, before = heapq.heappop(heap)
        depth = len(decided)
        if depth:
            agent, parent = order[depth - 1]
            row = 0 if parent is None else decided[parents[depth - 1]]
            if rank + 1 < tables.sizes[agent]:
                sibling = (*decided[:-1], int(ranked[agent][row, rank + 1]))
                heapq.heappush(
                    heap, (before + float(lost[agent][row, rank + 1]), ticket, sibling, rank + 1, before)
                )
                ticket += 1
        while depth < len(order):
            agent, parent = order[depth]
            row = 0 if parent is None else decided[parents[depth]]
            decided = (*decided, int(ranked[agent][row, 0]))
            depth += 1
            if tables.sizes[agent] > 1:
                sibling = (*decided[:-1], int(ranked[agent][row, 1]))
                heapq.heappush(heap, (spent + float(lost[agent][row, 1]), ticket, sibling, 1, spent))
                ticket += 1
        actions = np.empty(len(order), dtype=np.int64)
        for (agent, _), action in zip(order, decided, strict=True):
            actions[agent] = action
        yield actions


def _improved(tables: Tables, seen: Set[bytes], starts: Actions, rng: np.random.Generator) -> Actions | None:
    agents = len(tables.sizes)
    drawn = rng.integers(0, tables.sizes, size=(STARTS, agents))
    actions = np.concatenate([starts.reshape(-1, agents), drawn]).astype(np.int64)
    gains = tables.gains(actions)
    _ascend(tables, actions, gains, rng)
    best = np.argsort(-tables.values(actions, gains), kind="stable")[:REFINED]
    actions = actions[best]
    for row in actions:
        for _ in range(FORESTS):
            _improve_forest(tables, row, rng)
    gains = tables.gains(actions)
    return _best_new(tables, actions, gains, seen)


def _ascend(tables: Tables, actions: Actions, gains: Array, rng: np.random.Generator) -> None:
    """Lets the agents improve in turn, from all starts at once and in place, until none can."""
    for _ in range(SWEEPS):
        changed = False
        for agent in rng.permutation(len(tables.sizes)).tolist():
            found = gains[:, tables.part(agent)].argmax(axis=1)
            moved = np.flatnonzero(found != actions[:, agent])
            if len(moved):
                changed = True
                first = tables.offsets[agent]
                gains[moved] += (
                    tables.pairs[first + found[moved]] - tables.pairs[first + actions[moved, agent]]
                )
                actions[moved, agent] = found[moved]
        if not changed:
            return


def _improve_forest(tables: Tables, actions: Actions, rng: np.random.Generator) -> None:
    """Chooses a random forest of agents at once, exactly, given the others; in place."""
    members = _random_forest(tables, rng)
    fixed = [agent for agent in range(len(tables.sizes)) if agent not in members]
    single = tables.single + tables.pairs[actions[fixed] + tables.offsets[fixed]].sum(axis=0)
    order = _orders(tables, members)
    full = _messages(tables, order, single)
    for agent, parent in order:
        actions[agent] = full[agent][0 if parent is None else actions[parent]].argmax()


def _random_forest(tables: Tables, rng: np.random.Generator) -> set[int]:
    """Agents of which no two are joined by two ways, as many as a random order gives."""
    tree: dict[int, int] = {}
    for agent in rng.permutation(len(tables.sizes)).tolist():
        touched = [tree[near] for near in tables.neighbours[agent] if near in tree]
        if len(set(touched)) == len(touched):
            tree[agent] = agent
            for member, label in tree.items():
                if label in touched:
                    tree[member] = agent
    return set(tree)


def _best_new(tables: Tables, actions: Actions, gains: Array, seen: Set[bytes]) -> Actions | None:
    """The best of these joint actions and of those that differ in one agent's action, but for those seen."""
    owner = np.repeat(np.arange(len(tables.sizes)), tables.sizes)
    chosen = np.take_along_axis(gains, actions + tables.offsets, axis=1)
    values = tables.values(actions, gains)[:, None] + gains - chosen[:, owner]
    for flat in np.argsort(-values, axis=None, kind="stable").tolist():
        start, number = divmod(flat, values.shape[1])
        candidate = actions[start].copy()
        candidate[owner[number]] = number - tables.offsets[owner[number]]
        if key_of(candidate) not in seen:
            return candidate
    return None
