"""What the report shows of agents and layers, against a plain loop over the trials."""

from __future__ import annotations

import itertools
import math

import numpy as np
import optuna
import pytest

from netwright.report.collect.space import layer_choices
from netwright.report.collect.strategy import strategy_report
from netwright.runs.trials import TrialRecord, best_of, record_of
from netwright.settings import RunSettings, SpecSettings, parse_settings
from netwright.spaces import make_space
from netwright.spaces.base import Layered
from netwright.strategies.makers import make_sampler
from netwright.strategies.pictures import AgentTable, AgentTables
from netwright.strategies.q_learning.report import action_text

TRIALS = 12
VALUES = {"kernels": [2, 4, 8], "kernel_size": [1, 3]}


def settings_of(variant: str) -> RunSettings:
    shape = {"channels": 1, "classes": 3, "size": [16, 16], "dense": True}
    return parse_settings(
        {
            "recipe": "marl",
            "dataset": {"path": "."},
            "space": {
                "name": "layerwise",
                "network": "tiny_networks:segmenter",
                **shape,
                "values": VALUES,
            },
            "strategy": {"name": "q-learning", "variant": variant},
        }
    )


def searched(variant: str) -> optuna.Study:
    """A study in which every fourth candidate has no reward."""
    settings = settings_of(variant)
    space = make_space(settings.space)
    study = optuna.create_study(
        sampler=make_sampler(settings.strategy, space, settings.seed), direction="maximize"
    )
    rng = np.random.default_rng(0)
    for number in range(TRIALS):
        trial = study.ask()
        for name, distribution in space.distributions().items():
            trial._suggest(name, distribution)
        if number % 4 == 3:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, rng.uniform(1, 2))
    return study


def tables_of(study: optuna.Study, best: TrialRecord) -> tuple[AgentTable, ...]:
    ((picture,),) = (section.pictures for section in strategy_report(study, best, "reward"))
    assert isinstance(picture, AgentTables)
    return picture.tables


@pytest.mark.parametrize("variant", ["published", "coordinated"])
def test_each_pair_of_connected_agents_has_a_table_of_their_actions(variant: str) -> None:
    study = searched(variant)
    space = make_space(settings_of(variant).space)
    assert isinstance(space, Layered)
    graph = space.agent_graph()
    records = [record_of(trial) for trial in study.get_trials()]
    best = best_of(records)
    assert best is not None
    tables = tables_of(study, best)
    assert len(tables) == len(graph.edges) == 2
    distributions = space.distributions()
    for table, (row, column) in zip(tables, graph.edges, strict=True):
        assert (table.row_agent, table.column_agent) == (graph.names[row], graph.names[column])
        texts = []
        for agent, actions in ((row, table.row_actions), (column, table.column_actions)):
            names = graph.agents[agent]
            short = [name.rpartition(".")[2] for name in names]
            every = itertools.product(*(distributions[name].choices for name in names))
            expected = [action_text(dict(zip(short, values, strict=True))) for values in every]
            assert sorted(actions) == sorted(expected)
            texts.append(
                [action_text({s: r.choice[n] for s, n in zip(short, names, strict=True)}) for r in records]
            )
        assert table.values.shape == (len(table.row_actions), len(table.column_actions))
        visited = {
            (table.row_actions.index(r), table.column_actions.index(c)) for r, c in zip(*texts, strict=True)
        }
        shown = set(zip(*np.nonzero(np.isfinite(table.values)), strict=True))
        assert shown == visited, "cells that no episode visited hold nothing"
        assert table.chosen == (
            table.row_actions.index(texts[0][best.number]),
            table.column_actions.index(texts[1][best.number]),
        )


def test_other_strategies_have_no_tables() -> None:
    settings = settings_of("published").model_copy(update={"strategy": SpecSettings(name="random")})
    study = optuna.create_study(
        sampler=make_sampler(settings.strategy, make_space(settings.space), settings.seed)
    )
    assert strategy_report(study, None, "reward") == ()
    assert strategy_report(optuna.create_study(), None, "reward") == ()


def test_layers_have_what_each_trial_gave_them() -> None:
    study = searched("published")
    space = make_space(settings_of("published").space)
    assert isinstance(space, Layered)
    records = [record_of(trial) for trial in study.get_trials()]
    shown = layer_choices(space, records)
    assert shown is not None
    assert shown.layers == space.agent_graph().names
    assert shown.trials == tuple(range(TRIALS))
    assert set(shown.values) == {"kernels", "kernel size"}
    for kind, rows in shown.values.items():
        for layer, trial in itertools.product(range(len(shown.layers)), range(TRIALS)):
            name = f"{shown.layers[layer]}.{kind.replace(' ', '_')}"
            expected = records[trial].choice.get(name, math.nan)
            np.testing.assert_equal(rows[layer, trial], float(expected))


def test_spaces_without_layers_have_no_choices_of_layers() -> None:
    assert layer_choices(make_space(SpecSettings(name="segnas4")), []) is None
