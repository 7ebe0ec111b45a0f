"""Table I of Iranfar et al. 2022, its last row column by column: what the method is said to do is done here."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from torch import nn

from netwright.errors import InfeasibleArchitecture
from netwright.objective import ObjectiveSettings
from netwright.planning.user_settings import UserSettings
from netwright.report.collect.strategy import strategy_report
from netwright.runs.data import open_own, prepare_own
from netwright.searches.components import problem_of, reward_of, within_limits
from netwright.settings import RunSettings
from netwright.spaces import make_space
from netwright.spaces.base import Space
from netwright.spaces.layerwise import LayerwiseSpace, from_module
from netwright.strategies.pictures import AgentTables
from netwright.strategies.sampler import StrategySampler, sampler
from netwright.training.outcome import Outcome, Status
from netwright.training.trial import evaluate_candidate
from planning.steps import CHOOSE_FROM_DATA, after, resolve
from spaces.layerwise_networks import CASES, Plain, Shape, assert_learns, outputs, prepared

optuna.logging.set_verbosity(optuna.logging.ERROR)

VARIANTS = ("published", "coordinated")


def study_of(space: LayerwiseSpace, variant: str, direction: str = "maximize") -> optuna.Study:
    """A search in which every layer has an agent."""
    graph, distributions = space.agent_graph(), space.distributions()
    agents = sampler(
        "q-learning", 0, distributions=distributions, variant=variant, agents=graph.agents, edges=graph.edges
    )
    return optuna.create_study(sampler=agents, direction=direction)


def layer_results(network: nn.Module, layer: str, images: torch.Tensor) -> list[tuple[int, ...]]:
    shapes: list[tuple[int, ...]] = []
    network.get_submodule(layer).register_forward_hook(
        lambda module, given, result: shapes.append(tuple(result.shape))
    )
    network(images)
    return shapes


# optimised layers: conv, pool, dense, stride

VALUES = {"kernels": [2, 4, 8], "kernel_size": [1, 3], "stride": [1, 2], "pool_size": [2, 3], "units": [4, 9]}


@pytest.mark.parametrize(
    ("dimension", "value", "result"),
    [
        pytest.param("conv1.kernels", 7, (7, 16, 16), id="conv: kernels"),
        pytest.param("conv1.kernel_size", 5, (4, 16, 16), id="conv: kernel size"),
        pytest.param("conv1.stride", 2, (4, 8, 8), id="stride"),
        pytest.param("pool.pool_size", 4, (4, 4, 4), id="pool"),
        pytest.param("dense.units", 5, (5,), id="dense"),
    ],
)
def test_a_layer_s_hyperparameter_is_its_agent_s_and_shapes_the_layer(
    dimension: str, value: int, result: tuple[int, ...]
) -> None:
    module, images = Plain(2), torch.randn(2, 1, 16, 16)
    space = from_module(module, images, VALUES)
    layer, _, kind = dimension.rpartition(".")
    graph = space.agent_graph()
    assert dimension in graph.agents[graph.names.index(layer)]
    assert space.distributions()[dimension].choices == tuple(VALUES[kind])  # type: ignore[attr-defined]
    network = space.build({**space.original_choice(), dimension: value}, Shape(1, 3, (16, 16)))
    assert layer_results(network, layer, images)[0] == (2, *result)
    if kind == "kernel_size":
        assert tuple(network.get_submodule(layer).weight.shape[2:]) == (value, value)  # type: ignore[union-attr]


def test_agents_find_what_makes_every_layer_cheapest() -> None:
    """Multiplications of a chain by closed form; its cheapest form is known, and one of 1,152."""
    space = from_module(Plain(2), torch.randn(2, 1, 16, 16), VALUES)
    distributions = space.distributions()

    def multiplications(choice: Mapping[str, Any]) -> int:
        size, channels, total = 16, 1, 0
        for layer, pool in (("conv1", "pool"), ("conv2.0", "pool@2")):
            kernels, kernel = choice[f"{layer}.kernels"], choice[f"{layer}.kernel_size"]
            size = -(-size // choice[f"{layer}.stride"])
            total += size**2 * kernels * channels * kernel**2
            size, channels = max(1, size // choice[f"{pool}.pool_size"]), kernels
        return int(total + size**2 * channels * choice["dense.units"] + choice["dense.units"] * 3)

    choices = itertools.product(*(d.choices for d in distributions.values()))  # type: ignore[attr-defined]
    every = [multiplications(dict(zip(distributions, values, strict=True))) for values in choices]
    study = study_of(space, "coordinated", "minimize")
    study.optimize(
        lambda trial: multiplications({n: trial._suggest(n, d) for n, d in distributions.items()}),
        n_trials=60,
    )
    assert len(every) == 1152
    assert study.best_value == min(every)


# objectives and constraints: training time, inference time, accuracy, size


@dataclass(frozen=True)
class Candidate:
    settings: RunSettings
    space: Space
    outcome: Outcome

    @property
    def weights(self) -> int:
        task = Shape(*(self.settings.space.options[name] for name in ("channels", "classes", "size")))
        network = self.space.build(self.space.starting_choice(), task)
        return sum(parameter.numel() for parameter in network.parameters())


def trained(path: Path, network: str) -> Candidate:
    """A network of a dataset's own task, trained for two epochs as the recipe for it says."""
    given = {"space.network": f"tiny_networks:{network}", "training.epochs": 2, "training.batch_size": 4}
    settings = resolve(path, None, UserSettings(assignments=given))
    opened = open_own(settings)
    data = prepare_own(opened, settings)
    settings = after(settings, *CHOOSE_FROM_DATA, user_set=given, dataset=opened, prepared=data)
    space = make_space(settings.space)
    build, problem = partial(space.build, space.starting_choice()), problem_of(settings, data)
    outcome = evaluate_candidate(build, problem, range(6), range(6, 10), settings.training, seed=0)
    return Candidate(settings, space, outcome)


