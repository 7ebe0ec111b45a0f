"""What a strategy learned and chose in a run, as the report shows it: agents' tables, a policy's path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna

from netwright.report.agents import action_text
from netwright.report.content import AgentTable, LayerChoices, NetworkTable, PolicyPath
from netwright.spaces.base import Layered, Space, Tabled
from netwright.strategies.policy_gradient import (
    PolicyGradient,
    PooledPolicyGradient,
    choice_of,
    pooled,
    published,
)
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


def network_table(space: Space, best: TrialRecord | None, classes: int) -> NetworkTable | None:
    """The best trial layer by layer; None where the space does not tell networks so."""
    if best is None or not isinstance(space, Tabled):
        return None
    return NetworkTable(space.table_columns, space.table(best.choice, classes))


def policy_path(study: optuna.Study) -> PolicyPath | None:
    """How the policy moved; None where the strategy has none, or none yet."""
    state = _policy_state(study)
    if state is None or state.policy is None:
        return None
    names = [ladder.dimension.name for ladder in state.ladders]
    kinds = list(dict.fromkeys(map(_sort, names)))
    order = sorted(range(len(names)), key=lambda place: kinds.index(_sort(names[place])))
    policies = np.array([*(finished.policy for finished in state.rounds), state.policy])[:, order]
    ladders = [state.ladders[place] for place in order]
    highest = np.array([max(len(ladder.values) - 1, 1) for ladder in ladders])
    values = tuple(
        tuple(str(ladder.values[level]) for ladder, level in zip(ladders, row, strict=True))
        for row in policies
    )
    last = state.rounds[-1] if state.rounds else None
    return PolicyPath(
        coordinates=tuple(names[place] for place in order),
        values=values,
        positions=policies / highest,
        means=np.full((len(names), 3), np.nan) if last is None else last.means[order],
        moves=np.zeros(len(names), dtype=np.int64) if last is None else last.moves[order],
        rewards=tuple(float(np.nanmean(finished.rewards)) for finished in state.rounds),
        results=0 if last is None else len(last.rewards),
        estimated=isinstance(state, pooled.State),
    )


def starting_policy(study: optuna.Study) -> dict[str, Any] | None:
    """The choice that the strategy's first policy stands for; None where it has none."""
    state = _policy_state(study)
    if state is None or state.policy is None:
        return None
    return choice_of(state.ladders, state.rounds[0].policy if state.rounds else state.policy)


def _policy_state(study: optuna.Study) -> published.State | pooled.State | None:
    sampler = study.sampler
    kinds = PolicyGradient | PooledPolicyGradient
    if not isinstance(sampler, StrategySampler) or not isinstance(sampler.strategy, kinds):
        return None
    state: published.State | pooled.State = sampler.state(study)
    return state


def _sort(dimension: str) -> str:
    """What a coordinate is, that those of one sort stand together: of layer1.height "height", of pool1 "pool"."""
    return _kind(dimension).rstrip("0123456789")


def _place(actions: Sequence[tuple[Any, ...]], names: Sequence[str], choice: Mapping[str, Any]) -> int | None:
    wanted = tuple(choice.get(name) for name in names)
    return actions.index(wanted) if wanted in actions else None


def _text(names: Sequence[str], values: Sequence[Any]) -> str:
    return action_text({_kind(name): value for name, value in zip(names, values, strict=True)})


def _kind(dimension: str) -> str:
    return dimension.rpartition(".")[2]
