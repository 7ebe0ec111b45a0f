"""The joint action of all agents that maximises the sum of their tables and was not tried yet.

It is exact where there are few joint actions (each is looked at), and on chains and trees (max-sum lists joint actions
from the best downwards until one is new). On other graphs the agents improve in turn from many starts at once. Then
whole forests of agents are improved exactly, given the other agents.

C. Guestrin, D. Koller, R. Parr: "Multiagent planning with factored MDPs", NIPS 2001; C. Guestrin, M. Lagoudakis,
R. Parr: "Coordinated reinforcement learning", ICML 2002; J. R. Kok, N. Vlassis: "Collaborative multiagent
reinforcement learning by payoff propagation", JMLR 7 (2006), 1789-1828.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Container, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from netwright.strategies.q_learning.layout import consecutive

Array = NDArray[np.float64]
Actions = NDArray[np.int64]
Order = list[tuple[int, int | None]]

DRAWN_STARTS = 6
MOST_SWEEPS = 30
REFINED = 2
FORESTS = 2
PASSED = 16
"""If all joint actions were seen, this many of them are the next starting points."""

MOST_FALLING = 200
"""At most this many seen joint actions of a tree are skipped before neighbours are looked at."""


@dataclass(frozen=True, eq=False)
class Tables:
    """The tables that the agents share.

    ``sizes``: number of actions of each agent; the actions of all agents are numbered consecutively. ``single``:
    (actions,). ``pairs``: (actions, actions), symmetric, 0 between actions of the same agent and where agents share no
    table. ``edges``: the pairs of agents (i, j), i < j, that share one.
    """

    sizes: tuple[int, ...]
    single: Array
    pairs: Array
    edges: tuple[tuple[int, int], ...]

    @cached_property
    def offsets(self) -> Actions:
        """The number of each agent's first action."""
        return np.cumsum([0, *self.sizes], dtype=np.int64)[:-1]

    @cached_property
    def action_slices(self) -> tuple[slice, ...]:
        """The numbers of each agent's actions, as slices."""
        return consecutive(self.sizes)

    @cached_property
    def neighbours(self) -> tuple[tuple[int, ...], ...]:
        """The neighbours of each agent."""
        return _neighbours(len(self.sizes), self.edges)

    @cached_property
    def is_forest(self) -> bool:
        """Whether the graph of the agents has no cycle."""
        return _is_forest(len(self.sizes), self.edges)

    def gains(self, actions: Actions) -> Array:
        """What every action adds, given the actions of the other agents (rows, agents): shape (rows, all actions)."""
        gains = np.repeat(self.single[None], len(actions), axis=0)
        for agent in range(len(self.sizes)):
            gains += self.pairs[actions[:, agent] + self.offsets[agent]]
        return gains

    def values(self, actions: Actions, gains: Array) -> Array:
        """The sum of the tables for joint actions (rows, agents), given their gains: shape (rows,)."""
        chosen = actions + self.offsets
        own = self.single[chosen] + np.take_along_axis(gains, chosen, axis=1)
        total: Array = 0.5 * own.sum(axis=1)  # the gains count every pair twice
        return total


def key_of(actions: Actions) -> bytes:
    """A joint action as bytes, for use in sets."""
    return actions.astype(np.int32).tobytes()


def keys_of(actions: Actions) -> set[bytes]:
    """The keys of joint actions (rows, agents)."""
    packed = np.ascontiguousarray(actions, dtype=np.int32)
    return set(packed.view(f"V{packed.itemsize * packed.shape[1]}").ravel().tolist())


def enumerated(tables: Tables, seen: Actions, more: Array | None = None) -> Actions | None:
    """The best of all joint actions that were not seen; None if all were.

    Args:
        tables: the tables to maximise.
        seen: (rows, agents).
        more: what to add to the sum of the tables for every joint action, of shape ``sizes``.
    """
    total = np.zeros(tables.sizes) if more is None else more.copy()
    agents = range(len(tables.sizes))
    for i in agents:
        total += tables.single[tables.action_slices[i]].reshape([-1 if k == i else 1 for k in agents])
    for i, j in tables.edges:
        table = tables.pairs[tables.action_slices[i], tables.action_slices[j]]
        total += table.reshape([tables.sizes[k] if k in (i, j) else 1 for k in agents])
    flat = total.ravel()
    flat[np.ravel_multi_index(tuple(seen.T), tables.sizes)] = -np.inf
    best = int(flat.argmax())
    if flat[best] == -np.inf:
        return None
    return np.array(np.unravel_index(best, tables.sizes), dtype=np.int64)


