"""The Q-tables of connected agents in one flat array. Older states stay unchanged.

A cell that no episode has visited is NaN, so it differs from a visited cell that holds 0. It counts as the zero that
the paper starts from. So four bytes per cell are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from netwright.errors import SettingsError
from netwright.strategies.base import Value

Values = NDArray[np.float32]
Indices = NDArray[np.intp]

MOST_CELLS = 20_000_000
"""The most cells of all tables together (80 MB)."""

CHANGES_KEPT = 1 / 16
"""Changes are merged into a new array when they reach this share of the cells."""


class QTable(NamedTuple):
    """The table that two agents share, for inspection.

    ``values``: shape (actions of the source, actions of the target), NaN where unvisited. ``rows`` and
    ``columns``: the values of each action, in the order of ``row_names`` and ``column_names`` (dimensions).
    An agent without connections has the source "" with a single row.
    """

    source: str
    target: str
    row_names: tuple[str, ...]
    column_names: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    columns: tuple[tuple[Value, ...], ...]
    values: Values | NDArray[np.float64]


class TableLayout:
    """Where the tables are in the flat array.

    The table of an edge (i, j) has a row for each action of agent i and a column for each action of agent j
    (section V-D). An agent without an edge gets a table of one row, for the initial state in which "the first
    agent in the sequence is always considered to remain" (section V-C). Its source is `start`, whose only action is 0.

    Args:
        counts: number of actions of each agent, in topological order.
        edges: pairs (i, j), i < j.

    Raises:
        SettingsError: the tables would hold more than `MOST_CELLS` cells.
    """

    def __init__(self, counts: Sequence[int], edges: Sequence[tuple[int, int]]) -> None:
        self.start = len(counts)
        alone = sorted(set(range(len(counts))) - {agent for edge in edges for agent in edge})
        pairs = sorted([*edges, *((self.start, agent) for agent in alone)])
        actions = [*counts, 1]
        sizes = [actions[i] * actions[j] for i, j in pairs]
        self.size = sum(sizes)
        if self.size > MOST_CELLS:
            raise SettingsError(
                f"the tables of the agents would hold {self.size:,} cells, more than {MOST_CELLS:,}: give each "
                "agent fewer dimensions, or set fewer levels"
            )
        self.counts: Indices = np.array(actions, dtype=np.intp)
        self.sources: Indices = np.array([i for i, _ in pairs], dtype=np.intp)
        self.targets: Indices = np.array([j for _, j in pairs], dtype=np.intp)
        self.starts: Indices = np.cumsum([0, *sizes], dtype=np.intp)[:-1]
        self.incoming = [np.flatnonzero(self.targets == agent).tolist() for agent in range(self.start)]
        self.outgoing = [np.flatnonzero(self.sources == agent).tolist() for agent in range(self.start)]
        self._columns = [np.arange(count) for count in actions]
        self._into = [
            (self.starts[edges], self.sources[edges], self._columns[agent])
            for agent, edges in enumerate(self.incoming)
        ]
        self._set_up_next_rows()

    def _set_up_next_rows(self) -> None:
        """For each agent that feeds others: the row of action 0 in its tables, and the step to the next row."""
        self._feeding = [agent for agent in range(self.start) if len(self.outgoing[agent])]
        if self._feeding:
            edges = np.concatenate([self.outgoing[agent] for agent in self._feeding])
            widths = self.counts[self.targets[edges]]
            self._row_cells = np.concatenate(
                [self.starts[edge] + self._columns[self.targets[edge]] for edge in edges]
            )
            self._row_steps = np.repeat(widths, widths)
            self._row_agents = np.repeat(self.sources[edges], widths)
            self._row_starts = np.searchsorted(self._row_agents, self._feeding)

    def table(self, values: Values, edge: int) -> Values:
        """One table, as a view of shape (actions of its source, actions of its target)."""
        start = self.starts[edge]
        shape = self.counts[self.sources[edge]], self.counts[self.targets[edge]]
        return values[start : start + shape[0] * shape[1]].reshape(shape)

    def cells(self, actions: Indices) -> Indices:
        """The cell of every table that belongs to a set of actions, shape (tables,).

        Args:
            actions: the action of each agent, and the 0 of `start`, shape (agents + 1,).
        """
        cells: Indices = (
            self.starts + actions[self.sources] * self.counts[self.targets] + actions[self.targets]
        )
        return cells

    def rows_into(self, values: Values, agent: int, actions: Indices) -> Values:
        """The row of each table between an agent and those that feed it, shape (tables, its actions).

        Args:
            values: of all cells.
            agent: its index.
            actions: of all agents.
        """
        starts, sources, columns = self._into[agent]
        first = starts + actions[sources] * len(columns)
        if len(first) == 1:  # a view costs a tenth of a copy
            return values[first[0] : first[0] + len(columns)][None]
        rows: Values = values[first[:, None] + columns]
        return rows

    def next_values(self, values: Values, actions: Indices) -> Values:
        """max Qt[a*, .] over the tables that each agent shares with those it feeds, shape (agents,).

        NaN where one of these cells is unvisited (the condition of Algorithm 2, line 5) and for an agent that
        feeds none (line 2).
        """
        best = np.full(self.start, np.nan, np.float32)
        if self._feeding:
            rows = values[self._row_cells + actions[self._row_agents] * self._row_steps]
            best[self._feeding] = np.maximum.reduceat(rows, self._row_starts)
        return best


@dataclass(frozen=True, eq=False)
class Tables:
    """The cells of all tables; immutable.

    ``base``: all cells, shape (cells,), shared by many states. ``changes``: cells and values set since then, the latest
    last. One episode sets one cell per table, so a new state needs only a few bytes per table.
    """

    base: Values
    changes: tuple[tuple[NDArray[np.int32], Values], ...] = ()

    def values(self) -> Values:
        """A copy of all cells, shape (cells,)."""
        values = self.base.copy()
        if self.changes:
            cells = np.concatenate([cells for cells, _ in self.changes])
            values[cells] = np.concatenate([changed for _, changed in self.changes])
        return values

    def changed(self, cells: Indices, values: Values) -> Tables:
        """The tables with new values in some cells."""
        tables = Tables(self.base, (*self.changes, (cells.astype(np.int32), values)))
        if len(tables.changes) * len(cells) > CHANGES_KEPT * self.base.size:
            return Tables(tables.values())
        return tables