@pytest.fixture(scope="module")
def of_pictures(shapes: Path) -> Candidate:
    return trained(shapes, "classifier")


@pytest.fixture(scope="module")
def of_masks(cells: Path) -> Candidate:
    return trained(cells, "segmenter")


@pytest.mark.parametrize(
    "cost",
    [
        pytest.param("seconds_per_batch", id="training time"),
        pytest.param("inference_ms", id="inference time"),
        pytest.param("inference_ms_per_batch", id="inference time of a batch"),
        pytest.param("size_mb", id="size"),
    ],
)
def test_a_cost_is_measured_weighed_and_limited(of_pictures: Candidate, cost: str) -> None:
    outcome = of_pictures.outcome
    measured = asdict(outcome.cost)[cost]
    assert measured > 0
    alone, weighed = (ObjectiveSettings(metric="accuracy", costs=costs) for costs in ({}, {cost: 3.0}))
    assert reward_of(outcome, weighed) == pytest.approx((reward_of(outcome, alone) or 0) - 3 * measured)
    dearer = replace(outcome, cost=replace(outcome.cost, **{cost: 2 * measured}))
    limited = ObjectiveSettings(metric="accuracy", limits=(f"{cost} <= {1.5 * measured}",))
    assert within_limits(outcome, limited) == outcome
    assert within_limits(dearer, limited).status is Status.INFEASIBLE
    assert cost in within_limits(dearer, limited).reason


def test_accuracy_is_measured_weighed_and_limited(of_pictures: Candidate) -> None:
    better, worse = (replace(of_pictures.outcome, metrics={"accuracy": a}) for a in (0.75, 0.5))
    objective = ObjectiveSettings(metric="accuracy", weight=0.9, percent=True, limits=("accuracy >= 0.6",))
    assert reward_of(better, objective) == pytest.approx(67.5)
    assert within_limits(better, objective) == better
    assert within_limits(worse, objective).status is Status.INFEASIBLE


def test_the_recipe_weighs_accuracy_against_size(of_pictures: Candidate) -> None:
    """Equation 2, with four bytes a weight."""
    outcome, objective = of_pictures.outcome, of_pictures.settings.objective
    size = 4e-6 * of_pictures.weights
    expected = 0.9 * 100 * outcome.metrics["accuracy"] / 2 - 0.1 * size
    assert reward_of(outcome, objective) == pytest.approx(expected, abs=1e-4)


# unconventional modules: skip connections, residual, inception


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("name", "edges"),
    [
        pytest.param("u-net 2D", {("down.0.1.0", "merge.1.0"), ("up.1", "merge.1.0")}, id="skip"),
        pytest.param(
            "residual 2D", {("stem.0", "layer1.0.conv1"), ("stem.0", "layer1.1.conv1")}, id="residual"
        ),
        pytest.param(
            "inception 2D", {("stem.0", f"block1.{b}.0.0") for b in ("three", "five")}, id="inception"
        ),
    ],
)
def test_agents_along_branches_share_tables_and_what_they_choose_is_trained(
    name: str, edges: set[tuple[str, str]], variant: str
) -> None:
    space, task = prepared(name)[1], CASES[name].task
    study, distributions, seen = study_of(space, variant), space.distributions(), 0
    for _ in range(3):
        trial = study.ask(distributions)
        try:
            network = space.build(trial.params, task)
        except InfeasibleArchitecture:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            continue
        results = outputs(network, torch.randn(2, task.channels, *task.size), training=True)
        sum(result.square().mean() for result in results).backward()  # type: ignore[union-attr]
        assert_learns(network)
        study.tell(trial, float(seen))
        seen += 1
    assert seen > 0
    assert isinstance(study.sampler, StrategySampler)
    ((picture,),) = (section.pictures for section in strategy_report(study, None, "reward"))
    assert isinstance(picture, AgentTables)
    tables = picture.tables
    graph = space.agent_graph()
    shared = {(table.row_agent, table.column_agent) for table in tables}
    assert shared == {(graph.names[i], graph.names[j]) for i, j in graph.edges}
    assert shared >= edges
    assert all(1 <= np.isfinite(table.values).sum() <= 3 for table in tables)


# tasks: classification, segmentation


def test_classification(of_pictures: Candidate) -> None:
    settings, outcome = of_pictures.settings, of_pictures.outcome
    assert outcome.status is Status.COMPLETE, outcome.reason
    assert (settings.training.loss, settings.objective.metric) == ("cross_entropy", "accuracy")
    assert outcome.metrics["accuracy"] in (0, 0.25, 0.5, 0.75, 1), "of four pictures"


def test_segmentation(of_masks: Candidate) -> None:
    settings, outcome = of_masks.settings, of_masks.outcome
    assert outcome.status is Status.COMPLETE, outcome.reason
    assert (settings.training.loss, settings.objective.metric) == ("dice", "dice")
    assert 0 <= outcome.metrics["dice"] <= 1
    assert outcome.cost.parameters == of_masks.weights
