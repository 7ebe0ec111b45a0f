"""What agents learned and chose in a run, as the report shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna

from netwright.report.agents import action_text
from netwright.report.content import AgentTable, LayerChoices
from netwright.spaces.base import Layered, Space
from netwright.strategies.sampler import StrategySampler
from netwright.study.records import TrialRecord


def agent_tables(study: optuna.Study, best: TrialRecord | None) -> tuple[AgentTable, ...]:
    """What each pair of connected agents has learned; nothing where the strategy has no such tables."""
    sampler = study.sampler
    if not isinstance(sampler, StrategySampler) or not hasattr(sampler.strategy, "tables"):
        return ()
    choice = {} if best is None else best.choice
    found = []
    for table in sampler.strategy.tables(sampler.state(study)):
        rows, columns = list(table.rows), list(table.columns)
        row, column = (
            _place(actions, names, choice)
            for actions, names in ((rows, table.row_names), (columns, table.column_names))
        )
        found.append(
            AgentTable(
                row_agent=table.source or "start",
                column_agent=table.target,
                row_actions=tuple(_text(table.row_names, values) for values in rows),
                column_actions=tuple(_text(table.column_names, values) for values in columns),
                values=np.asarray(table.values, dtype=np.float64),
                chosen=None if row is None or column is None else (row, column),
            )
        )
    return tuple(found)


def layer_choices(space: Space, records: Sequence[TrialRecord]) -> LayerChoices | None:
    """What each layer was given in each trial; None where the space does not tune layers."""
    if not isinstance(space, Layered):
        return None
    graph = space.agent_graph()
    shown = [record for record in records if record.choice]
    values: dict[str, Any] = {}
    for layer, dimensions in enumerate(graph.agents):
        for dimension in dimensions:
            rows = values.setdefault(_kind(dimension), np.full((len(graph.agents), len(shown)), np.nan))
            rows[layer] = [float(record.choice.get(dimension, np.nan)) for record in shown]
    trials = tuple(record.number for record in shown)
    named = {name.replace("_", " "): rows for name, rows in values.items()}
    return LayerChoices(layers=graph.names, trials=trials, values=named)


def _place(actions: Sequence[tuple[Any, ...]], names: Sequence[str], choice: Mapping[str, Any]) -> int | None:
    wanted = tuple(choice.get(name) for name in names)
    return actions.index(wanted) if wanted in actions else None


def _text(names: Sequence[str], values: Sequence[Any]) -> str:
    return action_text({_kind(name): value for name, value in zip(names, values, strict=True)})


def _kind(dimension: str) -> str:
    return dimension.rpartition(".")[2]
