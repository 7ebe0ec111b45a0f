"""What a strategy learned and chose in a run, as the report shows it: agents' tables, a policy's path."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from netwright.report.content import AgentTable, LayerChoices, NetworkTable, PolicyPath
from netwright.report.draw.agents import action_text
from netwright.runs.trials import TrialRecord
from netwright.spaces.base import Layered, Space, Tabled
from netwright.strategies.dimensions import choice_at
from netwright.strategies.policy_gradient import (
    PolicyGradient,
    PooledPolicyGradient,
    choice_of,
    pooled,
    published,
)
from netwright.strategies.sampler import StrategySampler, dimensions_of


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
        rewards=tuple(_mean(finished.rewards) for finished in state.rounds),
        results=0 if last is None else len(last.rewards),
        estimated=isinstance(state, pooled.State),
    )


def policy_rounds(study: optuna.Study) -> list[dict[str, Any]]:
    """Every finished round, for machines: policy, group means and moves by coordinate, and the mean reward."""
    state = _policy_state(study)
    if state is None:
        return []
    names = [ladder.dimension.name for ladder in state.ladders]
    return [
        {
            "policy": choice_of(state.ladders, finished.policy),
            "means": {
                name: [None if math.isnan(mean) else mean for mean in means]
                for name, means in zip(names, finished.means.tolist(), strict=True)
            },
            "moves": dict(zip(names, finished.moves.tolist(), strict=True)),
            "rewards": [None if math.isnan(reward) else reward for reward in finished.rewards.tolist()],
        }
        for finished in state.rounds
    ]


def starting_policy(study: optuna.Study, space: Space) -> tuple[str, dict[str, Any]] | None:
    """What the strategy's first policy is, in words, and the choice that it stands for; None where it has none.

    A strategy does not see dimensions of one value: that value stands for them.
    """
    state = _policy_state(study)
    if state is None or state.policy is None:
        return None
    dimensions = dimensions_of(space.distributions())
    fixed = choice_at(dimensions, np.zeros(len(dimensions)))
    first = state.rounds[0].policy if state.rounds else state.policy
    title = "the best of the first round" if isinstance(state, pooled.State) else "the starting policy"
    return title, dict(fixed) | choice_of(state.ladders, first)


def _mean(rewards: NDArray[np.float64]) -> float:
    """Of those that there are; NaN where there is none."""
    known = rewards[np.isfinite(rewards)]
    return float(known.mean()) if known.size else math.nan


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
