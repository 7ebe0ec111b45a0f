"""Every recipe makes what it says: settings that hold, a space and a strategy for each of its tasks."""

from __future__ import annotations

from typing import Any

import pytest

from netwright.recipes import RECIPES
from netwright.settings import RunSettings, SpecSettings, parse_settings
from netwright.spaces import make_space, takes_task
from netwright.spaces.base import Layered
from netwright.strategies.makers import make_sampler
from netwright.strategies.sampler import StrategySampler

CASES = [(name, task) for name, recipe in RECIPES.items() for kind in recipe.kinds for task in kind.tasks]
NETWORKS = {
    "classification": "tiny_networks:classifier",
    "segmentation": "tiny_networks:segmenter",
    "inpainting": "tiny_networks:segmenter",
}
TABLE_2 = {
    "marl-vgg16": ("sgd", "cross_entropy", 128),
    "marl-googlenet": ("sgd", "cross_entropy", 32),
    "marl-unet": ("adam", "dice", 20),
}
"""Iranfar et al. 2022, Table II: optimiser, loss and batch size."""


def settings_for(name: str, task: str) -> RunSettings:
    recipe = RECIPES[name]
    space = {"space": {"name": recipe.spaces[task]}} if recipe.spaces else {}
    settings = parse_settings({**recipe.values, **space, "dataset": {"path": "."}})
    if not takes_task(settings.space):
        return settings
    dense = task != "classification"
    shape: dict[str, Any] = {"channels": 1, "classes": 4, "size": [32, 32], "dense": dense}
    options = {**settings.space.model_dump(), **shape}
    options |= {"network": NETWORKS[task]} if options["name"] == "layerwise" else {}
    return settings.model_copy(update={"space": SpecSettings(**options)})


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_recipe_makes_a_space_and_a_strategy(name: str, task: str) -> None:
    settings = settings_for(name, task)
    assert settings.recipe == name
    space = make_space(settings.space)
    assert space.name == settings.space.name
    sampler = make_sampler(settings.strategy, space, settings.seed)
    assert isinstance(sampler, StrategySampler)
    start, distributions = space.starting_choice(), space.distributions()
    assert set(start) == set(distributions)
    assert all(d._contains(d.to_internal_repr(start[n])) for n, d in distributions.items())
    if isinstance(space, Layered):
        graph = space.agent_graph()
        assert [n for agent in graph.agents for n in agent] == list(distributions)
        told = sampler.strategy.settings
        assert [list(agent) for agent in told["agents"]] == [list(agent) for agent in graph.agents]
        assert [list(edge) for edge in told["edges"]] == [list(edge) for edge in graph.edges]


@pytest.mark.parametrize("name", TABLE_2)
def test_training_is_that_of_table_2_and_section_vii(name: str) -> None:
    settings = parse_settings({**RECIPES[name].values, "dataset": {"path": "."}})
    training = settings.training
    assert (training.optimizer, training.loss, training.batch_size) == TABLE_2[name]
    assert (training.patience, training.minimum_gain) == (10, 1e-4), "0.01 % for 10 successive epochs"
    assert (training.epochs, settings.budget.fewest_epochs) == (10, 3), "section VI-A"
    weights = settings.objective.weight, *settings.objective.costs.values()
    assert sum(weights) == pytest.approx(1), "c_A + c_S = 1, equation 2"
    assert settings.objective.per_epoch
    assert settings.strategy.name == "q-learning"


def test_pdas_searches_and_trains_as_its_paper_says() -> None:
    cells, inpainting = (
        parse_settings({**RECIPES[name].values, "dataset": {"path": "."}})
        for name in ("pdas-cells", "pdas-inpainting")
    )
    for settings in (cells, inpainting):
        search, training = settings.supernet, settings.training
        assert search is not None
        assert (search.learning_rate, search.momentum, search.gradient_norm) == (0.025, 0.9, 5.0)
        assert (training.optimizer, training.nesterov, training.learning_rate) == ("sgd", False, 0.025)
        assert (training.schedule, training.warm_up, training.gradient_norm) == ("cosine", False, 5.0)
    search, training, augmentation = cells.supernet, cells.training, cells.training.augmentation
    assert search is not None
    assert (search.epochs, search.batch_size, search.weight_decay) == (200, 64, 3e-4)
    assert (search.space["channels"], search.space["normal_cells"]) == (16, 2)
    assert (training.epochs, training.batch_size, training.weight_decay) == (600, 80, 3e-4)
    assert training.loss_auxiliary_weight == 0.4
    assert augmentation is not None
    assert (augmentation.crop, augmentation.flip, augmentation.probability) == (4, 0.5, 0.0)
    final = make_space(cells.space)
    assert (final.normal_cells, final.parameters, final.drop_path) == (6, 3_000_000, 0.3)
    assert inpainting.supernet is not None
    assert (inpainting.supernet.steps, inpainting.supernet.batch_size) == (50_000, 16)
    assert (inpainting.training.steps, inpainting.training.batch_size) == (500_000, 16)
    assert inpainting.training.loss == "mse"


def test_policy_gradient_trains_as_its_paper_says() -> None:
    settings = parse_settings({**RECIPES["policy-gradient"].values, "dataset": {"path": "."}})
    training = settings.training
    assert (training.optimizer, training.learning_rate, training.loss) == ("adam", 1e-4, "cross_entropy")
    assert (training.epochs, training.score_epochs) == (50, 5)
    augmentation = training.augmentation
    assert augmentation is not None
    assert augmentation.rotation_degrees > 0
    assert augmentation.scale[0] < 1 < augmentation.scale[1]
    assert (augmentation.shift, augmentation.flip) == (0, 0), "rotations and scaling"
    assert settings.slices is not None
    assert len(make_space(settings.space).distributions()) == 76
    assert settings.objective.plain
