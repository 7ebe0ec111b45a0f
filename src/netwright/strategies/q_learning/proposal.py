"""From drawn tables to the proposed choice."""

from __future__ import annotations

from collections.abc import Container, Set

import numpy as np

from netwright.strategies.q_learning.joint_choice import (
    Tables,
    all_pairs,
    best_change,
    best_new,
    best_of_forest,
    enumerated,
    improved,
    key_of,
)
from netwright.strategies.q_learning.layout import Layout, Levels, consecutive
from netwright.strategies.q_learning.posterior import MOST_ENUMERATED, Draw, no_pairs
from netwright.strategies.q_learning.prior import Matrix

MOST_STEPS = 12
"""The most changes of one dimension at a time, once the corrections of the joint actions are known."""


def propose(
    layout: Layout, draw: Draw, far: bool, seen: Set[bytes], starts: Levels, rng: np.random.Generator
) -> Levels | None:
    """The levels (dimensions,) that maximise a draw and were not seen; None: all were.

    Args:
        layout: of the dimensions.
        draw: the drawn tables.
        far: whether dimensions that are not connected in the agents' graph share a table.
        seen: levels, as bytes.
        starts: where a search may begin, (rows, dimensions).
        rng: the source of random numbers.
    """
    if layout.choices <= MOST_ENUMERATED:
        return enumerated(dimension_tables(layout, draw), layout.levels_from(tuple(seen)), draw.whole)
    tables = node_tables(layout, draw, far)
    if draw.weights is None:
        known = _SeenActions(layout, seen)
        actions = best_of_forest(tables, known) if tables.is_forest else None
        if actions is None:
            actions = best_new(tables, improved(tables, layout.actions_of(starts), rng), known)
        return None if actions is None else layout.levels_at(actions[None])[0]
    best = layout.levels_at(improved(tables, layout.actions_of(starts), rng))
    return corrected(dimension_tables(layout, draw), draw, np.concatenate([best[:1], starts[:1]]), seen)


class _SeenActions(Container[bytes]):
    """The joint actions of nodes whose levels were seen, as bytes. Few are asked for, so none is computed before."""

    def __init__(self, layout: Layout, seen: Set[bytes]) -> None:
        self._layout, self._seen = layout, seen

    def __contains__(self, key: object) -> bool:
        assert isinstance(key, bytes)
        actions = np.frombuffer(key, dtype=np.int32).astype(np.int64)
        return key_of(self._layout.levels_at(actions[None])[0]) in self._seen


def dimension_tables(layout: Layout, draw: Draw) -> Tables:
    """The tables between all dimensions; there are none where all of them are 0.

    Args:
        layout: of the dimensions.
        draw: tables between dimensions.
    """
    edges = all_pairs(len(layout.sizes)) if draw.paired else ()
    return Tables(layout.sizes, draw.single, draw.pairs, edges)


def node_tables(layout: Layout, draw: Draw, far: bool) -> Tables:
    """The tables between the joint actions of nodes: sums of the tables between their dimensions.

    Where all of these are 0, nodes share no table: then the best joint action is the best one of each node.

    Args:
        layout: of the dimensions.
        draw: tables between dimensions.
        far: whether all pairs of nodes get a table, not only those with near dimensions.
    """
    sizes = tuple(len(node.actions) for node in layout.nodes)
    slices = consecutive(sizes)
    single = np.empty(sum(sizes))
    if not draw.paired:
        for node, actions in zip(layout.nodes, slices, strict=True):
            single[actions] = node.one_hot @ draw.single[node.levels]
        return Tables(sizes, single, no_pairs(len(single)), ())
    pairs = np.zeros((len(single), len(single)))
    edges = all_pairs(len(sizes)) if far else layout.node_links
    for node, actions in zip(layout.nodes, slices, strict=True):
        within = node.one_hot @ draw.pairs[node.levels, node.levels]
        single[actions] = node.one_hot @ draw.single[node.levels] + 0.5 * (within * node.one_hot).sum(axis=1)
    for i, j in edges:
        first, second = layout.nodes[i], layout.nodes[j]
        table = first.one_hot @ draw.pairs[first.levels, second.levels] @ second.one_hot.T
        pairs[slices[i], slices[j]] = table
        pairs[slices[j], slices[i]] = table.T
    return Tables(sizes, single, pairs, edges)


def corrected(tables: Tables, draw: Draw, starts: Levels, seen: Set[bytes]) -> Levels | None:
    """The best new levels near some that no change of one dimension improves; corrections are included.

    Args:
        tables: of the drawn model.
        draw: with the corrections.
        starts: levels to start from, (rows, dimensions).
        seen: joint actions, as bytes.
    """
    levels = starts.copy()
    gains = _corrected_gains(tables, draw, levels)[1]
    owner = np.repeat(np.arange(len(tables.sizes)), tables.sizes)
    for _ in range(MOST_STEPS):
        better = gains - np.take_along_axis(gains, levels + tables.offsets, axis=1)[:, owner]
        best = better.argmax(axis=1)
        rows = np.flatnonzero(better[np.arange(len(levels)), best] > 1e-12)
        if not len(rows):
            break
        levels[rows, owner[best[rows]]] = best[rows] - tables.offsets[owner[best[rows]]]
        gains[rows] = _corrected_gains(tables, draw, levels[rows])[1]
    return best_change(tables, levels, lambda rows: _corrected_gains(tables, draw, rows), seen)


def _corrected_gains(tables: Tables, draw: Draw, levels: Levels) -> tuple[Matrix, Matrix]:
    """Sums with the corrections (rows,), and what every level adds given the others, (rows, all levels)."""
    assert draw.weights is not None
    assert draw.alike is not None
    gains = tables.gains(levels)
    values = tables.values(levels, gains)
    for row, chosen in enumerate(levels + tables.offsets):
        factors = draw.alike[:, chosen]
        products = draw.weights * factors.prod(axis=1)
        values[row] += products.sum()
        others = products[:, None] / factors
        for dimension, part in enumerate(tables.action_slices):
            gains[row, part] += others[:, dimension] @ draw.alike[:, part]
    return values, gains