def best_of_forest(tables: Tables, seen: Container[bytes]) -> Actions | None:
    """The best joint action that was not seen, if the agents' graph is a forest.

    None if it is not among the first `MOST_FALLING`.
    """
    for actions in islice(falling(tables), MOST_FALLING):
        if key_of(actions) not in seen:
            return actions
    return None


def falling(tables: Tables) -> Iterator[Actions]:
    """Every joint action of a forest of agents, from the best downwards.

    The sum of a joint action is the maximum minus what each agent's action loses against the best one given its
    parent's action. This is a best-first search with an exact bound. A group of joint actions is given by the actions
    of its first few agents; the other agents follow with their best actions. Its siblings differ in the last of those
    few agents.
    """
    order = _walk(tables, set(range(len(tables.sizes))))
    sums = _max_sums(tables, order, tables.single)
    position = {agent: i for i, (agent, _) in enumerate(order)}
    above = [None if parent is None else position[parent] for _, parent in order]
    ranked = [np.argsort(-sums[agent], axis=1, kind="stable") for agent, _ in order]
    in_order = [sums[agent] for agent, _ in order]

    def row(decided: Sequence[int], depth: int) -> int:
        parent = above[depth]
        return 0 if parent is None else decided[parent]

    heap: list[tuple[float, tuple[int, ...], int, float]] = [(0.0, (), -1, 0.0)]
    while heap:
        spent, decided, rank, before = heapq.heappop(heap)
        last = len(decided) - 1
        if last >= 0:
            _push(heap, in_order, ranked, decided, last, row(decided, last), rank + 1, before)
        for depth in range(last + 1, len(order)):
            at = row(decided, depth)
            decided = (*decided, int(ranked[depth][at, 0]))
            _push(heap, in_order, ranked, decided, depth, at, 1, spent)
        actions = np.empty(len(order), dtype=np.int64)
        actions[[agent for agent, _ in order]] = decided
        yield actions


def _push(
    heap: list[tuple[float, tuple[int, ...], int, float]],
    sums: list[Array],
    ranked: list[Actions],
    decided: tuple[int, ...],
    depth: int,
    row: int,
    rank: int,
    before: float,
) -> None:
    """Queue the group in which the last decided agent takes its rank-th best action."""
    if rank < ranked[depth].shape[1]:
        action = int(ranked[depth][row, rank])
        lost = sums[depth][row, ranked[depth][row, 0]] - sums[depth][row, action]
        heapq.heappush(heap, (before + float(lost), (*decided[:-1], action), rank, before))


def _walk(tables: Tables, members: Set[int]) -> Order:
    """The members of a forest, each after its parent: (agent, parent)."""
    order: Order = []
    reached: set[int] = set()
    for root in sorted(members):
        stack: Order = [] if root in reached else [(root, None)]
        while stack:
            agent, parent = stack.pop()
            reached.add(agent)
            order.append((agent, parent))
            stack += [
                (near, agent) for near in tables.neighbours[agent] if near in members and near != parent
            ]
    return order


def _max_sums(tables: Tables, order: Order, single: Array) -> dict[int, Array]:
    """Max-sum from the leaves upwards: for each agent the best sum of its subtree, (parent's actions, own actions).

    For a root: (1, own actions).
    """
    below = {agent: single[tables.action_slices[agent]].copy() for agent, _ in order}
    sums: dict[int, Array] = {}
    for agent, parent in reversed(order):
        if parent is None:
            sums[agent] = below[agent][None]
        else:
            sums[agent] = (
                tables.pairs[tables.action_slices[parent], tables.action_slices[agent]] + below[agent]
            )
            below[parent] += sums[agent].max(axis=1)
    return sums


def improved(tables: Tables, starts: Actions, rng: np.random.Generator) -> Actions:
    """Joint actions (rows, agents) that no change of one agent, or of one tried forest of agents, improves.

    Args:
        tables: the tables to maximise.
        starts: where to begin, (rows, agents); random starts are added.
        rng: draws them.
    """
    drawn = rng.integers(0, tables.sizes, size=(DRAWN_STARTS, len(tables.sizes)))
    actions = np.concatenate([starts, drawn])
    gains = tables.gains(actions)
    _ascend(tables, actions, gains, rng)
    order = np.argsort(-tables.values(actions, gains), kind="stable")
    distinct = list({key_of(actions[row]): row for row in order[::-1]}.values())[::-1]
    best = actions[distinct[:REFINED]]
    for row in best:
        for _ in range(FORESTS):
            _improve_forest(tables, row, rng)
    gains = tables.gains(best)
    _ascend(tables, best, gains, rng)
    ordered: Actions = best[np.argsort(-tables.values(best, gains), kind="stable")]
    return ordered


