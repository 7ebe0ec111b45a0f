"""Where the cells of the tables lie, and what a state keeps of them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.errors import SettingsError
from netwright.strategies.q_learning.tables import CHANGES_KEPT, TableLayout, Tables

COUNTS = [3, 2, 4, 5, 1]
EDGES = [(0, 1), (0, 2), (1, 2), (2, 4)]  # agent 3 is connected to none


def test_every_table_has_cells_of_its_own() -> None:
    layout = TableLayout(COUNTS, EDGES)
    assert layout.size == 6 + 12 + 8 + 4 + 5
    assert list(zip(layout.sources, layout.targets, strict=True)) == [*EDGES, (layout.start, 3)]
    values = np.arange(layout.size, dtype=np.float32)
    tables = [layout.table(values, edge) for edge in range(5)]
    assert [table.shape for table in tables] == [(3, 2), (3, 4), (2, 4), (4, 1), (1, 5)]
    assert sorted(np.concatenate([table.ravel() for table in tables])) == list(range(layout.size))


def test_a_set_of_actions_stands_in_one_cell_a_table() -> None:
    layout = TableLayout(COUNTS, EDGES)
    values = np.random.default_rng(0).normal(size=layout.size).astype(np.float32)
    for actions in product(*map(range, COUNTS)):
        chosen = np.array([*actions, 0])
        expected = [
            layout.table(values, edge)[chosen[i], chosen[j]]
            for edge, (i, j) in enumerate(zip(layout.sources, layout.targets, strict=True))
        ]
        np.testing.assert_array_equal(values[layout.cells(chosen)], expected)
        rows = [layout.table(values, 1)[actions[0]], layout.table(values, 2)[actions[1]]]
        np.testing.assert_array_equal(layout.rows_into(values, 2, chosen), rows)


def test_the_next_value_is_the_greatest_of_the_rows_that_an_agent_leads_to() -> None:
    layout = TableLayout(COUNTS, EDGES)
    values = np.random.default_rng(1).normal(size=layout.size).astype(np.float32)
    layout.table(values, 2)[1, 3] = np.nan
    for actions in product(*map(range, COUNTS)):
        rows = {
            0: [layout.table(values, 0)[actions[0]], layout.table(values, 1)[actions[0]]],
            1: [layout.table(values, 2)[actions[1]]],
            2: [layout.table(values, 3)[actions[2]]],
        }
        expected = [max(map(np.max, rows[agent])) if agent in rows else np.nan for agent in range(5)]
        if actions[1] == 1:
            expected[1] = np.nan
        np.testing.assert_array_equal(layout.next_values(values, np.array([*actions, 0])), expected)


@given(
    size=st.integers(1, 200),
    changes=st.lists(st.lists(st.tuples(st.integers(0, 199), st.floats(-9, 9, width=32)), max_size=5)),
)
def test_changes_are_those_of_an_ordinary_array_and_older_tables_stay(
    size: int, changes: list[list[tuple[int, float]]]
) -> None:
    plain = np.full(size, np.nan, np.float32)
    tables = Tables(plain.copy())
    kept = [(tables, plain.copy())]
    for change in changes:
        cells = np.array([cell % size for cell, _ in change], dtype=np.intp)
        values = np.array([value for _, value in change], dtype=np.float32)
        tables = tables.changed(cells, values)
        for cell, value in zip(cells, values, strict=True):
            plain[cell] = value
        kept.append((tables, plain.copy()))
    for tables, expected in kept:
        np.testing.assert_array_equal(tables.values(), expected)


def test_a_state_shares_its_cells_with_the_states_before_it() -> None:
    tables = Tables(np.zeros(1600, np.float32))
    states = [tables := tables.changed(np.arange(5), np.full(5, i, np.float32)) for i in range(100)]
    bases = {id(state.base): state.base.nbytes for state in states}
    assert len(bases) < 8
    assert max(sum(len(cells) for cells, _ in s.changes) for s in states) <= CHANGES_KEPT * 1600


def test_tables_of_too_many_cells_are_refused() -> None:
    with pytest.raises(SettingsError, match="25,000,000"):
        TableLayout([5000, 5000], [(0, 1)])
