"""What the agents learned together, for the report: a table for each pair of connected agents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from netwright.strategies.base import Value
from netwright.strategies.pictures import AgentTable, AgentTables, StrategySection
from netwright.strategies.q_learning.tables import QTable

AGENTS, TITLE = "agents", "Layers and agents"
"""The section that also contains the choices of each layer."""

AFTER_CHOICES = 2

LETTERS = {"kernels": "", "units": "", "kernel_size": "k", "stride": "s", "pool_size": "p"}


def agent_sections(
    tables: Sequence[QTable], best: Mapping[str, Value] | None, value_name: str
) -> tuple[StrategySection, ...]:
    """The section about agents; empty if they have no tables.

    Args:
        tables: of pairs of agents.
        best: the choice of the best trial.
        value_name: what the tables contain, in words.
    """
    if not tables:
        return ()
    pictures = AgentTables(tuple(_agent_table(table, best or {}) for table in tables), value_name)
    return (StrategySection(AGENTS, TITLE, TITLE, pictures=(pictures,), order=AFTER_CHOICES),)


def action_text(values: Mapping[str, Any]) -> str:
    """One agent's values as short text: ``64 k3 s1`` for kernels, kernel size and stride.

    A pooling size is ``p2``; kernels and units are plain numbers; any other value is written with its name.
    """
    return " ".join(f"{LETTERS.get(name, f'{name} ')}{value}" for name, value in values.items())


def _agent_table(table: QTable, best: Mapping[str, Value]) -> AgentTable:
    row = _index(table.rows, table.row_names, best)
    column = _index(table.columns, table.column_names, best)
    return AgentTable(
        row_agent=table.source or "start",
        column_agent=table.target,
        row_actions=tuple(_text(table.row_names, values) for values in table.rows),
        column_actions=tuple(_text(table.column_names, values) for values in table.columns),
        values=np.asarray(table.values, dtype=np.float64),
        chosen=None if row is None or column is None else (row, column),
    )


def _index(
    actions: Sequence[tuple[Value, ...]], names: Sequence[str], choice: Mapping[str, Value]
) -> int | None:
    wanted = tuple(choice.get(name) for name in names)
    return list(actions).index(wanted) if wanted in actions else None


def _text(names: Sequence[str], values: Sequence[Value]) -> str:
    return action_text({name.rpartition(".")[2]: value for name, value in zip(names, values, strict=True)})