def _ascend(tables: Tables, actions: Actions, gains: Array, rng: np.random.Generator) -> None:
    """Let the agents improve in turn, in every row at once and in place, until no agent can."""
    for _ in range(MOST_SWEEPS):
        changed = False
        for agent in rng.permutation(len(tables.sizes)).tolist():
            chosen = gains[:, tables.action_slices[agent]].argmax(axis=1)
            moved = (chosen != actions[:, agent]).nonzero()[0]
            if len(moved):
                changed = True
                rows = chosen[moved] + tables.offsets[agent], actions[moved, agent] + tables.offsets[agent]
                gains[moved] += tables.pairs[rows[0]] - tables.pairs[rows[1]]
                actions[moved, agent] = chosen[moved]
        if not changed:
            return


def _improve_forest(tables: Tables, actions: Actions, rng: np.random.Generator) -> None:
    """Choose the actions of a random forest of agents exactly, given the other agents; in place."""
    members = _random_forest(tables.neighbours, rng.permutation(len(tables.sizes)).tolist())
    others = [agent for agent in range(len(tables.sizes)) if agent not in members]
    single = tables.single + tables.pairs[actions[others] + tables.offsets[others]].sum(axis=0)
    order = _walk(tables, members)
    sums = _max_sums(tables, order, single)
    for agent, parent in order:
        actions[agent] = sums[agent][0 if parent is None else actions[parent]].argmax()


@lru_cache(maxsize=16)
def _neighbours(agents: int, edges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, ...], ...]:
    joined: list[list[int]] = [[] for _ in range(agents)]
    for i, j in edges:
        joined[i].append(j)
        joined[j].append(i)
    return tuple(tuple(sorted(near)) for near in joined)


@lru_cache(maxsize=16)
def _is_forest(agents: int, edges: tuple[tuple[int, int], ...]) -> bool:
    return len(_random_forest(_neighbours(agents, edges), range(agents))) == agents


def _random_forest(neighbours: Sequence[Sequence[int]], order: Sequence[int]) -> set[int]:
    """Agents whose graph has no cycle. In the given order each one is added that makes none."""
    trees: dict[int, list[int]] = {}  # of each agent that was added, all agents of its tree
    for agent in order:
        touched = [trees[near] for near in neighbours[agent] if near in trees]
        if len({id(tree) for tree in touched}) == len(touched):
            joined = [agent, *(member for tree in touched for member in tree)]
            for member in joined:
                trees[member] = joined
    return set(trees)


def best_new(tables: Tables, actions: Actions, seen: Container[bytes]) -> Actions | None:
    """The best unseen joint action among these (rows, agents) and those that differ from one of them in one agent.

    Args:
        tables: values of single actions and of pairs.
        actions: joint actions to start from.
        seen: joint actions, as bytes.
    """

    def score(rows: Actions) -> tuple[Array, Array]:
        gains = tables.gains(rows)
        return tables.values(rows, gains), gains

    return best_change(tables, actions, score, seen)


def best_change(
    tables: Tables, actions: Actions, score: Callable[[Actions], tuple[Array, Array]], seen: Container[bytes]
) -> Actions | None:
    """Like `best_new`, for any values (rows,) and gains (rows, all actions) of joint actions.

    If all of them were seen, the best ones of them are the next starting points, and so on.

    Args:
        tables: give the sizes and the neighbours.
        actions: joint actions to start from.
        score: values and gains of joint actions.
        seen: joint actions, as bytes.
    """
    owner = np.repeat(np.arange(len(tables.sizes)), tables.sizes)
    visited = keys_of(actions)
    while len(actions):
        values, gains = score(actions)
        chosen = np.take_along_axis(gains, actions + tables.offsets, axis=1)
        changed = values[:, None] + gains - chosen[:, owner]
        passed: list[Actions] = []
        for flat in np.argsort(-changed, axis=None, kind="stable").tolist():
            row, number = divmod(flat, changed.shape[1])
            candidate: Actions = actions[row].copy()
            candidate[owner[number]] = number - tables.offsets[owner[number]]
            key = key_of(candidate)
            if key not in seen:
                return candidate
            if key not in visited and len(passed) < PASSED:
                visited.add(key)
                passed.append(candidate)
        actions = np.array(passed, dtype=np.int64).reshape(-1, len(tables.sizes))
    return None


def all_pairs(agents: int) -> tuple[tuple[int, int], ...]:
    """Every pair of agents.

    >>> all_pairs(3)
    ((0, 1), (0, 2), (1, 2))
    """
    return tuple(combinations(range(agents), 2))
