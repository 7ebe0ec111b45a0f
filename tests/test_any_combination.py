"""Any strategy on any space, trained for real: through the API, in worker processes, for an epoch a candidate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import netwright as package
from netwright.api import create_run
from netwright.api.run import Run
from netwright.api.runner import conduct
from netwright.errors import SettingsError
from netwright.execution.base import Executor
from netwright.planning.candidate_time import share_hours
from netwright.planning.user_settings import UserSettings
from netwright.recipes import RECIPES
from netwright.runs.data import open_run_data
from netwright.searches.components import open_study
from netwright.searches.loop import Search
from netwright.settings import parse_settings
from netwright.spaces import SPACES, make_space
from netwright.spaces.kinds import KINDS
from netwright.strategies.makers import PROPOSERS
from planning.steps import after
from shared_workers import SharedWorkers

TINY: dict[str, dict[str, Any]] = {
    "encoder-decoder": {"space.fixed": {"width": 8, "levels": 2, "kernel": 3}},
    "classifier-stages": {"space.fixed": {"width": 16, "stages": 2, "kernel": 3}},
    "segnas11": {"space.n": [1, 4], "space.p": [1, 3]},
    "segnas4": {"space.n": [1, 4], "space.p": [1, 3]},
    "segnas7": {"space.n": 2, "space.p": 1},
    "dense-encoder-decoder": {
        "space.filters": [1, 3, 1],
        "space.kernels": [1, 3, 2],
        "space.layers": 1,
        "space.blocks": 3,
    },
    "vgg16": {"space.values.kernels": [2, 4], "space.values.units": [4, 8], "space.units": 8},
    "googlenet": {"space.values.kernels": [2, 4], "space.values.units": [4, 8]},
    "unet": {"space.values.kernels": [2, 4]},
    "layerwise": {
        "space.network": "tiny_networks:segmenter",
        "space.values.kernels": [2, 4],
        "slices.empty": "drop",  # the network is one of two dimensions
    },
    "own": {"space.code": "tiny_spaces:Stack"},
    "cells": {"space.channels": 2, "space.normal_cells": 1, "space.nodes": 2},
    "autoencoder": {"space.layers": 4, "space.channels": [2, 4]},
}
"""Settings that make a space's networks small."""
EARLY: dict[str, dict[str, Any]] = {
    "own": {"code": "tiny_strategies:OneChange"},
    "cma-es": {"population": 4},
    "controlled-random-search": {"population": 5, "first": "start"},
    "policy-gradient": {"perturbations": 3},
    "q-learning": {"first": 3},
    "tpe": {"n_startup_trials": 3},
    "gp": {"n_startup_trials": 3},
    "nsga-ii": {"population_size": 3},
}
"""Options that leave the random beginning early."""
TRAINED_QUICKLY = ("policy-gradient", "tpe")
LARGE = ("googlenet", "unet")
"""Their code is that of vgg16 and layerwise; building them takes seconds."""
QUICK = {"termination.slower_than_start": None, "training.batch_size": 4, "verdict.hours": 0}


@pytest.fixture
def executor(worker_pool: SharedWorkers) -> Executor:
    """One worker for all: a process takes seconds to start."""
    return worker_pool(1, 1, None)


def made(dataset: Path, folder: Path, trials: int, **settings: Any) -> Run:
    """A run, and nothing searched yet."""
    chosen = (
        settings.get("space.name") in RECIPES["auto"].spaces.values()
    )  # such a space chooses the batches itself
    quick = {name: value for name, value in QUICK.items() if not (chosen and name.startswith("training."))}
    quick |= {"race": None} if chosen else {}
    user = UserSettings(trials=trials, workers=1, epochs=1, seed=1, assignments={**quick, **settings})
    return create_run(dataset, None, user, folder)


def searched(run: Run, executor: Executor) -> Run:
    settings = run.settings
    data = open_run_data(run.folder, settings).data
    space = make_space(settings.space)
    Search(run.folder, settings, data, open_study(run.folder, settings), space, executor).run()
    return run


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(
    "strategy",
    # The others are run by tests/searches/test_every_combination.py, with outcomes that are computed and not trained.
    [name if name in TRAINED_QUICKLY else pytest.param(name, marks=pytest.mark.slow) for name in PROPOSERS],
)
def test_every_strategy_trains_networks(
    strategy: str, dataset: Path, tmp_path: Path, executor: Executor
) -> None:
    options = {f"strategy.{name}": value for name, value in EARLY.get(strategy, {}).items()}
    settings = {**TINY["segnas4"], "space.name": "segnas4", "strategy.name": strategy, **options}
    run = searched(made(dataset, tmp_path / "run", 6, **settings), executor)
    assert run.settings.strategy.name == strategy
    assert [trial.status for trial in run.trials].count("complete") == 6
    best = run.best
    assert best is not None
    assert best.reward == max(trial.reward for trial in run.trials if trial.reward is not None)


@pytest.mark.parametrize(
    "space", [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in SPACES]
)
def test_networks_of_every_space_are_trained(
    space: str, dataset: Path, shapes: Path, tiles: Path, tmp_path: Path, executor: Executor
) -> None:
    kind = KINDS[space]
    data = dataset if "segmentation" in kind.tasks else shapes if "classification" in kind.tasks else tiles
    strategy = {"strategy.name": "controlled-random-search", "strategy.first": "start"}
    settings: dict[str, Any] = {"space.name": space, **strategy, **TINY.get(space, {})}
    run = searched(made(data, tmp_path / "run", 1, **settings), executor)
    takes_volumes = 3 in kind.dimensions and "slices.empty" not in settings
    assert (run.settings.slices is not None) == (data == dataset and not takes_volumes)
    assert [trial.status for trial in run.trials] == ["complete"]


