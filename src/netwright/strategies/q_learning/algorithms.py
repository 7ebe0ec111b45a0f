"""Algorithms 1 to 3 of the published multi-agent Q-learning, over the tables of one layout.

Comments give the line of the paper's algorithm. Section VI-D says what happens where an agent feeds several agents or
is fed by several. `published` lists the choices where the paper says nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netwright.strategies.q_learning.tables import Indices, TableLayout, Values

LARGEST = float(np.finfo(np.float32).max)
"""Keeps rewards and their sums finite in the tables."""


def explore(layout: TableLayout, values: Values, rng: np.random.Generator) -> list[int]:
    """Algorithm 1: an action for each agent, so that as many cells of its tables as possible are unvisited.

    Args:
        layout: where the tables are.
        values: all cells, NaN where unvisited, shape (cells,).
        rng: one random number per agent is drawn from it.
    """
    actions = np.zeros(layout.start + 1, np.intp)
    drawn = rng.random(layout.start).tolist()
    for agent, position in enumerate(drawn):
        if layout.incoming[agent]:
            unvisited = np.isnan(layout.rows_into(values, agent, actions)).sum(axis=0)  # line 5
            candidates = np.flatnonzero(unvisited == unvisited.max())
            actions[agent] = candidates[int(position * len(candidates))]
        else:
            actions[agent] = _explore_first(layout, values, agent, position)
    chosen: list[int] = actions[:-1].tolist()
    return chosen


def _explore_first(layout: TableLayout, values: Values, agent: int, position: float) -> int:
    """Line 3, for the agent that acts first: draws uniformly among the unvisited combinations with the agents it feeds.

    The action is drawn in proportion to the number of combinations that it leaves to the other agents, which draw
    theirs later.

    Args:
        layout: where the tables are.
        values: all cells, NaN where unvisited, shape (cells,).
        agent: the agent.
        position: a random number from [0, 1).
    """
    unvisited = np.array(
        [np.isnan(layout.table(values, edge)).sum(axis=1) for edge in layout.outgoing[agent]]
    )
    tables = (unvisited > 0).sum(axis=0)
    combinations = np.log(np.maximum(unvisited, 1)).sum(axis=0)
    combinations[tables < tables.max()] = -np.inf
    weights = np.exp(combinations - combinations.max())
    cumulative: NDArray[np.float64] = weights.cumsum()
    return int(np.searchsorted(cumulative, position * cumulative[-1], side="right"))


def exploit(layout: TableLayout, values: Values) -> list[int]:
    """Algorithm 3: for each agent the action with the greatest value in its tables.

    Args:
        layout: where the tables are.
        values: all cells, NaN where unvisited, shape (cells,).
    """
    actions = np.zeros(layout.start + 1, np.intp)
    for agent in range(layout.start):
        if layout.incoming[agent]:
            actions[agent] = _most_valued(_as_zero(layout.rows_into(values, agent, actions)))
        else:
            tables = [_as_zero(layout.table(values, edge)) for edge in layout.outgoing[agent]]
            actions[agent] = np.max([table.max(axis=1) for table in tables], axis=0).argmax()  # line 3
    chosen: list[int] = actions[:-1].tolist()
    return chosen


def _most_valued(rows: Values) -> int:
    """Line 5. For several tables: the action that is best in most of them, else the one with the highest average.

    Args:
        rows: one row per table, shape (tables, actions).
    """
    if len(rows) > 1:
        maximised = (rows == rows.max(axis=1, keepdims=True)).sum(axis=0)
        winners = np.flatnonzero(maximised == maximised.max())
        if len(winners) == 1:
            return int(winners[0])
        return int(rows.mean(axis=0).argmax())
    return int(rows[0].argmax())


def _as_zero(values: Values) -> Values:
    """The values with 0 in unvisited cells, as at the start of the paper's algorithm."""
    filled: Values = np.where(np.isnan(values), np.float32(0), values)
    return filled


def update(
    layout: TableLayout, values: Values, actions: Indices, alpha: float, reward: float, gamma: float
) -> Values:
    """Algorithm 2 for all tables at once. Each learns from the next tables as they were before the episode.

    Args:
        layout: where the tables are.
        values: all cells, NaN where unvisited, shape (cells,).
        actions: the action of each agent, and the 0 of the start, shape (agents + 1,).
        alpha: the learning rate.
        reward: of the episode.
        gamma: discount of the next table's value.

    Returns:
        The new value of each table's cell, in the order of `TableLayout.cells`, shape (tables,).
    """
    old = _as_zero(values[layout.cells(actions)]).astype(np.float64)
    following = layout.next_values(values, actions)[layout.targets].astype(np.float64)
    new = np.where(
        np.isnan(following),
        old + alpha * reward,  # lines 3 and 6
        (1 - alpha) * old + alpha * (reward + gamma * following),  # line 8
    )
    return new.clip(-LARGEST, LARGEST).astype(np.float32)
