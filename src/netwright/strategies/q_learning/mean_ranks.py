"""What coordinated agents have observed of each other, for the report."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netwright.strategies.base import Value
from netwright.strategies.q_learning.layout import Layout, Levels
from netwright.strategies.q_learning.tables import QTable

MOST_CELLS = 250_000
"""The most cells of one table: larger tables are left out."""


def mean_ranks(layout: Layout, levels: Levels, ranks: NDArray[np.float64]) -> tuple[QTable, ...]:
    """For each pair of agents that share tables, the mean rank of the candidates with each pair of actions.

    The agents themselves learn tables of hyperparameters. Those lie between these means and what neighbouring values
    suggest.

    Args:
        layout: of the agents.
        levels: of the candidates, (candidates, dimensions).
        ranks: of their rewards, (candidates,).
    """
    actions = [_actions(layout, agent, levels) for agent in range(len(layout.names))]
    tables = []
    for row, column in layout.links:
        shape = _count(layout, row), _count(layout, column)
        if shape[0] * shape[1] > MOST_CELLS:
            continue
        cells = actions[row] * shape[1] + actions[column]
        seen = np.bincount(cells, minlength=shape[0] * shape[1])
        summed = np.bincount(cells, ranks, minlength=shape[0] * shape[1])
        values = np.where(seen > 0, summed / np.maximum(seen, 1), np.nan).reshape(shape)
        tables.append(
            QTable(
                layout.names[row],
                layout.names[column],
                _dimensions(layout, row),
                _dimensions(layout, column),
                _values(layout, row),
                _values(layout, column),
                values,
            )
        )
    return tuple(tables)


def _actions(layout: Layout, agent: int, levels: Levels) -> NDArray[np.int64]:
    """The number of an agent's joint action in each candidate; the last dimension changes fastest."""
    numbers = np.zeros(len(levels), dtype=np.int64)
    for dimension in range(layout.members[agent].start, layout.members[agent].stop):
        numbers = numbers * layout.sizes[dimension] + levels[:, dimension]
    return numbers


def _count(layout: Layout, agent: int) -> int:
    return int(np.prod(layout.sizes[layout.members[agent]]))


def _dimensions(layout: Layout, agent: int) -> tuple[str, ...]:
    return tuple(axis.dimension.name for axis in layout.axes[layout.members[agent]])


def _values(layout: Layout, agent: int) -> tuple[tuple[Value, ...], ...]:
    """The values of each joint action, in the order of `_actions`."""
    axes = layout.axes[layout.members[agent]]
    combinations = np.ndindex(*(len(axis) for axis in axes))
    return tuple(
        tuple(axis.values[p] for axis, p in zip(axes, levels, strict=True)) for levels in combinations
    )