@pytest.mark.usefixtures("shared_workers")
def test_unusual_combinations_are_reported(dataset: Path, tmp_path: Path) -> None:
    """Published agents without layers, to the end; and a layered space without agents."""
    agents = {"strategy.name": "q-learning", "strategy.variant": "published", "strategy.exploration": 2}
    settings = {**TINY["segnas4"], **agents}
    run = made(dataset, tmp_path / "agents", 5, **{"space.name": "segnas4", **settings})
    conduct(run.folder)
    assert (run.folder.root / "report.html").exists()
    settings = {**TINY["layerwise"], "space.name": "layerwise", "strategy.name": "cma-es"}
    run = made(dataset, tmp_path / "layers", 2, **settings, **{"strategy.population": 4})
    conduct(run.folder)
    assert (run.folder.root / "report.html").exists()
    assert package.open_run(run.folder.root).status().phase == "finished"


def resolved(dataset: Path, folder: Path, recipe: str | None, **settings: Any) -> Any:
    return create_run(
        dataset, recipe, UserSettings(trials=1, workers=1, assignments={**QUICK, **settings}), folder
    )


def test_slices_go_with_the_space_unless_they_were_given(dataset: Path, cells: Path, tmp_path: Path) -> None:
    on = resolved(dataset, tmp_path / "1", "segnas4", **{"space.name": "unet"})
    assert on.settings.slices is not None
    off = resolved(dataset, tmp_path / "2", "marl-unet", **{"space.name": "segnas4"})
    assert off.settings.slices is None
    given = resolved(dataset, tmp_path / "3", "segnas4", **{"space.name": "unet", "slices.axis": 0})
    assert given.settings.slices.axis == 0
    repeated = UserSettings(trials=1, workers=1, repeat=given.settings)
    assert create_run(dataset, None, repeated, tmp_path / "4").settings.slices.axis == 0
    empty = resolved(cells, tmp_path / "5", None, **{"slices.empty": "drop"}).settings
    again = create_run(cells, None, UserSettings(trials=1, workers=1, repeat=empty), tmp_path / "6").settings
    assert again.slices.empty == "drop"


def test_hours_change_the_options_of_controlled_random_search_alone() -> None:
    base = {"recipe": "segnas4", "dataset": {"path": "."}, "space": {"name": "segnas4"}}
    for strategy in PROPOSERS:
        settings = parse_settings({**base, "strategy": {"name": strategy}, "budget": {"hours": 1}})
        options = after(settings, lambda draft, _: share_hours(draft, 1.0)).strategy.options
        searches = strategy == "controlled-random-search"
        assert options == ({"population": 10, "cell_centres": True} if searches else {})


def test_a_space_brings_the_protocol_of_its_own_recipe(dataset: Path, tmp_path: Path) -> None:
    assert resolved(dataset, tmp_path / "1", None, **{"space.name": "unet"}).settings.recipe == "marl-unet"
    assert resolved(dataset, tmp_path / "2", None, **{"strategy.name": "gp"}).settings.recipe == "segnas4"


@pytest.mark.parametrize(
    ("data", "recipe", "settings", "words"),
    [
        (
            "dataset",
            "segnas4",
            {"space.name": "vgg16"},
            ["classification in 2D", "volumes", "segnas11", "layerwise, dense-encoder-decoder, unet"],
        ),
        ("dataset", "segnas4", {"space.name": "unet", "slices": None}, ["whole (slices=null)", "segnas4"]),
        (
            "dataset",
            "marl-unet",
            {"space.name": "segnas7", "slices.axis": 1},
            ["slice by slice", "unet, layerwise"],
        ),
        ("cells", "marl-unet", {"space.name": "segnas4"}, ["segmentation in 3D", "unet, layerwise"]),
        (
            "shapes",
            "marl-vgg16",
            {"space.name": "unet"},
            ["segmentation or inpainting in 2D", "vgg16, googlenet"],
        ),
        (
            "tiles",
            "marl-unet",
            {"space.name": "vgg16"},
            ["for inpainting of pictures", "dense-encoder-decoder, unet"],
        ),
        ("shapes", "segnas4", {"space.name": "segnas11"}, ["segmentation in 3D", "vgg16, googlenet"]),
        ("dataset", None, {"space.name": "googlenet"}, ["classification in 2D", "segnas11", "unet"]),
        (
            "dataset",
            "segnas4",
            {"strategy.name": "q-learning", "strategy.first": "start"},
            ["first is", "whole number"],
        ),
        ("dataset", None, {"space.name": "unett"}, ["no space 'unett'", "Did you mean unet?"]),
        ("dataset", None, {"strategy.name": "tpa"}, ["no strategy 'tpa'", "Did you mean tpe?", "nsga-ii"]),
        (
            "dataset",
            None,
            {"strategy.name": "tpe", "strategy.population": 5},
            ["strategy 'tpe' has no option 'population'", "n_startup_trials", "multivariate"],
        ),
        ("dataset", None, {"strategy.name": "tpe", "strategy.first": "start"}, ["no option 'first'"]),
        ("cells", None, {"strategy.name": "gp", "strategy.first": "start"}, ["no option 'first'"]),
        ("dataset", None, {"objective": "accuracy"}, ["no metric 'accuracy'", "dice"]),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(
    request: pytest.FixtureRequest,
    data: str,
    recipe: str | None,
    settings: dict[str, Any],
    words: list[str],
    tmp_path: Path,
) -> None:
    folder: Path = request.getfixturevalue(data)
    with pytest.raises(SettingsError) as refused:
        resolved(folder, tmp_path / "run", recipe, **settings)
    for word in words:
        assert word in str(refused.value)
    assert not (tmp_path / "run").exists()
